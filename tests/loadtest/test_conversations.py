"""Conversations as they are led: over the end of the warm-up, past failures, and forgotten when they end."""

import asyncio
import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from known_server import KnownServer
from scripted import Scripted, counted, drive

from planner.core.lengths import Apart, Lengths
from planner.engines.answers import Answer
from planner.engines.exchange import Timeouts
from planner.engines.target import Target
from planner.loadtest.driver import Driver
from planner.loadtest.fleet import Fleet
from planner.loadtest.load import LoadSpec
from planner.loadtest.recipe import Recipe
from planner.loadtest.said import Said
from planner.loadtest.schedule import Extent, Requests, Schedule, closed_loop
from planner.loadtest.texts import Calibration
from planner.loadtest.turns import Dialogue, divided
from planner.schema.benchmark import RequestRecord
from planner.store.runs import RequestsFile, written

TURNS = 5
LONG = Timeouts(20.0)


def conversing(users: int, extent: Extent, seed: int = 1) -> Schedule:
    return closed_loop(users, Apart(Lengths(20), Lengths(3)), extent, (seed, 0), None, Dialogue(TURNS))


def one_conversation(turns: int, think_s: list[float] | None = None) -> Schedule:
    """Of one user, who has counted requests for no more."""
    nothing = Requests(None, np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32))
    lengths = np.full(turns, 9, dtype=np.int32)
    thinks_s = None if think_s is None else np.array(think_s)
    led = Requests(None, lengths, lengths, thinks_s, turns=divided(2 * lengths, np.array([turns]), Dialogue(turns)))
    return Schedule(nothing, led, concurrency=1, most_counted=turns)


def spec(server: KnownServer, timeouts: Timeouts = LONG) -> LoadSpec:
    return LoadSpec(Target(server.url), "chat", timeouts, "m", Calibration(), (7, 8), Recipe(turns=TURNS))


def led(server: KnownServer, schedule: Schedule, timeouts: Timeouts = LONG) -> list[RequestRecord]:
    kept: list[RequestRecord] = []

    async def work() -> None:
        async with spec(server, timeouts).opened() as load:
            await Driver(schedule, load, kept.append, lambda _: None, max_error_fraction=1.0).run()

    asyncio.run(work())
    return kept


def check_whole(schedule: Schedule, kept: list[RequestRecord], users: int) -> None:
    """Each request once, the turns of a conversation in order from the first, and few conversations without an end."""
    turns = schedule.measured.turns
    assert turns is not None
    assert len({entry.index for entry in kept}) == len(kept)
    by_conversation: dict[int, list[RequestRecord]] = {}
    for entry in sorted(kept, key=lambda entry: entry.sent_s or 0.0):
        by_conversation.setdefault(int(turns.conversation[entry.index]), []).append(entry)
    for entries in by_conversation.values():
        assert [int(turns.turn[entry.index]) for entry in entries] == list(range(len(entries)))
    open_ended = [entries for entries in by_conversation.values() if not turns.is_last[entries[-1].index]]
    assert len(open_ended) <= users


@pytest.mark.parametrize("extent", [Extent(60, None, 0.5), Extent(None, 2.0, 0.5)], ids=["requests", "time"])
def test_conversations_under_way_go_on_when_the_counting_begins(extent: Extent) -> None:
    schedule = conversing(6, extent)
    outcome, kept = drive(schedule, Scripted(takes_s=0.02))
    turns = schedule.measured.turns
    assert turns is not None
    check_whole(schedule, kept, users=6)
    before, after = [entry for entry in kept if entry.is_warmup], counted(kept)
    assert len(outcome.sample) == len(after)
    assert all((entry.sent_s or 0.0) >= 0 for entry in after)
    if extent.requests is not None:
        assert len(after) == extent.requests
    assert outcome.used == 1 + max(entry.index for entry in kept)
    ended = {int(turns.conversation[entry.index]) for entry in before if turns.is_last[entry.index]}
    under_way = {int(turns.conversation[entry.index]) for entry in before} - ended
    going_on = {int(turns.conversation[entry.index]) for entry in after if turns.turn[entry.index] > 0}
    assert under_way
    assert under_way <= going_on, "each of them has a later turn that counts"


