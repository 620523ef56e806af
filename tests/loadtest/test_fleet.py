"""Several processes that send one schedule: together they do what one would."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_server import KnownServer

from planner.engines.exchange import Timeouts
from planner.engines.target import Target
from planner.errors import EnvironmentLackingError
from planner.loadtest.driver import Driver
from planner.loadtest.fleet import Fleet
from planner.loadtest.load import LoadSpec
from planner.loadtest.sample import Outcome
from planner.loadtest.schedule import Requests, Schedule
from planner.loadtest.texts import Calibration
from planner.store.runs import RequestsFile

NOTHING = Requests(None, np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32))


def spec(server: KnownServer) -> LoadSpec:
    return LoadSpec(Target(server.url), "chat", Timeouts(20.0), "m", Calibration(), (7, 8))


def opened(count: int, rate_per_s: float) -> Schedule:
    measured = Requests(np.arange(count) / rate_per_s, np.arange(count) % 30 + 5, np.arange(count) % 4 + 2)
    return Schedule(NOTHING, measured, offered_requests_per_s=rate_per_s)


def closed(users: int, count: int) -> Schedule:
    return Schedule(NOTHING, Requests(None, np.arange(count) % 30 + 5, np.arange(count) % 4 + 2), concurrency=users)


def alone(server: KnownServer, schedule: Schedule, path: Path) -> Outcome:
    async def work() -> Outcome:
        with RequestsFile(path) as file:
            async with spec(server).opened() as load:
                return await Driver(schedule, load, file.append, lambda _: None).run()

    return asyncio.run(work())


def together(
    server: KnownServer, schedule: Schedule, path: Path, meanwhile: Callable[[Fleet], None] | None = None
) -> Outcome:
    async def work() -> Outcome:
        with RequestsFile(path):
            fleet = Fleet(2, schedule, spec(server), path, lambda _: None)
            running = asyncio.create_task(fleet.run())
            if meanwhile is not None:
                while len(server.log) < 5:
                    await asyncio.sleep(0.05)
                meanwhile(fleet)
            return await running

    return asyncio.run(work())


def lines(path: Path) -> list[dict[str, Any]]:
    return sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda entry: entry["index"])


@pytest.mark.parametrize("schedule", [opened(40, 40.0), closed(5, 41)], ids=["open", "closed"])
def test_processes_send_what_one_would_each_request_once(schedule: Schedule, tmp_path: Path) -> None:
    with KnownServer() as server:
        one = alone(server, schedule, tmp_path / "one.jsonl")
        asked_by_one = sorted(json.dumps(served.body, sort_keys=True) for served in server.log)
        server.log.clear()
        several = together(server, schedule, tmp_path / "several.jsonl")
        asked_by_several = sorted(json.dumps(served.body, sort_keys=True) for served in server.log)
    # Prompts hold random words of a seed: the same ones, from whichever process they come.
    assert asked_by_several == asked_by_one
    kept = ("index", "asked_input_tokens", "asked_output_tokens", "input_tokens", "output_tokens", "outcome")
    told = [[entry[key] for key in kept] for entry in lines(tmp_path / "several.jsonl")]
    assert told == [[entry[key] for key in kept] for entry in lines(tmp_path / "one.jsonl")]
    assert [entry[0] for entry in told] == list(range(len(schedule.measured)))
    mine, theirs = several.sample.columns(), one.sample.columns()
    for column in ("asked_input_tokens", "input_tokens", "asked_output_tokens", "output_tokens", "chunks", "outcome"):
        assert getattr(mine, column).tolist() == getattr(theirs, column).tolist()
    if schedule.concurrency is None:
        assert schedule.measured.due_s is not None
        assert mine.due_s.tolist() == pytest.approx(schedule.measured.due_s.tolist(), abs=1e-6)
        # One clock for all: none sent anything before it was due, and none was left behind.
        assert (mine.sent_s - mine.due_s).min() >= 0
        assert (mine.sent_s - mine.due_s).max() < 1
    assert several.cpu_fraction is not None


def test_users_are_shared_out(tmp_path: Path) -> None:
    in_flight: list[int] = []
    with KnownServer(first_s=0.2) as server:
        together(server, closed(5, 20), tmp_path / "requests.jsonl")
        events = sorted(
            [(served.arrived_s, 1) for served in server.log] + [(served.token_s[-1], -1) for served in server.log]
        )
        for _, change in events:
            in_flight.append((in_flight[-1] if in_flight else 0) + change)
    assert max(in_flight) == 5


def test_interruption_reaches_every_process_and_keeps_what_was_measured(tmp_path: Path) -> None:
    with KnownServer() as server:
        outcome = together(server, opened(2000, 20.0), tmp_path / "requests.jsonl", lambda fleet: fleet.interrupt())
        sent = len(server.log)
    assert outcome.is_interrupted
    assert 2 <= len(outcome.sample) == sent < 2000
    assert len(lines(tmp_path / "requests.jsonl")) == sent


def test_storm_in_one_process_ends_them_all(tmp_path: Path) -> None:
    with KnownServer("http_500") as server:
        outcome = together(server, opened(2000, 200.0), tmp_path / "requests.jsonl")
    assert outcome.given_up == "50 requests failed one after the other"
    assert 50 <= len(outcome.sample) < 1000


def test_fault_of_ours_in_a_process_is_told_as_such(tmp_path: Path) -> None:
    async def work(server: KnownServer) -> None:
        faulty = replace(spec(server), calibration=Calibration(tokens_per_word=0.0))
        with RequestsFile(tmp_path / "requests.jsonl"):
            await Fleet(2, opened(20, 20.0), faulty, tmp_path / "requests.jsonl", lambda _: None).run()

    with KnownServer() as server, pytest.raises(RuntimeError, match="ZeroDivisionError"):
        asyncio.run(work(server))


def test_no_more_processes_than_requests(tmp_path: Path) -> None:
    with KnownServer() as server:
        outcome = together(server, opened(1, 20.0), tmp_path / "requests.jsonl")
    assert len(outcome.sample) == 1


def test_process_that_is_killed_is_no_result(tmp_path: Path) -> None:
    def kill(_: Fleet) -> None:
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        mine = [int(child) for child in children.read_text().split()]
        loads = [child for child in mine if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        os.kill(loads[0], signal.SIGKILL)

    if not Path("/proc/self/task").exists():
        pytest.skip("needs /proc to find the processes")
    with KnownServer() as server, pytest.raises(EnvironmentLackingError, match="was killed"):
        together(server, opened(2000, 20.0), tmp_path / "requests.jsonl", kill)
