"""What a server of known truth answers with: the parts of a stream, each written where a fault wants it."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WORD = "zäh☃ "
"""Of two characters outside ASCII, so that a cut can go through one."""
LAST = b"0\r\n\r\n"
SETTLE_S = 0.02
"""Long enough for a client to read what came before a connection breaks."""


@dataclass
class Served:
    """One request as the server saw it; times of time.perf_counter [s].

    Attributes:
        token_s: when each chunk with output was sent.
        input_tokens: of the prompt, by this server's tokenizer.
        usage: what it told of tokens; None where it told nothing.
    """

    connection: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    mode: str
    arrived_s: float
    token_s: list[float] = field(default_factory=list)
    input_tokens: int = 0
    usage: Any = None


class Stage:
    """One answer on its way out. What plays on it returns whether the connection goes on."""

    def __init__(self, served: Served, writer: asyncio.StreamWriter, first_s: float, gap_s: float) -> None:
        self.served = served
        self.first_s, self.gap_s = first_s, gap_s
        self.is_chat = served.path.endswith("/chat/completions")
        self.tokens = int(served.body.get("max_tokens", 0))
        self.frame: Callable[[bytes], bytes] = chunk
        self.model: str | None = None
        self._writer = writer

    async def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def send(self, text: str | bytes, piece: int | None = None) -> None:
        """A part of the body; in pieces of so many bytes, each in a frame of its own."""
        data = text if isinstance(text, bytes) else text.encode()
        for place in range(0, len(data), piece or len(data)):
            await self.raw(self.frame(data[place : place + (piece or len(data))]))
            if piece:
                await asyncio.sleep(0)

    async def open(self, head: bytes = STREAM) -> None:
        """The head, the role, and the time until the first token."""
        await self.raw(head)
        await self.role()
        await asyncio.sleep(self.first_s)

    async def role(self) -> None:
        """The chunk of a chat that names the role, which is no token."""
        if self.is_chat:
            await self.send(self.chunk_of({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}))

    async def output(self, start: int, stop: int, per_chunk: int = 1, piece: int | None = None) -> None:
        """The tokens from start to stop."""
        for place in range(start, stop, per_chunk):
            if place:
                await asyncio.sleep(self.gap_s)
            text = self.token(WORD * min(per_chunk, stop - place))
            await self.send(text, piece)

    async def half(self) -> None:
        """The head and half of the tokens."""
        await self.open()
        await self.output(0, self.tokens // 2)

    def token(self, text: str = WORD, key: str = "content", **more: Any) -> str:
        """An event with output, noted down as sent."""
        self.served.token_s.append(time.perf_counter())
        return self.choice(text, key=key, **more)

    def choice(self, text: str, key: str = "content", finish_reason: str | None = None, **more: Any) -> str:
        """An event with one choice."""
        inner = {"delta": {key: text}} if self.is_chat else {"text": text}
        return self.chunk_of({"choices": [{"index": 0, **inner, "finish_reason": finish_reason}], **more})

    def usage(self, *, details: dict[str, Any] | None = None, **instead: Any) -> str:
        """The event that counts tokens, truly or otherwise, noted down as told."""
        told: dict[str, Any] = {"prompt_tokens": self.served.input_tokens, "completion_tokens": self.tokens}
        self.served.usage = told | instead | (details or {})
        return self.chunk_of({"choices": [], "usage": self.served.usage})

    def chunk_of(self, data: dict[str, Any]) -> str:
        """An event that names the model."""
        return event({"model": self.model or self.served.body.get("model"), **data})

    async def rest(self, start: int = 0, usage: str | None = None, *, has_done: bool = True) -> bool:
        """Tokens, finish_reason, usage and [DONE]; the connection goes on."""
        await self.output(start, self.tokens)
        await self.send(self.choice("", finish_reason="length"))
        told = self.usage() if usage is None else usage
        if told:
            await self.send(told)
        if has_done:
            await self.send("data: [DONE]\n\n")
        return await self.last()

    async def last(self) -> bool:
        """The end of the body."""
        if self.frame is chunk:
            await self.raw(LAST)
            return True
        return await self.fin()

    async def fin(self) -> bool:
        """Ends the connection in good order."""
        await self._writer.drain()
        await asyncio.sleep(SETTLE_S)
        return False

    async def reset(self) -> bool:
        """Breaks the connection."""
        await self.fin()
        now = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        return False


def event(data: Any) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def chunk(data: bytes) -> bytes:
    """A chunk of HTTP's chunked coding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def bare(data: bytes) -> bytes:
    """A body without any coding."""
    return data


def plain(status: int, body: Any, *headers: str) -> bytes:
    """A whole answer."""
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind = "text/plain" if isinstance(body, str) else "application/json"
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(raw)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + raw