def test_users_lead_other_turns_when_the_counting_begins_even_without_a_warm_up() -> None:
    for warmup_s in (0.0, 1.5):
        schedule = conversing(40, Extent(40 * 3 * TURNS, None, warmup_s))
        turns = schedule.measured.turns
        assert turns is not None
        _, kept = drive(schedule, Scripted(takes_s=0.01))
        in_order = sorted(counted(kept), key=lambda entry: entry.sent_s or 0.0)
        later = in_order[0 if warmup_s else 40 * TURNS :][:40]
        assert {int(turns.turn[entry.index]) for entry in later} == set(range(TURNS))


def test_load_of_so_many_requests_counts_them_and_does_not_wait_for_who_thinks() -> None:
    schedule = one_conversation(4, think_s=[0.0, 0.0, 3600.0, 0.0])
    alone = Schedule(schedule.warmup, schedule.measured, concurrency=1, most_counted=2)

    async def work() -> list[RequestRecord]:
        kept: list[RequestRecord] = []
        await asyncio.wait_for(Driver(alone, Scripted(0.01), kept.append, lambda _: None).run(), timeout=60)
        return kept

    assert [entry.index for entry in asyncio.run(work())] == [0, 1]


def test_processes_together_lead_what_one_would(tmp_path: Path) -> None:
    schedule = conversing(5, Extent(61, None, 0.3))
    path = tmp_path / "requests.jsonl"

    async def work() -> int:
        with RequestsFile(path):
            outcome = await Fleet(2, schedule, spec(server), path, lambda _: None).run()
        return outcome.used

    with KnownServer() as server:
        used = asyncio.run(work())
        kept = list(written(path))
        check_whole(schedule, kept, users=5)
        assert len(counted(kept)) == 61
        assert used == 1 + max(entry.index for entry in kept)
        begun_by_two = {served.body["messages"][0]["content"] for served in server.log}
        server.log.clear()
        kept_by_one = led(server, schedule)
        begun_by_one = {served.body["messages"][0]["content"] for served in server.log}
    assert len(begun_by_one & begun_by_two) >= 5, "who leads a conversation changes nothing of it"
    assert {entry.index for entry in kept} & {entry.index for entry in kept_by_one} >= set(range(5))


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [("http_500", "http_500"), ("hang", "timeout_first_token"), ("reset_in_head", "reset_before_headers")],
)
def test_next_turn_goes_on_without_one_that_failed(fault: str, outcome: str) -> None:
    with KnownServer("ok", fault, "ok", "ok") as server:
        kept = led(server, one_conversation(4), Timeouts(20.0, first_token_s=2.0))
        bodies = [served.body["messages"] for served in server.log]
    in_order = sorted(kept, key=lambda entry: entry.index)
    assert [entry.outcome for entry in in_order] == ["ok", outcome, "ok", "ok"]
    assert [len(messages) for messages in bodies] == [1, 3, 3, 5]
    assert bodies[2][:2] == bodies[1][:2] == bodies[3][:2]
    assert bodies[3][:3] == bodies[2]
    assert bodies[1][2] not in bodies[3], "as if it had never been asked"


@pytest.mark.parametrize("ends_after", [1, 3, 4], ids=["first", "in the midst", "last"])
@pytest.mark.parametrize("fault", ["ok", "http_500"])
def test_conversation_is_forgotten_however_it_ends(ends_after: int, fault: str) -> None:
    async def work(server: KnownServer) -> None:
        async with spec(server).opened() as load:
            requests = one_conversation(4).measured
            turns = [load.prepare(requests.ask(number)) for number in range(4)]
            (said,) = {each.turn.said for each in turns if each.turn is not None}
            assert all(each.turn is not None for each in turns)
            assert isinstance(said, Said)
            for turn in turns[:ends_after]:
                await load.ask(turn, Answer())
            gone = weakref.ref(said)
            del turn, turns, said
            load.prepare(requests.ask(0))  # of the next one
            gc.collect()
            assert gone() is None

    with KnownServer(*["ok"] * (ends_after - 1), fault) as server:
        asyncio.run(work(server))


def test_no_conversation_is_kept_when_a_load_is_over() -> None:
    with KnownServer("ok", "http_500", "ok") as server:
        led(server, conversing(4, Extent(40, None, 0.2)))
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Said)]
