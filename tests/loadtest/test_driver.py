"""The driver, sending to a load whose answers are scripted."""

import asyncio
import time

import numpy as np
import pytest
from scripted import Scripted, counted, drive

from planner.errors import EnvironmentLackingError
from planner.loadtest.driver import Driver
from planner.loadtest.schedule import Requests, Schedule
from planner.loadtest.storm import IN_A_ROW
from planner.schema.benchmark import RequestRecord


def requests(due_s: list[float] | None, count: int = 0) -> Requests:
    count = count if due_s is None else len(due_s)
    return Requests(None if due_s is None else np.array(due_s), np.arange(count) + 10, np.arange(count) + 20)


def opened(due_s: list[float], before_s: list[float] | None = None) -> Schedule:
    before = before_s or []
    return Schedule(requests(before), requests(due_s), offered_requests_per_s=1.0, warmup_s=-min(before, default=0.0))


def closed(users: int, count: int, warmup_s: float = 0.0, duration_s: float | None = None) -> Schedule:
    return Schedule(
        requests(None, 1000 if warmup_s else 0),
        requests(None, count),
        concurrency=users,
        warmup_s=warmup_s,
        duration_s=duration_s,
    )


def test_open_loop_sends_when_due_however_many_are_under_way() -> None:
    load = Scripted(takes_s=0.5)
    outcome, kept = drive(opened([0.0, 0.0, 0.05, 0.1, 0.1, 0.2]), load)
    assert load.most_in_flight == 6
    assert [entry.due_s for entry in counted(kept)] == [0.0, 0.0, 0.05, 0.1, 0.1, 0.2]
    assert all(entry.sent_s is not None and entry.sent_s >= entry.due_s for entry in counted(kept))
    assert [entry.asked_input_tokens for entry in counted(kept)] == [10, 11, 12, 13, 14, 15]
    assert [entry.index for entry in counted(kept)] == list(range(6))
    assert sorted(entry.index for entry in kept) == list(range(6))
    assert len(outcome.sample) == 6


def test_warm_up_goes_first_and_is_kept_but_counted_nowhere() -> None:
    load = Scripted()
    outcome, kept = drive(opened([0.0, 0.1], before_s=[-0.2, -0.1, -0.05]), load)
    assert load.prepared == [-1, -2, -3, 0, 1]
    assert len(counted(kept)) == len(outcome.sample) == 2
    assert [entry.is_warmup for entry in sorted(kept, key=lambda entry: entry.due_s)] == [True] * 3 + [False] * 2
    assert all((entry.due_s < 0) == entry.is_warmup for entry in kept)


def test_closed_loop_keeps_its_users_busy_and_no_more() -> None:
    load = Scripted(takes_s=0.02)
    outcome, kept = drive(closed(3, 14), load)
    assert load.most_in_flight == 3
    assert len(outcome.sample) == 14
    assert all(entry.due_s == entry.sent_s for entry in counted(kept))


def test_closed_loop_warms_up_and_ends_by_time() -> None:
    load = Scripted(takes_s=0.05)
    outcome, kept = drive(closed(2, 1000, warmup_s=0.3, duration_s=0.4), load)
    assert sum(index < 0 for index in load.prepared) >= 4
    assert 2 <= len(outcome.sample) <= 18  # two users, 0.4 s, 0.05 s each
    sent_s = [entry.sent_s for entry in counted(kept) if entry.sent_s is not None]
    assert 0 <= min(sent_s) <= max(sent_s) < 0.4


@pytest.mark.parametrize("schedule", [opened([i / 20 for i in range(200)]), closed(2, 200)], ids=["open", "closed"])
def test_interruption_keeps_what_was_measured(schedule: Schedule) -> None:
    outcome, kept = drive(schedule, Scripted(takes_s=0.1), interrupt_after_s=(0.5,))
    assert outcome.is_interrupted
    assert 2 <= len(outcome.sample) == len(kept) < 100
    # Those under way were given the time to end, and those never sent are not counted.
    assert {entry.outcome for entry in counted(kept)} == {"ok"}


def test_an_interruption_after_the_last_answer_is_too_late() -> None:
    async def work() -> tuple[bool, bool]:
        driver = Driver(opened([0.0, 0.01]), Scripted(), lambda _: None, lambda _: None)
        outcome = await driver.run()
        before = outcome.is_interrupted
        driver.interrupt()
        return before, outcome.is_interrupted

    assert asyncio.run(work()) == (False, False)


def test_second_interruption_waits_for_nothing() -> None:
    began_s = time.monotonic()
    _, kept = drive(opened([0.0, 0.01, 60.0]), Scripted(takes_s=60.0), interrupt_after_s=(1.0, 1.1))
    assert time.monotonic() - began_s < 30
    assert [entry.outcome for entry in counted(kept)] == ["cancelled", "cancelled"]
    assert len(kept) == 2


def test_storm_of_failures_ends_the_point() -> None:
    load = Scripted(takes_s=0.001, outcome=lambda _: "http_500")
    outcome, kept = drive(closed(1, 500), load)
    assert outcome.given_up == "50 requests failed one after the other"
    assert len(kept) == IN_A_ROW
    endured, _ = drive(closed(1, 120), Scripted(takes_s=0.0, outcome=lambda _: "http_500"), max_error_fraction=1.0)
    assert endured.given_up == ""
    assert len(endured.sample) == 120


def test_failures_among_answers_are_no_storm() -> None:
    load = Scripted(takes_s=0.0, outcome=lambda number: "reset" if number % 100 < IN_A_ROW - 1 else "ok")
    outcome, _ = drive(closed(1, 300), load)
    assert outcome.given_up == ""
    assert len(outcome.sample) == 300


def test_disk_that_is_full_ends_the_point() -> None:
    def full(_: RequestRecord) -> None:
        raise EnvironmentLackingError("no room")

    async def work() -> None:
        await Driver(opened([0.0, 0.1, 60.0]), Scripted(), full, lambda _: None).run()

    with pytest.raises(EnvironmentLackingError, match="no room"):
        asyncio.run(work())
