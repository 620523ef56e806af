"""Parts of a stream: stamped when they are read, parsed later, and never too late to matter."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest

from planner.engines.answers import Answer
from planner.engines.exchange import Timeouts
from planner.engines.http1 import Connection
from planner.engines.loop import client_loop
from planner.engines.openai_http import OpenAIClient
from planner.engines.target import Target

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'


class Kept:
    """A receiver that keeps what it hears."""

    def __init__(self) -> None:
        self.bodies: list[tuple[bytes, float]] = []
        self.ended: list[str] = []

    def head(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.status, self.headers = status, headers

    def body(self, parts: list[bytes], read_s: list[float]) -> None:
        self.bodies += zip(parts, read_s, strict=True)

    def end(self, now_s: float) -> None:
        self.ended.append("end")
        self.ended_s = now_s

    def lost(self, reason: str) -> None:
        self.ended.append("lost")

    def broken(self, reason: str) -> None:
        self.ended.append("broken")


class Transport:
    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


def asked() -> tuple[Connection, Kept]:
    connection, kept = Connection(), Kept()
    transport: Any = Transport()
    connection.connection_made(transport)
    connection.send(b"POST / HTTP/1.1\r\n\r\n", kept)
    return connection, kept


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_each_part_has_the_time_at_which_it_was_read() -> None:
    connection, kept = asked()
    connection.data_received(HEAD)
    between_s = []
    for _ in range(5):
        before_s = time.perf_counter()
        connection.data_received(chunk(EVENT))
        between_s.append((before_s, time.perf_counter()))
        time.sleep(0.002)
    assert kept.bodies == [], "they wait"
    assert connection.unparsed_since_s == pytest.approx(between_s[0][0], abs=0.01)
    connection.catch_up()
    assert [part for part, _ in kept.bodies] == [EVENT] * 5
    assert all(first <= now_s <= last for (_, now_s), (first, last) in zip(kept.bodies, between_s, strict=True))


def test_no_more_than_some_parts_wait() -> None:
    connection, kept = asked()
    connection.data_received(HEAD)
    for _ in range(200):
        connection.data_received(chunk(EVENT))
    assert len(kept.bodies) >= 100


@pytest.mark.parametrize("pieces", [[5], [1, 4], [2, 3], [3, 2], [4, 1], [1, 1, 1, 1, 1]])
@pytest.mark.parametrize("before", [b"", chunk(b"data: [DONE]\n\n")])
def test_end_is_known_at_once_however_it_comes(pieces: list[int], before: bytes) -> None:
    connection, kept = asked()
    connection.data_received(HEAD)
    connection.data_received(chunk(EVENT))
    mark, place = b"0\r\n\r\n", 0
    for number, length in enumerate(pieces):
        assert kept.ended == []
        connection.data_received((before if number == 0 else b"") + mark[place : place + length])
        place += length
    assert kept.ended == ["end"]
    assert connection.is_idle


def test_what_waits_is_parsed_before_a_connection_is_told_to_have_ended() -> None:
    for end in ("eof", "reset"):
        connection, kept = asked()
        connection.data_received(HEAD + chunk(EVENT))
        connection.data_received(chunk(EVENT))
        if end == "eof":
            connection.eof_received()
        connection.connection_lost(None if end == "eof" else ConnectionResetError("reset"))
        assert [part for part, _ in kept.bodies] == [EVENT] * 2
        assert kept.ended == ["end" if end == "eof" else "lost"]


def test_length_that_is_told_needs_no_mark() -> None:
    connection, kept = asked()
    connection.data_received(b"HTTP/1.1 429 Too Many\r\nContent-Length: 20\r\n\r\n" + b"x" * 12)
    connection.data_received(b"x" * 8)
    assert kept.ended == ["end"]
    assert b"".join(part for part, _ in kept.bodies) == b"x" * 20


def test_stream_of_the_next_request_waits_for_nothing_of_the_last() -> None:
    connection, first = asked()
    connection.data_received(HEAD + chunk(EVENT))
    connection.data_received(chunk(EVENT) + b"0\r\n\r\n")
    second = Kept()
    connection.send(b"POST / HTTP/1.1\r\n\r\n", second)
    connection.data_received(HEAD)
    assert second.status == 200
    connection.data_received(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    assert (len(first.bodies), len(second.bodies)) == (2, 1)
    assert (first.ended, second.ended) == (["end"], ["end"])


def test_fault_of_ours_is_not_told_as_one_of_the_server() -> None:
    class Faulty(Kept):
        def body(self, parts: list[bytes], read_s: list[float]) -> None:
            raise ZeroDivisionError

    connection, _ = asked()
    connection.send(b"", Faulty())
    with pytest.raises(ZeroDivisionError):
        connection.data_received(HEAD + chunk(EVENT))


FINISH = chunk(b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n')


@pytest.mark.parametrize(
    ("rest", "outcome"),
    [
        (chunk(b'data: {"error": {"message": "out of memory"}}\n\n'), "stream_error"),
        (FINISH + b"0\r\nExpires: 0\r\n\r\n", "ok"),
        (FINISH + chunk(b"data: [DONE]\n\n"), "ok"),
    ],
    ids=["an error, and silence", "a trailer", "all of it but the end"],
)
@pytest.mark.parametrize("loop", [None, client_loop()], ids=["asyncio", "streams"])
def test_end_without_the_usual_mark_is_seen_soon_and_has_its_own_time(rest: bytes, outcome: str, loop: Any) -> None:
    sent_s: list[float] = []
    is_over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(HEAD + chunk(EVENT))
        await asyncio.sleep(0.05)
        sent_s.append(time.perf_counter())
        writer.write(rest)
        with suppress(ConnectionError):
            await reader.read()  # says nothing more until the client leaves
        writer.transport.abort()
        is_over.set()

    async def work() -> Answer:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port, answer = server.sockets[0].getsockname()[1], Answer()
        async with OpenAIClient(Target(f"http://127.0.0.1:{port}"), "chat", Timeouts(30.0, idle_s=1.0)) as client:
            await client.ask(b"{}", answer)
        await asyncio.wait_for(is_over.wait(), 10)
        await asyncio.sleep(0)
        server.close()
        return answer

    with asyncio.Runner(loop_factory=loop) as runner:
        answer = runner.run(work())
    assert answer.outcome == outcome, "and not a limit of time"
    assert len(answer.chunk_s) == 1
    assert answer.finished_s is not None
    assert -0.1 < answer.finished_s - sent_s[0] < 0.2, "when it came, not when it was parsed or given up"
