"""A server of known truth and bad manners: raw sockets, so that every byte and its time are its own doing."""

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

FIXED_TOKENS = 7
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WORD = "zäh☃ "
"""Of two characters outside ASCII, so that a cut can go through one."""


def tokens_of(text: str) -> int:
    """This server's tokenizer: a token per three letters begun."""
    return sum(-(-len(word) // 3) for word in text.split())


@dataclass
class Served:
    """One request as the server saw it; times of time.perf_counter [s]."""

    connection: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    mode: str
    arrived_s: float
    token_s: list[float] = field(default_factory=list)
    input_tokens: int = 0


class KnownServer:
    """Serves in a thread while it is used in a `with`.

    Attributes:
        modes: how requests are answered, in turn: see `_answer`.
        first_s, gap_s: from a request to its first token, and between tokens [s].
        queue: whether requests are served one after the other.
        log: generation requests, in order of arrival.
        pages: what GET answers: path → (status, body); others are not found.
        has_tokenize: whether there is a `/tokenize`.
    """

    def __init__(self, *modes: str, first_s: float = 0.01, gap_s: float = 0.0, queue: bool = False) -> None:
        self.modes = modes or ("ok",)
        self.first_s, self.gap_s = first_s, gap_s
        self.log: list[Served] = []
        self.asked: list[str] = []
        self.pages: dict[str, tuple[int, Any]] = {
            "/health": (200, ""),
            "/v1/models": (200, {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 4096}]}),
            "/version": (200, {"version": "0.32.0"}),
        }
        self.has_tokenize = True
        self.connections = 0
        self._queue = asyncio.Lock() if queue else None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._connected, "127.0.0.1", 0), self._loop
        ).result()
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        try:
            while await self._request(number, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _request(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        arrived_s = time.perf_counter()
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        if method == "GET" or path == "/tokenize":
            self.asked.append(path)
            status, body = self.pages.get(path, (404, {"detail": "Not Found"}))
            if path == "/tokenize" and self.has_tokenize:
                status, body = 200, {"count": self._input_tokens(json.loads(raw))}
            writer.write(plain(status, body))
            return True
        body = json.loads(raw)
        mode = self.modes[len(self.log) % len(self.modes)]
        served = Served(number, path, headers, body, mode, arrived_s, input_tokens=self._input_tokens(body))
        self.log.append(served)
        if self._queue is None:
            return await self._answer(served, writer)
        async with self._queue:
            return await self._answer(served, writer)

    @staticmethod
    def _input_tokens(body: dict[str, Any]) -> int:
        if "prompt" in body:
            return tokens_of(body["prompt"])
        return FIXED_TOKENS + sum(tokens_of(message["content"]) for message in body["messages"])

    async def _answer(self, served: Served, writer: asyncio.StreamWriter) -> bool:
        """Answers in the request's mode; False where the connection is over."""
        mode = served.mode
        if mode.startswith("http_"):
            said = {"error": {"message": f"you sent {served.headers.get('authorization', 'nothing')}"}}
            writer.write(plain(int(mode[5:]), said))
            return True
        if mode in ("reset_before", "eof_before"):
            return self._end(writer, mode)
        if mode == "hang":
            await asyncio.sleep(60)
        if mode == "garbage":
            writer.write(b"what is this\r\n\r\n")
            await writer.drain()
            return False
        if mode == "no_stream":
            writer.write(plain(200, {"choices": [{"message": {"content": "x"}}]}))
            return True
        return await self._stream(served, writer)

    async def _stream(self, served: Served, writer: asyncio.StreamWriter) -> bool:
        mode, is_chat = served.mode, served.path.endswith("/chat/completions")

        def send(text: str) -> None:
            writer.write(chunk(text.encode()))

        def content(text: str, **more: Any) -> str:
            inner = {"delta": {more.pop("key", "content"): text}} if is_chat else {"text": text}
            return event({"choices": [{"index": 0, **inner, "finish_reason": None, **more}]})

        writer.write(STREAM)
        if mode == "reset_after_head":
            await writer.drain()
            await asyncio.sleep(0.02)
            return self._end(writer, mode)
        if is_chat:  # the role comes early, and is no token
            send(event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}))
        await asyncio.sleep(self.first_s)
        count = 0 if mode == "empty" else int(served.body["max_tokens"])
        per_chunk = 4 if mode == "several" else 1
        for start in range(0, count, per_chunk):
            if start:
                await asyncio.sleep(self.gap_s)
            served.token_s.append(time.perf_counter())
            text = content(
                WORD * min(per_chunk, count - start), key="reasoning_content" if mode == "think" else "content"
            )
            if mode == "split":
                data = f": ping\r\n\r\n{text}".replace("\n", "\r\n").encode()
                for place in range(0, len(data), 3):
                    writer.write(chunk(data[place : place + 3]))
                    await asyncio.sleep(0)
            else:
                send(text)
            if start + per_chunk >= count / 2 and await self._misbehave(served, writer, send):
                return self._end(writer, mode)
        if mode != "no_finish":
            send(content("", finish_reason="length"))
        if mode not in ("no_usage",):
            usage = {"prompt_tokens": served.input_tokens, "completion_tokens": count}
            send(event({"choices": [], "usage": usage}))
        if mode != "no_done":
            send("data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        return True

    @staticmethod
    def _end(writer: asyncio.StreamWriter, mode: str) -> bool:
        """Ends the connection where the mode says so: with a reset, or in good order; else it goes on."""
        if mode.startswith("reset"):
            now = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        return not mode.startswith(("reset", "eof"))

    async def _misbehave(self, served: Served, writer: asyncio.StreamWriter, send: Callable[[str], None]) -> bool:
        """Ends a stream half-way, in its mode's own way."""
        endings = {
            "truncated": "",
            "stream_error": event({"error": {"message": "out of memory", "code": 500}}),
            "malformed": 'data: {"choices": [\n\n',
            "bad_utf8": "",
        }
        if served.mode in ("reset_mid", "eof_mid"):
            await writer.drain()
            await asyncio.sleep(0.02)
            return True
        if served.mode not in endings:
            return False
        if endings[served.mode]:
            send(endings[served.mode])
        if served.mode == "bad_utf8":
            writer.write(chunk(b'data: {"choices": [{"text": "\xff"}]}\n\n'))
        writer.write(b"0\r\n\r\n")
        return True


def event(data: Any) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def chunk(data: bytes) -> bytes:
    """A chunk of HTTP's chunked coding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def plain(status: int, body: Any) -> bytes:
    """A whole answer."""
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind = "text/plain" if isinstance(body, str) else "application/json"
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw
