"""One HTTP/1.1 connection, as close to the socket as a load generator needs: bytes out, body parts in."""

import asyncio
import itertools
import math
import time
from typing import Protocol, cast

import httptools

_LONGEST_HEAD = 2**16
_MOST_READ_BYTES = 2**18
"""That asyncio reads at once, and our own transport less: a head may have the start of its body behind it."""
_INTERIM = range(100, 200)
_LAST_CHUNK, _SHORT = b"0\r\n\r\n", 8
_LEAST_PARTS, _MORE_PARTS = 64, 33
"""Parsed at once. Connections differ in it, so that streams which began together are not parsed all together."""
_numbers = itertools.count()


class Receiver(Protocol):
    """What takes a response as it comes in; after end, lost or broken it hears nothing more."""

    def head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Status and headers are there; names are in lower case."""

    def body(self, parts: list[bytes], read_s: list[float]) -> None:
        """Parts of the body, and when each was read from the network, on time.perf_counter [s]."""

    def end(self, now_s: float) -> None:
        """The response is complete, or its server closed the connection in good order; when that was read [s]."""

    def lost(self, reason: str) -> None:
        """The connection broke, or closed before the head was there."""

    def broken(self, reason: str) -> None:
        """What came is not HTTP."""


class Connection(asyncio.Protocol):
    """Carries one request at a time, and the next one when its response has ended.

    A streamed answer is thousands of small reads, each a call of `data_received`; an HTTP library spends several times
    longer on them than it takes to read and parse. The grammar is left to llhttp, the parser of Node.js.

    Parts of a stream are stamped with their time as they are read, and parsed many at a time, when the stream ends, or
    when somebody wants to know (`catch_up`): between two parts of one stream come hundreds of others, and what parsing
    needs would have left the processor's caches each time.
    """

    def __init__(self) -> None:
        self._body: list[bytes] = []
        self._body_s: list[float] = []
        self.on_body = self._body.append
        """Called by the parser for each part of the body."""
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = self._unparsed_bytes = 0
        self._has_head = False
        self._now_s = 0.0
        self._is_chunked = False
        self._most_parts = _LEAST_PARTS + next(_numbers) % _MORE_PARTS
        self._parts: list[bytes] = []
        self._read_s: list[float] = []
        self._is_open = False
        self.idle_since_s = 0.0
        """When the last response ended, on time.perf_counter [s]."""

    @property
    def is_idle(self) -> bool:
        """Whether it may carry the next request."""
        return self._is_open and self._receiver is None

    @property
    def unparsed_since_s(self) -> float:
        """When the first part that waits was read, on time.perf_counter [s]; infinite where none does."""
        return self._read_s[0] if self._read_s else math.inf

    def send(self, request: bytes, receiver: Receiver) -> None:
        """Sends a whole request; what comes back goes to the receiver."""
        if self._transport is None or not self._is_open:
            receiver.lost("the connection was closed")
            return
        self._receiver, self._has_head, self._unparsed_bytes = receiver, False, 0
        self._transport.write(request)

    def close(self) -> None:
        """Ends the connection at once, whatever is under way; the receiver hears nothing of it."""
        self._receiver, self._is_open, self._is_chunked = None, False, False
        if self._transport is not None:
            self._transport.abort()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._is_open = True
        self.idle_since_s = time.perf_counter()

    def data_received(self, data: bytes) -> None:
        """Some bytes came."""
        parts = self._parts
        parts.append(data)
        self._read_s.append(time.perf_counter())
        # The mark that ends a stream may come in pieces; nothing else in one is as short as a piece of it.
        if not self._is_chunked or len(parts) >= self._most_parts or len(data) < _SHORT or data.endswith(_LAST_CHUNK):
            self.catch_up()

    def catch_up(self) -> None:
        """Parses what was read."""
        parts, read_s = self._parts, self._read_s
        if not parts:
            return
        self._parts, self._read_s = [], []
        feed, body, body_s = self._parser.feed_data, self._body, self._body_s
        try:
            for part, now_s in zip(parts, read_s, strict=True):
                if not self._has_head and self._is_head_too_long(len(part)):
                    return
                self._now_s = now_s
                feed(part)
                while len(body_s) < len(body):
                    body_s.append(now_s)
        except httptools.HttpParserUpgrade:
            self._broken("the server switched to another protocol")
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None  # a fault of ours, and not of what came
        except httptools.HttpParserError as error:
            self._broken(str(error))
        self._hand_on()

    def eof_received(self) -> bool:
        """The server sends nothing more; that ends a body whose length nothing else tells."""
        self.catch_up()
        receiver, self._receiver, self._is_open = self._receiver, None, False
        if receiver is not None and self._has_head:
            receiver.end(time.perf_counter())
        elif receiver is not None:
            receiver.lost("the server closed the connection without an answer")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.catch_up()
        receiver, self._receiver, self._is_open = self._receiver, None, False
        if receiver is not None:
            receiver.lost(_why_lost(exc))

    # Called by the parser.

    def on_message_begin(self) -> None:
        """A response begins."""
        if self._receiver is None:
            self.close()  # nobody asked for it, and the next request must not take it for its own
        self._headers, self._head_bytes = {}, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _LONGEST_HEAD:
            self._broken(f"headers of more than {_LONGEST_HEAD:,} bytes")
        else:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is there."""
        if self._receiver is not None and (status := self._parser.get_status_code()) not in _INTERIM:
            self._has_head = True
            self._is_chunked = self._headers.get(b"transfer-encoding", b"").strip().lower() == b"chunked"
            self._receiver.head(status, self._headers)

    def on_message_complete(self) -> None:
        """The response is complete."""
        self._hand_on()
        if self._receiver is not None and self._parser.get_status_code() in _INTERIM:
            return
        receiver, self._receiver, self._is_chunked = self._receiver, None, False
        is_sent = self._transport is not None and not self._transport.get_write_buffer_size()
        if receiver is None or not is_sent or not self._parser.should_keep_alive():
            self.close()  # an answer that nobody asked for, or before the request was there, or the last one
        self.idle_since_s = self._now_s
        if receiver is not None:
            receiver.end(self._now_s)

    def _hand_on(self) -> None:
        """Hands the receiver what has come of the body."""
        if not self._body:
            return
        parts, read_s = self._body.copy(), self._body_s.copy()
        self._body.clear()
        self._body_s.clear()
        while len(read_s) < len(parts):
            read_s.append(self._now_s)
        if self._receiver is not None:
            self._receiver.body(parts, read_s)

    def _is_head_too_long(self, more_bytes: int) -> bool:
        """Whether a head without an end is given up; the parser would gather it."""
        self._unparsed_bytes += more_bytes
        is_too_long = self._unparsed_bytes > _LONGEST_HEAD + _MOST_READ_BYTES
        if is_too_long:
            self._broken(f"headers of more than {_LONGEST_HEAD:,} bytes")
        return is_too_long

    def _broken(self, reason: str) -> None:
        self._hand_on()
        receiver = self._receiver
        self.close()
        if receiver is not None:
            receiver.broken(reason)


def _why_lost(error: Exception | None) -> str:
    return "the connection was closed" if error is None else getattr(error, "strerror", None) or str(error)
