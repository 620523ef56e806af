"""Every way a server can fail a client, row by row: what it is called, and that nothing is miscounted or lost.

The server logs what it sent. Each row is tried on asyncio's own transport and on the one that the load test uses.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest
from faults import FAULTS
from known_server import KnownServer
from stage import Served

from planner.engines.answers import CANCELLED, OK, Answer
from planner.engines.exchange import Timeouts
from planner.engines.loop import client_loop
from planner.engines.openai_http import EndpointKind, OpenAIClient
from planner.engines.target import Target

TOKENS = 8
MIXED = Timeouts(4.0, first_token_s=2.0, idle_s=1.5)
"""Long enough for a busy machine, and shorter than any server here hangs."""
CUT_OFF = ("reset_mid", "reset_mid_event", "reset_after_output", "drip_mid", "endless")
"""Modes in which the last chunks may still be on their way when the answer is given up."""

Loops = Callable[[], asyncio.AbstractEventLoop] | None
LOOPS = [pytest.param(None, id="asyncio"), pytest.param(client_loop(), id="streams")]
ROWS = [pytest.param(mode, id=f"{fault.row}-{mode}") for mode, fault in FAULTS.items()]


def run(
    server: KnownServer,
    prompts: list[str],
    timeouts: Timeouts,
    loops: Loops,
    at_once: int = 1,
    cancel: Callable[[int], float | None] = lambda _: None,
    kind: EndpointKind = "chat",
) -> list[Answer]:
    """Answers to prompts, so many at once; some are cancelled after a time."""

    async def work() -> list[Answer]:
        answers = [Answer() for _ in prompts]
        places = asyncio.Semaphore(at_once)

        async def ask(client: OpenAIClient, number: int) -> None:
            async with places:
                task = asyncio.create_task(client.ask(client.body("m", prompts[number], TOKENS), answers[number]))
                if (after_s := cancel(number)) is not None:
                    asyncio.get_running_loop().call_later(after_s, task.cancel)
                try:
                    await task
                except asyncio.CancelledError:
                    answers[number].fail(CANCELLED)

        async with OpenAIClient(Target(server.url), kind, timeouts) as client:
            await asyncio.gather(*(ask(client, number) for number in range(len(prompts))))
        return answers

    with asyncio.Runner(loop_factory=loops) as runner:
        return runner.run(work())


def told(served: Served, *path: str) -> int | None:
    """A count that the server told, where it can be one."""
    value = served.usage
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if type(value) is int and 0 <= value < 2**40 else None


def reconcile(answer: Answer, served: Served) -> None:
    """What the client counted is what the server sent."""
    if served.mode in CUT_OFF or answer.outcome == CANCELLED:
        assert len(answer.chunk_s) <= len(served.token_s)
    else:
        assert len(answer.chunk_s) == len(served.token_s)
    if answer.outcome != OK:
        return
    assert answer.models == ["fallback-mini" if served.mode == "other_model" else "m"]
    assert answer.input_tokens == told(served, "prompt_tokens")
    assert answer.output_tokens == told(served, "completion_tokens")
    assert answer.cached_input_tokens == told(served, "prompt_tokens_details", "cached_tokens")
    assert answer.reasoning_tokens == told(served, "completion_tokens_details", "reasoning_tokens")


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("mode", ROWS)
def test_each_fault_is_told_by_its_kind_and_the_next_request_is_none_the_worse(mode: str, loops: Loops) -> None:
    fault = FAULTS[mode]
    with KnownServer(mode, "ok") as server:
        first, second = run(server, ["time year", "people way day"], fault.timeouts, loops)
        assert [served.mode for served in server.log] == [mode, "ok"], "nothing is ever retried"
    assert (first.outcome, second.outcome) == (fault.outcome, "ok"), first.message
    assert fault.message in first.message
    if first.outcome == OK:
        assert first.message == ""
    assert first.sent_s is not None
    assert first.finished_s is not None
    assert first.chunk_s == sorted(first.chunk_s)
    reconcile(first, server.log[0])
    reconcile(second, server.log[1])
    assert (second.output_tokens, len(second.chunk_s)) == (TOKENS, TOKENS)


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, id=f"{FAULTS[mode].row}-{mode}")
        for mode in ("split", "odd_text", "several", "reset_mid", "stream_error")
    ],
)
def test_completions_are_told_alike(mode: str) -> None:
    with KnownServer(mode) as server:
        (answer,) = run(server, ["time year"], Timeouts(20.0), client_loop(), kind="completions")
        assert server.log[0].path == "/v1/completions"
    assert answer.outcome == FAULTS[mode].outcome
    reconcile(answer, server.log[0])


def test_every_row_of_the_client_is_there() -> None:
    assert {fault.row for fault in FAULTS.values()} >= {"E1", "E2", "E3", "E4", "E5", "E6", "E7", "E23", "E24", "E25"}


@pytest.mark.slow
@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("seed", [1, 2])
def test_sent_is_ok_failed_and_cancelled_in_any_mixture(seed: int, loops: Loops) -> None:
    rng = random.Random(seed)  # noqa: S311
    # Each at least once, the rest by chance; what is told apart by its own timeouts only is tried alone.
    modes = [mode for mode in FAULTS if mode != "hang_for_all"]
    modes += rng.choices([mode for mode in modes if FAULTS[mode].row != "E7"], k=200 - len(modes))
    rng.shuffle(modes)
    cancelled = {number: rng.uniform(0.0, 0.03) for number in rng.sample(range(200), 10)}
    prompts = [f"number{number} time" for number in range(200)]
    with KnownServer(*modes) as server:
        answers = run(server, prompts, MIXED, loops, at_once=25, cancel=cancelled.get)
        log = list(server.log)
    outcomes = Counter(answer.outcome for answer in answers)
    failed = sum(count for kind, count in outcomes.items() if kind not in (OK, CANCELLED))
    assert outcomes[OK] + failed + outcomes[CANCELLED] == 200
    assert outcomes[CANCELLED] <= 10
    by_prompt = dict(zip(prompts, answers, strict=True))
    expected = Counter[str]()
    for served in log:
        if FAULTS[served.mode].is_early:  # its body was never read
            expected[FAULTS[served.mode].outcome] += 1
            continue
        answer = by_prompt.pop(served.body["messages"][0]["content"])
        if answer.outcome != CANCELLED:
            assert answer.outcome == FAULTS[served.mode].outcome, served.mode
        reconcile(answer, served)
    # Left are those that the server answered unread, and those cancelled before they reached it.
    left = Counter(answer.outcome for answer in by_prompt.values())
    assert left - Counter({CANCELLED: 10}) <= expected
    assert sum(left.values()) >= sum(expected.values())
