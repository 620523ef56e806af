"""A server of known truth and bad manners: raw sockets, so that every byte and its time are its own doing."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Self

from faults import FAULTS
from stage import Served, Stage, plain

FIXED_TOKENS = 7


def tokens_of(text: str) -> int:
    """This server's tokenizer: a token per three letters begun."""
    return sum(-(-len(word) // 3) for word in text.split())


class KnownServer:
    """Serves in a thread while it is used in a `with`.

    Attributes:
        modes: how requests are answered, in turn: names of faults.FAULTS.
        first_s, gap_s: from a request to its first token, and between tokens [s].
        queue: whether requests are served one after the other.
        log: generation requests, in order of arrival.
        pages: what GET answers: path → (status, body); others are not found.
        has_tokenize: whether there is a `/tokenize`.
        counts_tools: whether tools are part of a prompt.
        has_metrics: whether there is a `/metrics`, which counts the chunks with output as tokens.
        started_s: when it was started or restarted, on the wall clock [s].
        extra_tokens: counted on top, as for somebody else.
        silent: paths of questions that it never answers.
        tokens_of: its tokenizer, of the text of a message.
        tokenized: bodies of `/tokenize`, in order of arrival.
        most_tokenized: how many of them it counts; the others are not found.
    """

    def __init__(
        self, *modes: str, first_s: float = 0.01, gap_s: float = 0.0, queue: bool = False, port: int = 0
    ) -> None:
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
        self.has_metrics = False
        self.counts_tools = True
        self.started_s = time.time()
        self.extra_tokens = 0
        self.silent: set[str] = set()
        self.tokens_of: Callable[[str], int] = tokens_of
        self.tokenized: list[dict[str, Any]] = []
        self.most_tokenized = 1_000_000
        self._counted_from = 0
        self.connections = self.in_flight = 0
        self.port = port
        self._queue = asyncio.Lock() if queue else None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def restart(self, down_s: float, started_later_s: float = 100.0) -> None:
        """Breaks every connection, refuses new ones for a time, and counts from nothing."""

        async def work() -> None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(down_s)
            self.started_s += started_later_s
            self._counted_from = len(self.log)
            await self._listen()

        asyncio.run_coroutine_threadsafe(work(), self._loop).result()

    def _metrics(self) -> str:
        tokens = self.extra_tokens + sum(len(served.token_s) for served in self.log[self._counted_from :])
        return (
            "# TYPE process_start_time_seconds gauge\n"
            f"process_start_time_seconds {self.started_s}\n"
            "# TYPE vllm:generation_tokens_total counter\n"
            f'vllm:generation_tokens_total{{engine="0",model_name="m"}} {tokens}\n'
        )

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
        writer.transport.set_write_buffer_limits(0)  # what is drained has gone out
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
        is_question = method == "GET" or path == "/tokenize"
        is_early = not is_question and FAULTS[self._mode(number)].is_early
        raw = b"{}" if is_early else await reader.readexactly(int(headers.get("content-length", "0")))
        if is_question:
            if path in self.silent:
                self.asked.append(path)
                await asyncio.sleep(1000)
            writer.write(self._question(path, raw))
            return True
        body = json.loads(raw)
        served = Served(
            number, path, headers, body, self._mode(number), arrived_s, input_tokens=self._input_tokens(body)
        )
        self.log.append(served)
        stage = Stage(served, writer, self.first_s, self.gap_s)
        self.in_flight += 1
        try:
            async with self._queue or nullcontext():
                return await FAULTS[served.mode].play(stage)
        finally:
            self.in_flight -= 1

    def _mode(self, connection: int) -> str:
        return self.modes[len(self.log) % len(self.modes)]

    def _question(self, path: str, raw: bytes) -> bytes:
        self.asked.append(path)
        if path == "/tokenize" and self.has_tokenize:
            self.tokenized.append(json.loads(raw))
            if len(self.tokenized) <= self.most_tokenized:
                return plain(200, {"count": self._input_tokens(self.tokenized[-1])})
        if path == "/metrics" and self.has_metrics:
            return plain(200, self._metrics())
        return plain(*self.pages.get(path, (404, {"detail": "Not Found"})))

    def _input_tokens(self, body: dict[str, Any]) -> int:
        if "prompt" in body:
            return self.tokens_of(body["prompt"])
        tools = json.dumps(body["tools"]) if "tools" in body and self.counts_tools else ""
        return FIXED_TOKENS + self.tokens_of(tools) + sum(map(self._message_tokens, body.get("messages", ())))

    def _message_tokens(self, message: dict[str, Any]) -> int:
        content = message.get("content") or ""
        texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
        texts += [call["function"]["arguments"] for call in message.get("tool_calls", ())]
        return sum(map(self.tokens_of, texts))
