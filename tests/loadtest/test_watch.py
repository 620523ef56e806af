"""The load generator's watch on itself, while it is made to stand still."""

import asyncio
import time

import numpy as np
import pytest

from planner.engines.answers import Answer
from planner.engines.loop import client_loop
from planner.loadtest import driver as driver_module
from planner.loadtest.ahead import Prepared
from planner.loadtest.driver import Driver
from planner.loadtest.sample import Outcome
from planner.loadtest.schedule import Ask, Requests, Schedule
from planner.loadtest.summary import Offered, load_point
from planner.loadtest.watch import EVERY_S, SelfWatch, missed_lags_s
from planner.schema.scenario import Slo

NOTHING = Requests(None, np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32))


class Slow:
    """Answers after 50 ms; the last of its requests, perhaps, much later."""

    def __init__(self, last: int = -1, last_s: float = 0.0, connect_s: float = 0.0) -> None:
        self.last, self.last_s, self.connect_s = last, last_s, connect_s

    def prepare(self, ask: Ask) -> Prepared:
        return Prepared(b"%d" % ask.index)

    async def connect(self, connections: int) -> None:
        await asyncio.sleep(self.connect_s)

    async def ask(self, prepared: Prepared, answer: Answer) -> None:
        answer.sent_s = time.perf_counter()
        await asyncio.sleep(self.last_s if int(prepared.body) == self.last else 0.05)
        answer.chunk_s = [time.perf_counter()]
        answer.finished_s = time.perf_counter()
        answer.input_tokens = answer.output_tokens = 1


def closed(count: int, duration_s: float | None = None, users: int = 2) -> Schedule:
    ones = np.ones(count, dtype=np.int32)
    return Schedule(NOTHING, Requests(None, ones, ones), concurrency=users, duration_s=duration_s)


def run(
    schedule: Schedule, load: Slow, freeze_at_s: float = 0.0, freeze_s: float = 0.0, interrupt_at_s: float = 0.0
) -> Outcome:
    async def work() -> Outcome:
        loop, driver = asyncio.get_running_loop(), Driver(schedule, load, lambda _: None, lambda _: None)
        if freeze_s:
            loop.call_later(freeze_at_s, time.sleep, freeze_s)
        if interrupt_at_s:
            loop.call_later(interrupt_at_s, driver.interrupt)
        return await driver.run()

    with asyncio.Runner(loop_factory=client_loop()) as runner:
        return runner.run(work())


def test_looks_that_were_missed_are_late_ones() -> None:
    lags_s = missed_lags_s(1.0)
    assert len(lags_s) == 101
    assert lags_s[0] == pytest.approx(0.999)
    assert lags_s[50] == pytest.approx(0.499)
    assert lags_s[100] == 0
    assert missed_lags_s(-0.001) == missed_lags_s(0.001) == [0.0]


def test_client_that_stands_still_for_a_tenth_of_the_time_is_not_to_be_trusted() -> None:
    outcome = run(closed(10**6, duration_s=3.0), Slow(), freeze_at_s=1.0, freeze_s=0.4)
    lags_s = np.array(outcome.loop_lags_s)
    # A look every 10 ms from beginning to end, whatever stood still; 40 of 300 fell into that.
    assert lags_s.size == pytest.approx(3.0 / EVERY_S, rel=0.1)
    assert 25 <= np.count_nonzero(lags_s > 0.1) <= 60
    point = load_point(Offered(None, 2), outcome, Slo())
    assert point.client is not None
    assert point.client.is_saturated
    assert (point.client.loop_lag_p99_s or 0) > 0.3


def test_waiting_for_the_last_answer_is_no_time_that_the_client_kept_up() -> None:
    outcome = run(closed(40), Slow(last=39, last_s=3.0))
    assert len(outcome.sample) == 40
    # 40 requests of 50 ms by two users take a second; the three after that are one answer's.
    assert 0.5 <= len(outcome.loop_lags_s) * EVERY_S <= 2.0


def test_watch_counts_what_stood_still_at_its_end() -> None:
    async def work() -> SelfWatch:
        watch = SelfWatch()
        watch.begin()
        time.sleep(0.2)
        watch.end()
        watch.end()
        return watch

    watch = asyncio.run(work())
    assert len(watch.lags_s) >= 19
    assert max(watch.lags_s) >= 0.18
    assert watch.cpu_fraction is not None
    assert watch.cpu_fraction < 0.9, "it slept"


def test_connections_that_do_not_come_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "_CONNECT_S", 0.1)
    assert len(run(closed(4), Slow(connect_s=600)).sample) == 4


def test_interruption_is_heard_while_connections_are_opened() -> None:
    outcome = run(closed(1000), Slow(connect_s=600), interrupt_at_s=0.1)
    assert outcome.is_interrupted
    assert len(outcome.sample) == 0
