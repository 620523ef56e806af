"""The streaming client against a server that knows what it sent."""

import asyncio
import errno
import os
import socket

import pytest
from known_server import KnownServer, Served

from planner.engines.answers import Answer
from planner.engines.exchange import Timeouts
from planner.engines.openai_http import EndpointKind, OpenAIClient
from planner.engines.pool import Pool
from planner.engines.target import Target

TOKENS = 8


def ask(server: KnownServer, *, times: int = 1, kind: EndpointKind = "chat", timeout_s: float = 5.0) -> list[Answer]:
    """Answers to requests sent one after the other."""

    async def work() -> list[Answer]:
        answers = []
        async with OpenAIClient(Target(server.url), kind, Timeouts(timeout_s)) as client:
            for _ in range(times):
                answer = Answer()
                await client.ask(client.body("m", "time year people", TOKENS), answer)
                answers.append(answer)
        return answers

    return asyncio.run(work())


def one(server: KnownServer, kind: EndpointKind = "chat", timeout_s: float = 5.0) -> tuple[Answer, Served]:
    (answer,) = ask(server, kind=kind, timeout_s=timeout_s)
    (served,) = server.log
    return answer, served


@pytest.mark.parametrize("kind", ["chat", "completions"])
@pytest.mark.parametrize("mode", ["ok", "split", "think", "no_finish", "no_done"])
def test_whole_answers_are_counted_exactly(mode: str, kind: EndpointKind) -> None:
    with KnownServer(mode, gap_s=0.01) as server:
        answer, served = one(server, kind)
    assert (answer.outcome, answer.message) == ("ok", "")
    assert len(answer.chunk_s) == len(served.token_s) == TOKENS
    assert answer.output_tokens == TOKENS
    assert answer.input_tokens == served.input_tokens
    assert answer.sent_s is not None
    assert answer.finished_s is not None
    # The client cannot see a token before it was sent, nor the role chunk as one.
    assert all(seen > sent for seen, sent in zip(answer.chunk_s, served.token_s, strict=True))
    assert answer.sent_s < served.arrived_s < answer.chunk_s[0]
    assert answer.finished_s >= answer.chunk_s[-1]


def test_request_asks_for_a_stream_of_that_many_tokens() -> None:
    with KnownServer() as server:
        _, served = one(server)
    body = served.body
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "time year people"}],
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_several_tokens_in_a_chunk_are_counted_by_usage() -> None:
    with KnownServer("several") as server:
        answer, _ = one(server)
    assert (len(answer.chunk_s), answer.output_tokens) == (2, TOKENS)


def test_without_usage_chunks_are_all_there_is() -> None:
    with KnownServer("no_usage") as server:
        answer, _ = one(server)
    assert (answer.outcome, answer.input_tokens, answer.output_tokens) == ("ok", None, None)
    assert len(answer.chunk_s) == TOKENS


@pytest.mark.parametrize(
    ("mode", "outcome", "message", "chunks"),
    [
        ("truncated", "truncated", "without finish_reason", TOKENS // 2),
        ("stream_error", "stream_error", "out of memory", TOKENS // 2),
        ("malformed", "protocol_error", 'no JSON: {"choices": [', TOKENS // 2),
        ("bad_utf8", "protocol_error", "no JSON", TOKENS // 2),
        ("reset_mid", "reset_mid_stream", "reset", TOKENS // 2),
        ("reset_after_head", "reset_before_output", "reset", 0),
        ("reset_before", "reset_before_headers", "reset", 0),
        ("eof_mid", "truncated", "without finish_reason", TOKENS // 2),
        ("eof_before", "reset_before_headers", "without an answer", 0),
        ("empty", "empty", "no output", 0),
        ("garbage", "protocol_error", "", 0),
        ("no_stream", "protocol_error", "no stream", 0),
        ("http_429", "http_429", "you sent nothing", 0),
        ("http_500", "http_500", "you sent nothing", 0),
        ("http_307", "http_307", "", 0),
    ],
)
def test_each_failure_has_its_kind_and_keeps_what_came(mode: str, outcome: str, message: str, chunks: int) -> None:
    with KnownServer(mode) as server:
        answer, _ = one(server)
        assert len(server.log) == 1, "nothing is ever retried"
    assert answer.outcome == outcome
    assert message in answer.message
    assert len(answer.chunk_s) == chunks
    assert answer.finished_s is not None


def test_server_that_hangs_ends_by_the_timeout() -> None:
    with KnownServer("hang") as server:
        answer, _ = one(server, timeout_s=0.2)
    assert (answer.outcome, answer.message) == ("timeout", "no complete answer within 0.2 s")


def test_refused_connection_and_unknown_host_are_no_connection() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can take the port
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        async def work(root: str) -> Answer:
            answer = Answer()
            async with OpenAIClient(Target(root), "chat", Timeouts(5.0)) as client:
                await client.ask(b"{}", answer)
            return answer

        refused = asyncio.run(work(url))
    assert refused.outcome == "connect"
    assert "refused" in refused.message.lower()
    assert refused.sent_s is not None
    assert asyncio.run(work("http://no-such-host.invalid")).outcome == "connect"


def test_connections_are_kept_and_used_again() -> None:
    with KnownServer("ok", "http_429") as server:
        answers = ask(server, times=6)
        assert [answer.outcome for answer in answers] == ["ok", "http_429"] * 3
        assert {served.connection for served in server.log} == {1}


def test_many_requests_at_once_wait_for_no_connection() -> None:
    async def work(server: KnownServer) -> list[Answer]:
        async with OpenAIClient(Target(server.url), "chat", Timeouts(10.0)) as client:
            body = client.body("m", "time", 1)
            answers = [Answer() for _ in range(150)]
            await asyncio.gather(*(client.ask(body, answer) for answer in answers))
            return answers

    with KnownServer(first_s=1.0) as server:
        answers = asyncio.run(work(server))
        assert {answer.outcome for answer in answers} == {"ok"}
        # All were there before the first was answered.
        assert max(served.arrived_s for served in server.log) < min(served.token_s[0] for served in server.log)


def test_cancelled_request_keeps_what_came() -> None:
    async def work(server: KnownServer) -> Answer:
        answer = Answer()
        async with OpenAIClient(Target(server.url), "chat", Timeouts(10.0)) as client:
            task = asyncio.create_task(client.ask(client.body("m", "time", 1000), answer))
            while len(answer.chunk_s) < 2:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return answer

    with KnownServer(gap_s=0.01) as server:
        assert len(asyncio.run(work(server)).chunk_s) >= 2


@pytest.mark.parametrize(
    ("number", "outcome"),
    [(errno.EMFILE, "client_limit"), (errno.EADDRNOTAVAIL, "client_limit"), (errno.ECONNREFUSED, "connect")],
)
def test_own_limit_is_not_told_as_the_fault_of_the_server(
    number: int, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Pool) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Pool, "open", fail)
    with KnownServer() as server:
        (answer,) = ask(server)
    assert (answer.outcome, answer.message) == (outcome, os.strerror(number))
