"""The server that a user names: its address, the headers it wants, and what of them must never be shown."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from planner.errors import UsageError, visible

_LONGEST_SHOWN = 200
_SCHEMES = frozenset({"bearer", "basic", "token", "apikey", "digest"})
_LEAST_SECRET = 4
"""Shorter parts of a secret would blacken harmless text, and are no secret."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset({"accept", "accept-encoding", "connection", "content-length", "content-type", "transfer-encoding"})
_OF_PATHS = "/%:@!$&'()*+,;=~"
"""May stand in a path as they are; % since others were written so by whoever wrote the path."""


@dataclass(frozen=True)
class Target:
    """Where requests go.

    Attributes:
        root: the server's root, without `/v1`, user or password.
        headers: sent with every request; values are secret.
        secrets: texts that must never be shown, longest first.
    """

    root: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def shown(self, text: str) -> str:
        """What somebody else said, on one short line, without secrets."""
        # Before it is cut: half a secret would not be recognised.
        for secret in self.secrets:
            text = text.replace(secret, "***")
        text = visible(" ".join(text[: 20 * _LONGEST_SHOWN].split()))
        return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def target_of(url: str, header_variables: Mapping[str, str], environment: Mapping[str, str]) -> Target:
    """A target from what the command line names.

    Args:
        url: the server's root or its `/v1`; a user and password in it become a header.
        header_variables: the environment variable that holds each header's value. What stands there by mistake may
            be the secret itself, so that messages do not repeat it.
        environment: the environment.

    Raises:
        UsageError: every mistake.

    Example:
        >>> target_of("http://127.0.0.1:8000/v1/", {}, {}).root
        'http://127.0.0.1:8000'
    """
    problems: list[str] = []
    headers: dict[str, str] = {}
    for name, variable in header_variables.items():
        value = environment.get(variable)
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            problems.append("--header: must be NAME=VARIABLE, NAME a header that the planner does not set itself")
        elif value is None:
            problems.append(f"--header {name}: the environment has no variable of the name that stands after =")
        elif not value or not value.isprintable() or not value.isascii() or value != value.strip():
            problems.append(f"--header {name}: its variable must hold printable ASCII without blanks at its ends")
        else:
            headers[name] = value
    root, user = _root(url, problems)
    if user and any(name.lower() == "authorization" for name in header_variables):
        problems.append("--header Authorization: the URL holds a user as well; give one of them")
    elif user:
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    if problems:
        raise UsageError("\n".join(problems))
    return Target(root, headers, _secrets(headers.values()))


def _root(url: str, problems: list[str]) -> tuple[str, str]:
    """The root to build addresses on, and `user:password`."""
    allowed = "must be http:// or https:// with a host, as in http://127.0.0.1:8000; no query or fragment"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    is_right = host and parts.scheme in ("http", "https") and not (parts.query or parts.fragment)
    if not host or not is_right or port == 0 or not url.isprintable() or " " in url:
        problems.append(f"--url: {allowed}")  # not repeated: it may hold a password
        return "", ""
    try:
        host = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        problems.append("--url: its host is no name that there can be")
        return "", ""
    place = f"[{host}]" if ":" in host else host
    path = quote(parts.path, safe=_OF_PATHS).rstrip("/").removesuffix("/v1")
    user = "" if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"{parts.scheme}://{place}{f':{port}' if port else ''}{path}", user


def _secrets(values: Iterable[str]) -> tuple[str, ...]:
    """Every header value and its parts, as they stand, in JSON and in a URL, and what a Basic one encodes."""
    found: set[str] = set()
    for value in values:
        found.add(value)
        for part in value.split():
            if part.lower() not in _SCHEMES:
                found.add(part)
        if value.lower().startswith("basic "):
            try:
                user = base64.b64decode(value[6:], validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue
            found |= {user, user.partition(":")[2]}
    found |= {
        form for secret in found for form in (json.dumps(secret)[1:-1], quote(secret, safe=""), repr(secret)[1:-1])
    }
    return tuple(
        sorted((secret for secret in found if len(secret) >= _LEAST_SECRET), key=lambda text: (-len(text), text))
    )
