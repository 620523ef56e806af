"""Whether a server is on this machine."""

import pytest

from planner.engines.own_address import is_this_machine


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.2:8000/v1", True),
        ("http://0.0.0.0:8000", True),
        ("http://192.0.2.7:8000", False),  # of addresses for documentation, which nobody has
        ("http://nowhere.invalid", False),
        ("http://[2001:db8::1]:8000", False),
        ("no address", False),
    ],
)
def test_only_addresses_of_this_machine_are_its_own(url: str, is_here: bool) -> None:
    assert is_this_machine(url) is is_here
