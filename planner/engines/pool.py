"""Connections to one server: opened when needed, kept for the next request."""

import asyncio
import itertools
import socket
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from planner.engines.http1 import Connection
from planner.engines.streams import StreamLoop, StreamTransport

_LONGEST_IDLE_S = 3.0
"""vLLM closes connections idle for 5 s; one that it closes while a request is on its way would count as lost."""
_PORTS = {"http": 80, "https": 443}


class Pool:
    """Idle connections, the one used last first; no limit to how many are in use.

    A name is looked up once. Where it has several addresses, connections go round among those that answer.
    """

    def __init__(self, root: str) -> None:
        """Of a server's root address, such as https://example.com:8443/llm."""
        parts = urlsplit(root)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._idle: list[Connection] = []
        self._addresses: list[str] = []
        self._turns = itertools.count()

    def idle(self) -> Connection | None:
        """A connection that may carry a request at once, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle and time.perf_counter() - connection.idle_since_s < _LONGEST_IDLE_S:
                return connection
            connection.close()
        return None

    async def open(self) -> Connection:
        """A new connection.

        Raises:
            OSError: the server cannot be found, cannot be reached, or shows no certificate that can be trusted.
        """
        loop = asyncio.get_running_loop()
        if not self._addresses:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self._addresses = self._addresses or [str(address[0]) for *_, address in found]
        # Each has its turn, however many are being opened at once.
        turn = next(self._turns) % len(self._addresses) if self._addresses else 0
        refused: dict[str, OSError] = {}
        for address in [*self._addresses[turn:], *self._addresses[:turn]]:
            try:
                connection = await self._connect(loop, address)
            except OSError as error:
                refused[address] = error
                continue
            # Those that refused while this one answered are left out from now on.
            self._addresses = [each for each in self._addresses if each not in refused]
            return connection
        raise next(iter(refused.values()), OSError("the name has no address"))

    async def _connect(self, loop: asyncio.AbstractEventLoop, address: str) -> Connection:
        connection = Connection()
        if isinstance(loop, StreamLoop) and self._tls is None:
            StreamTransport(loop, await _connected(loop, address, self._port), connection)
            return connection
        how: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls, "server_hostname": self._host}
        await loop.create_connection(lambda: connection, address, self._port, **how)
        return connection

    def release(self, connection: Connection) -> None:
        """Keeps a connection whose response has ended."""
        self._idle.append(connection)

    def close(self) -> None:
        """Closes those that are idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


async def _connected(loop: asyncio.AbstractEventLoop, address: str, port: int) -> socket.socket:
    connected = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(connected, (address, port))
    except BaseException:
        connected.close()
        raise
    return connected
