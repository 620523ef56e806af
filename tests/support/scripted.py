"""A load whose answers are scripted, and the driver sending to it."""

import asyncio
import itertools
import time
from collections.abc import Callable

from planner.engines.answers import Answer
from planner.loadtest.ahead import Prepared
from planner.loadtest.driver import Driver
from planner.loadtest.sample import Outcome
from planner.loadtest.schedule import Ask, Schedule
from planner.schema.benchmark import RequestRecord


class Scripted:
    """Answers after a time, with an outcome per request; keeps what was asked of it."""

    def __init__(self, takes_s: float = 0.05, outcome: Callable[[int], str] = lambda _: "ok") -> None:
        self.takes_s, self.outcome = takes_s, outcome
        self.prepared: list[int] = []
        self.in_flight = self.most_in_flight = 0
        self._numbers = itertools.count()

    def prepare(self, ask: Ask) -> Prepared:
        """Notes it down."""
        self.prepared.append(ask.index)
        return Prepared(b"%d %d" % (ask.input_tokens, ask.output_tokens))

    async def connect(self, connections: int) -> None:
        """Opens nothing."""
        self.connected = connections

    async def ask(self, prepared: Prepared, answer: Answer) -> None:
        """Answers."""
        answer.sent_s = time.perf_counter()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.in_flight -= 1
        answer.outcome = self.outcome(next(self._numbers))
        answer.chunk_s = [time.perf_counter()]
        answer.finished_s = time.perf_counter()


def drive(
    schedule: Schedule, load: Scripted, interrupt_after_s: tuple[float, ...] = (), max_error_fraction: float = 0.05
) -> tuple[Outcome, list[RequestRecord]]:
    """Drives a schedule, interrupted at the times given; its outcome and records."""
    kept: list[RequestRecord] = []

    async def work() -> Outcome:
        driver = Driver(schedule, load, kept.append, lambda _: None, max_error_fraction)
        for after_s in interrupt_after_s:
            asyncio.get_running_loop().call_later(after_s, driver.interrupt)
        return await driver.run()

    return asyncio.run(work()), kept


def counted(kept: list[RequestRecord]) -> list[RequestRecord]:
    """Those that count, in the order of the schedule."""
    return sorted((entry for entry in kept if not entry.is_warmup), key=lambda entry: entry.index)
