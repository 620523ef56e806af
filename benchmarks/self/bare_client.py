"""What a client cannot do without, and no more: a lower bound for every other one.

Raw asyncio protocols on kept connections, uvloop and orjson where they are installed, JSON parsed in every chunk.
No errors, no retries, no TLS; one event per HTTP chunk, as vLLM writes it. Prints its figures as JSON.

    python bare_client.py http://127.0.0.1:8000 --users 256 --requests 2500 --output-tokens 64
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import numpy as np

try:
    from orjson import loads
except ImportError:
    loads = json.loads
try:
    from uvloop import new_event_loop
except ImportError:
    new_event_loop = None


class Connection(asyncio.Protocol):
    """A kept connection: one request at a time."""

    def __init__(self) -> None:
        self.rest = b""
        self.is_in_body = False
        self.chunk_s: list[float] = []
        self.tokens = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio's protocol."""
        self.transport = cast(asyncio.WriteTransport, transport)

    def ask(self, request: bytes, on_end: Callable[[], None]) -> None:
        """Sends a request."""
        self.on_end, self.chunk_s, self.tokens = on_end, [], 0
        self.sent_s = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Part of asyncio's protocol: takes HTTP chunks apart, and JSON in each."""
        now_s = time.perf_counter()
        data = self.rest + data if self.rest else data
        at = 0
        if not self.is_in_body and (end := data.find(b"\r\n\r\n")) >= 0:
            self.is_in_body, at = True, end + 4
        while self.is_in_body and (line := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:line], 16)
            end = line + 2 + size
            if len(data) < end + 2:
                break
            at = end + 2
            if size == 0:
                self.is_in_body = False
                self.rest = data[at:]
                self.on_end()
                return
            self.take(data[line + 8 : end], now_s)
        self.rest = data[at:]

    def take(self, payload: bytes, now_s: float) -> None:
        """Takes an event, without its `data: `."""
        if payload.startswith(b"[DONE]"):
            return
        chunk = loads(payload)
        if chunk["choices"]:
            if chunk["choices"][0]["delta"].get("content"):
                self.chunk_s.append(now_s)
        else:
            self.tokens = chunk["usage"]["completion_tokens"]


async def load(options: argparse.Namespace) -> dict[str, float]:
    """Makes all requests, and tells the figures [s]."""
    loop, address = asyncio.get_running_loop(), urlsplit(options.url)
    words = " ".join(["word"] * options.input_tokens)
    body = json.dumps(
        {
            "model": "truth",
            "messages": [{"role": "user", "content": words}],
            "max_tokens": options.output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    left, ttft_s, gaps_s, tokens = options.requests, [], [], 0
    idle: list[Connection] = []
    done = loop.create_future()

    def ask(connection: Connection) -> None:
        nonlocal left
        left -= 1
        connection.ask(request, lambda: end(connection))

    def end(connection: Connection) -> None:
        nonlocal tokens
        ttft_s.append(connection.chunk_s[0] - connection.sent_s)
        gaps_s.append(np.diff(connection.chunk_s))
        tokens += connection.tokens
        if options.rate is None and left:
            ask(connection)
        else:
            idle.append(connection)
        if len(ttft_s) == options.requests:
            done.set_result(None)

    async def connect() -> Connection:
        return (await loop.create_connection(Connection, address.hostname, address.port))[1]

    if options.rate is None:
        for connection in [await connect() for _ in range(min(options.users, options.requests))]:
            ask(connection)
    else:
        due_s, rng = time.perf_counter(), random.Random(0)  # noqa: S311 - arrivals, no secrets
        for _ in range(options.requests):
            due_s += rng.expovariate(options.rate)
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            ask(idle.pop() if idle else await connect())
    await done
    ttft, gaps = np.array(ttft_s), np.concatenate(gaps_s)
    quantiles = {"p50": 50, "p99": 99}
    return {
        "ok": len(ttft_s),
        "output_tokens": tokens,
        **{f"ttft_{name}_s": float(np.percentile(ttft, share)) for name, share in quantiles.items()},
        **{f"itl_{name}_s": float(np.percentile(gaps, share)) for name, share in quantiles.items()},
        "itl_mean_s": float(gaps.mean()),
    }


def main() -> None:
    """Reads the options, and prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--users", type=int, default=1)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--input-tokens", type=int, default=64)
    parser.add_argument("--output-tokens", type=int, default=64)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(load(parser.parse_args()))) + "\n")


if __name__ == "__main__":
    main()
