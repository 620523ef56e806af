"""Connections that are kept, closed behind our back, given up, or answered too early."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from faults import FAULTS, Fault
from known_server import KnownServer
from stage import STREAM, WORD, Stage, event, plain

from planner.engines.answers import CANCELLED, Answer
from planner.engines.exchange import Timeouts
from planner.engines.http1 import Connection
from planner.engines.loop import client_loop
from planner.engines.openai_http import OpenAIClient
from planner.engines.streams import StreamLoop
from planner.engines.target import Target

TOKENS = 5
Loops = Callable[[], asyncio.AbstractEventLoop] | None
both = pytest.mark.parametrize("loops", [pytest.param(None, id="asyncio"), pytest.param(client_loop(), id="streams")])


def run(server: KnownServer, loops: Loops, work: Callable[[OpenAIClient], Coroutine[Any, Any, Any]]) -> Any:
    async def opened() -> Any:
        async with OpenAIClient(Target(server.url), "chat", Timeouts(20.0)) as client:
            return await work(client)

    with asyncio.Runner(loop_factory=loops) as runner:
        return runner.run(opened())


async def ask(client: OpenAIClient, prompt: str = "time", tokens: int = TOKENS) -> Answer:
    answer = Answer()
    await client.ask(client.body("m", prompt, tokens), answer)
    return answer


def serve(monkeypatch: pytest.MonkeyPatch, play: Callable[[Stage], Coroutine[Any, Any, bool]]) -> KnownServer:
    """A server with a mode of its own, then ordinary ones."""
    monkeypatch.setitem(FAULTS, "special", Fault("", play))
    return KnownServer("special", "ok")


@both
def test_a_kept_connection_that_the_server_closed_is_not_used_again(
    loops: Loops, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closes(stage: Stage) -> bool:
        await FAULTS["ok"].play(stage)
        return await stage.fin()  # without having said so

    async def work(client: OpenAIClient) -> list[str]:
        outcomes = []
        for _ in range(4):
            outcomes.append((await ask(client)).outcome)
            await asyncio.sleep(0.2)
        return outcomes

    with serve(monkeypatch, closes) as server:
        assert run(server, loops, work) == ["ok"] * 4
        assert [served.connection for served in server.log] == [1, 2, 2, 3]


@both
def test_an_answer_that_nobody_asked_for_is_nobodys(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    async def twice(stage: Stage) -> bool:
        await FAULTS["ok"].play(stage)
        await stage.raw(plain(500, "and another one")[:-5])  # not even whole
        return True

    async def work(client: OpenAIClient) -> list[Answer]:
        answers = [await ask(client)]
        await asyncio.sleep(0.1)
        return [*answers, await ask(client)]

    with serve(monkeypatch, twice) as server:
        first, second = run(server, loops, work)
        assert [served.connection for served in server.log] == [1, 2]
    assert (first.outcome, second.outcome, second.output_tokens) == ("ok", "ok", TOKENS)


@both
def test_what_comes_after_a_request_was_cancelled_does_not_reach_the_next(loops: Loops) -> None:
    async def work(client: OpenAIClient) -> tuple[Answer, list[Answer]]:
        cancelled = Answer()
        task = asyncio.create_task(client.ask(client.body("m", "first", 1000), cancelled))
        while len(cancelled.chunk_s) < 2:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.fail(CANCELLED)
        came = len(cancelled.chunk_s)
        others = [await ask(client) for _ in range(3)]
        assert len(cancelled.chunk_s) == came
        return cancelled, others

    with KnownServer(gap_s=0.005) as server:
        cancelled, others = run(server, loops, work)
        assert [served.connection for served in server.log] == [1, 2, 2, 2]
    assert cancelled.outcome == CANCELLED
    for answer in others:
        assert (answer.outcome, len(answer.chunk_s), answer.output_tokens) == ("ok", TOKENS, TOKENS)


@both
def test_a_stream_that_failed_half_way_does_not_reach_the_next(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    async def goes_on(stage: Stage) -> bool:
        await stage.raw(STREAM)
        await stage.send(event({"error": {"message": "full"}}))
        return await stage.rest()

    async def work(client: OpenAIClient) -> list[Answer]:
        return [await ask(client), await ask(client)]

    with serve(monkeypatch, goes_on) as server:
        first, second = run(server, loops, work)
    assert (first.outcome, first.message, first.chunk_s) == ("stream_error", "full", [])
    assert (second.outcome, len(second.chunk_s)) == ("ok", TOKENS)


@both
@pytest.mark.parametrize("closes", [True, False])
def test_an_answer_before_the_body_was_read_counts(loops: Loops, closes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(stage: Stage) -> bool:
        await stage.raw(plain(413, "too large", *(["Connection: close"] if closes else [])))
        await asyncio.sleep(0.3)  # then closes with most of the body unread
        return False

    async def work(client: OpenAIClient) -> list[Answer]:
        return [await ask(client, "word " * 4_000_000), await ask(client)]

    monkeypatch.setitem(FAULTS, "special", Fault("", refuses, is_early=True))
    with KnownServer("special", "ok") as server:
        first, second = run(server, loops, work)
        assert [served.connection for served in server.log] == [1, 2], "what is half sent carries no other request"
    assert (first.outcome, first.message) == ("http_413", "too large")
    assert second.outcome == "ok"


@pytest.mark.skipif(client_loop() is not StreamLoop, reason="asyncio's own transport loses it")
def test_an_answer_is_read_even_where_the_server_then_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(stage: Stage) -> bool:
        await stage.raw(plain(413, "too large", "Connection: close"))
        return False  # at once: what is still being sent meets a reset

    async def work(client: OpenAIClient) -> list[Answer]:
        return [await ask(client, "word " * 4_000_000) for _ in range(10)]

    monkeypatch.setitem(FAULTS, "special", Fault("", refuses, is_early=True))
    with KnownServer("special") as server:
        assert {answer.outcome for answer in run(server, client_loop(), work)} == {"http_413"}


class Heard:
    """Keeps what a connection tells."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def head(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.told.append(f"head {status}")

    def body(self, parts: list[bytes], read_s: list[float]) -> None:
        self.told += [f"body {len(part)}" for part, _ in zip(parts, read_s, strict=True)]

    def end(self, now_s: float) -> None:
        self.told.append("end")

    def lost(self, reason: str) -> None:
        self.told.append("lost")

    def broken(self, reason: str) -> None:
        self.told.append(reason)


class Sink(asyncio.Transport):
    """Takes everything."""

    def write(self, data: Any) -> None:
        pass

    def abort(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


def test_answers_are_the_same_wherever_the_network_cuts_them() -> None:
    body = (event({"choices": [{"delta": {"content": WORD}}]}) * 3).encode()
    whole = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        + plain(200, "").replace(b"Content-Length: 0", b"Content-Length: %d" % len(body))
        + body
    )
    for cut in range(1, len(whole)):
        connection, heard = Connection(), Heard()
        connection.connection_made(Sink())
        connection.send(b"", heard)
        connection.data_received(whole[:cut])
        connection.data_received(whole[cut:])
        sizes = [int(part[5:]) for part in heard.told if part.startswith("body")]
        assert (heard.told[0], heard.told[-1], sum(sizes)) == ("head 200", "end", len(body))
        assert connection.is_idle


def test_a_head_without_an_end_is_given_up() -> None:
    connection, heard = Connection(), Heard()
    connection.connection_made(Sink())
    connection.send(b"", heard)
    connection.data_received(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(100):
        connection.data_received(b"x" * 2**16)
    assert heard.told == ["headers of more than 65,536 bytes"]
    assert not connection.is_idle
