"""Where requests go, and what must never be shown of it."""

import base64

import pytest

from planner.engines.target import target_of
from planner.errors import UsageError

CANARY = "sk-canary-1234567890"


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://h:8000", "http://h:8000"),
        ("http://h:8000/v1", "http://h:8000"),
        ("https://h/v1/", "https://h"),
        ("https://h/gateway/v1", "https://h/gateway"),
        ("http://[::1]:80/", "http://[::1]:80"),
        ("http://h/é/v1", "http://h/%C3%A9"),
        ("http://h/%C3%A9", "http://h/%C3%A9"),
        ("http://münchen.example", "http://xn--mnchen-3ya.example"),
    ],
)
def test_root_is_found_with_or_without_v1(url: str, root: str) -> None:
    assert target_of(url, {}, {}).root == root


@pytest.mark.parametrize(
    "url",
    [
        "h:8000",
        "ftp://h",
        "file:///etc/passwd",
        "http://",
        "http://h:x",
        "http://h?a=1",
        "http://h#a",
        "http:// h",
        "http://h:0",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--url: must be http:// or https://"):
        target_of(url, {}, {})


def test_user_in_the_address_becomes_a_header_and_is_never_shown() -> None:
    target = target_of(f"http://me:{CANARY}@h:1/v1", {}, {})
    assert target.root == "http://h:1"
    assert target.headers["Authorization"] == "Basic " + base64.b64encode(f"me:{CANARY}".encode()).decode()
    assert CANARY not in repr(target)
    assert CANARY not in target.shown(f"who is {CANARY}?")


@pytest.mark.parametrize(
    "echo",
    [
        f"Bearer {CANARY}/é",
        f"key {CANARY}",
        '{"key": "' + CANARY + '"}',
        "x" * 190 + CANARY,  # cut where it is shortened
        "x" * 3990 + CANARY,
    ],
)
def test_echo_of_a_secret_is_blackened_before_it_is_shortened(echo: str) -> None:
    shown = target_of("http://h", {"Authorization": "KEY"}, {"KEY": f"Bearer {CANARY}"}).shown(echo)
    assert "canary" not in shown
    assert len(shown) <= 200


def test_control_characters_of_a_server_are_told_as_text() -> None:
    assert target_of("http://h", {}, {}).shown("a\x1b[2Jb\n c") == "a\\x1b[2Jb c"


def test_all_mistakes_at_once_and_no_value_repeated() -> None:
    # The classic mistake: the secret itself in place of the variable's name.
    headers = {"Authorization": CANARY, "X-Other": "BAD", "Content-Length": "A"}
    with pytest.raises(UsageError) as caught:
        target_of(f"gopher://:{CANARY}@h", headers, {"BAD": f"{CANARY}\n", "A": "1"})
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "--header Authorization",
        "--header X-Other",
        "--header",
        "--url",
    ]
    assert "canary" not in str(caught.value)


def test_two_sources_of_one_header_are_refused() -> None:
    with pytest.raises(UsageError, match="give one of them"):
        target_of("http://a:b@h", {"authorization": "K"}, {"K": "v"})
