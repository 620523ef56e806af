"""Whether a server is on this machine: only then its GPUs can be looked at from here."""

import socket
from urllib.parse import urlsplit


def is_this_machine(url: str) -> bool:
    """Whether every address of a URL's host is one of this machine; what answers there may still be a tunnel.

    Example:
        >>> is_this_machine("http://127.0.0.1:8000"), is_this_machine("http://192.0.2.1")
        (True, False)
    """
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname, None, type=socket.SOCK_DGRAM)
    except (OSError, ValueError):
        return False
    return bool(found) and all(_is_own(family, address) for family, _, _, _, address in found)


def _is_own(family: int, address: tuple[object, ...]) -> bool:
    """A socket can be bound to an address of this machine alone."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address[0], 0, *address[2:]))
    except OSError:
        return False
    return True
