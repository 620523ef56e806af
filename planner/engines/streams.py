"""An event loop whose sockets are read without a detour, for clients of many slow streams."""

import asyncio
import select
import selectors
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any, TypeVarTuple

_Args = TypeVarTuple("_Args")

_READ_BYTES = 2**16
_MOST_EVENTS = 1024
_BUSY_READS_PER_S, _WINDOW_S = 5000, 0.01
_GATHER_S = 0.00025
"""Of busy streams, what comes within this time is read in one go."""
_MOST_SELECTED = 1024
"""File numbers that `select` can take."""

IS_SUPPORTED = sys.platform == "linux"
"""Where there is epoll."""


class StreamSelector(selectors.BaseSelector):
    """Reads from streams itself, at once, and tells the event loop only of everything else.

    An event loop makes an object, a queue entry and a call in a context of every read. At tens of thousands of small
    reads a second that costs more than the reading. A stream is read here, as soon as epoll names it, and the loop is
    left asleep unless something was scheduled meanwhile.

    Waking up costs as much as reading. When thousands of reads come in a second, streams are looked at four thousand
    times a second at most, which makes each read up to a quarter of a millisecond late, and half of that on average;
    network cards do the same with interrupts. Everything else, such as a request that is due, is still seen at once.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._others = selectors.EpollSelector()
        self._epoll.register(self._others.fileno(), select.EPOLLIN)
        self._streams: dict[int, Callable[[], None]] = {}
        self.is_loop_due = False
        """Something waits for the event loop's next round."""
        self._is_busy = False
        self._reads, self._since_s, self._looked_s = 0, 0.0, 0.0

    def add_stream(self, fd: int, read: Callable[[], None]) -> None:
        """Calls `read` whenever there is something to read."""
        self._streams[fd] = read
        self._epoll.register(fd, select.EPOLLIN)

    def remove_stream(self, fd: int) -> None:
        """Calls nothing more for it; it may have been removed before."""
        if self._streams.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready of everything else."""
        poll, streams, others = self._epoll.poll, self._streams, self._others.fileno()
        until_s = None if timeout is None else time.monotonic() + timeout
        wait_s = timeout
        self.is_loop_due = timeout is not None and timeout <= 0
        while True:
            if self._is_busy and not self.is_loop_due:
                self._gather(others, wait_s)
                wait_s = None if until_s is None else max(0.0, until_s - time.monotonic())
            events = poll(wait_s, _MOST_EVENTS)
            self._count(len(events))
            is_other = False
            for fd, _ in events:
                if (read := streams.get(fd)) is not None:
                    read()
                elif fd == others:
                    is_other = True
            if is_other:
                return self._others.select(0)
            # Streams that never fall silent must not keep the loop from its timers.
            if self.is_loop_due or not events or (until_s is not None and time.monotonic() >= until_s):
                return []
            if until_s is not None:
                wait_s = max(0.0, until_s - time.monotonic())

    def _gather(self, others: int, most_s: float | None) -> None:
        """Waits until streams may be looked at again, or there is something else, or a time has passed."""
        left_s = self._looked_s + _GATHER_S - time.monotonic()
        if left_s > 0:
            select.select((others,), (), (), left_s if most_s is None else min(left_s, most_s))

    def _count(self, reads: int) -> None:
        """Finds out whether streams are busy."""
        self._looked_s = now_s = time.monotonic()
        self._reads += reads
        if (past_s := now_s - self._since_s) >= _WINDOW_S:
            self._is_busy = self._reads >= _BUSY_READS_PER_S * past_s and self._others.fileno() < _MOST_SELECTED
            self._reads, self._since_s = 0, now_s

    # The rest of a selector is that of everything else.

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As selectors.BaseSelector has it."""
        return self._others.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As selectors.BaseSelector has it."""
        return self._others.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As selectors.BaseSelector has it."""
        return self._others.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """As selectors.BaseSelector has it."""
        return self._others.get_map()

    def close(self) -> None:
        """As selectors.BaseSelector has it."""
        self._epoll.close()
        self._others.close()


class StreamLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on a StreamSelector."""

    def __init__(self) -> None:
        self.streams = StreamSelector()
        super().__init__(self.streams)

    def call_soon(
        self, callback: Callable[[*_Args], object], *args: *_Args, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio has it; the selector then returns."""
        self.streams.is_loop_due = True
        return super().call_soon(callback, *args, context=context)


class StreamTransport(asyncio.Transport):
    """A connected socket that the selector reads, for one protocol."""

    def __init__(self, loop: StreamLoop, connected: socket.socket, protocol: asyncio.Protocol) -> None:
        super().__init__({"socket": connected})
        self._loop = loop
        self._socket = connected
        self._fd = connected.fileno()
        self._protocol = protocol
        self._recv, self._received = connected.recv, protocol.data_received
        self._unsent = bytearray()
        self._sending: asyncio.Task[None] | None = None
        protocol.connection_made(self)
        loop.streams.add_stream(self._fd, self._read)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends at once what the system takes, the rest as it takes it."""
        if self._unsent or self._fd < 0:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._loop.call_soon(self._lose, error)
            return
        if sent < len(data):
            self._unsent += data[sent:]
            self._sending = self._loop.create_task(self._send_rest())

    def abort(self) -> None:
        """Closes at once."""
        if self._fd >= 0:
            self._loop.streams.remove_stream(self._fd)
            if self._sending is not None:
                self._sending.cancel()
                # At once, and not when the task gets to it: the next connection may have the same number by then.
                self._loop.remove_writer(self._fd)
            self._fd = -1
            self._socket.close()

    def close(self) -> None:
        """Closes at once."""
        self.abort()

    def get_write_buffer_size(self) -> int:
        """Bytes that the system has not taken yet."""
        return len(self._unsent)

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._fd < 0

    async def _send_rest(self) -> None:
        try:
            while self._unsent:
                part = bytes(self._unsent)
                await self._loop.sock_sendall(self._socket, part)
                del self._unsent[: len(part)]
        except OSError as error:
            self._lose(error)

    def _read(self) -> None:
        try:
            data = self._recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._received(data)
        else:
            self._protocol.eof_received()
            self._lose(None)

    def _lose(self, error: OSError | None) -> None:
        if self._fd >= 0:
            self.abort()
            self._protocol.connection_lost(error)
