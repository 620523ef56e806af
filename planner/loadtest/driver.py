"""Sends the requests of one load point when they are due, and watches itself doing it."""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Protocol

from planner.engines.answers import CANCELLED, Answer
from planner.loadtest.progress import Progress, Tally
from planner.loadtest.records import record
from planner.loadtest.sample import Outcome
from planner.loadtest.schedule import Requests, Schedule
from planner.schema.benchmark import RequestRecord

LEAD_S = 0.05
"""From the start of the driver to the first request, so that it is not late."""
GRACE_S = 2.0
"""How long answers under way may still take after an interruption."""
STORM_REQUESTS = 50
"""So many failures one after the other, and the server is broken rather than busy."""
_SHOW_EVERY_S = 0.25


class Load(Protocol):
    """What the driver sends by."""

    def prepare(self, index: int, input_tokens: int, output_tokens: int) -> bytes:
        """A request's body; index is below 0 in the warm-up."""

    async def ask(self, body: bytes, answer: Answer) -> None:
        """Sends it, and fills in the answer as it comes; failures are answers too."""


class Driver:
    """One load point.

    Open loop: every request has a time at which it is due, and is sent then, however many are under way. Closed loop:
    each user sends the next request when the last is answered. What is under way when the last request is sent is
    waited for; each ends by its own timeout.
    """

    def __init__(
        self,
        schedule: Schedule,
        load: Load,
        on_record: Callable[[RequestRecord], None],
        on_progress: Callable[[Progress], None],
        stops_at_storm: bool = True,
    ) -> None:
        self._schedule = schedule
        self._load = load
        self._on_record = on_record
        self._on_progress = on_progress
        self._stops_at_storm = stops_at_storm
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault: BaseException | None = None
        self._outcome = Outcome()
        self._tally = Tally(schedule, 0.0)
        self._cpu_s: float | None = None

    def interrupt(self) -> None:
        """Sends nothing more; the second time, waits for nothing more either."""
        if self._outcome.is_interrupted:
            self._cancel()
        self._outcome.is_interrupted = True
        self._stop.set()

    async def run(self) -> Outcome:
        """Runs the point to its end, to an interruption, or to a storm of failures.

        Raises:
            PlannerError: what on_record raises: a full disk, say.
        """
        schedule = self._schedule
        self._tally.start_s = time.perf_counter() + LEAD_S + schedule.warmup_s
        show = asyncio.create_task(self._show())
        try:
            await (self._open_loop() if schedule.concurrency is None else self._closed_loop(schedule.concurrency))
            await self._drain()
        finally:
            self._cancel()
            show.cancel()
            await asyncio.gather(show, *self._tasks, return_exceptions=True)
        wall_s = time.perf_counter() - self._tally.start_s
        if self._cpu_s is not None and wall_s > 0:
            self._outcome.cpu_fraction = (time.process_time() - self._cpu_s) / wall_s
        return self._outcome

    async def _open_loop(self) -> None:
        for requests, is_measured in ((self._schedule.warmup, False), (self._schedule.measured, True)):
            for index, due_s in enumerate(requests.due_s if requests.due_s is not None else ()):
                body = self._body(requests, index, is_measured)
                if not await self._wait_until(self._tally.start_s + due_s):
                    return
                self._spawn(self._send(requests, index, body, float(due_s), is_measured))

    async def _closed_loop(self, users: int) -> None:
        schedule, start_s = self._schedule, self._tally.start_s
        end_s = math.inf if schedule.duration_s is None else start_s + schedule.duration_s
        before, counted = iter(range(len(schedule.warmup))), iter(range(len(schedule.measured)))

        async def use() -> None:
            await self._ask_on(schedule.warmup, before, start_s, is_measured=False)
            if await self._wait_until(start_s):  # passed, but where there is no warm-up
                await self._ask_on(schedule.measured, counted, end_s, is_measured=True)

        for _ in range(users):
            self._spawn(use())

    async def _ask_on(self, requests: Requests, indices: Iterator[int], end_s: float, *, is_measured: bool) -> None:
        """One user's requests, until they or the time run out."""
        for index in indices:
            if self._stop.is_set() or time.perf_counter() >= end_s:
                return
            body = self._body(requests, index, is_measured)
            await self._send(requests, index, body, None, is_measured)

    def _body(self, requests: Requests, index: int, is_measured: bool) -> bytes:
        asked = int(requests.input_tokens[index]), int(requests.output_tokens[index])
        return self._load.prepare(index if is_measured else -1 - index, *asked)

    async def _send(self, requests: Requests, index: int, body: bytes, due_s: float | None, is_measured: bool) -> None:
        answer = Answer()
        asked = int(requests.input_tokens[index]), int(requests.output_tokens[index])
        if not is_measured:
            await self._load.ask(body, answer)
            sent_s = (answer.sent_s or time.perf_counter()) - self._tally.start_s
            due_s = sent_s if due_s is None else due_s
            self._on_record(record(index, due_s, asked, answer, self._tally.start_s, is_warmup=True))
            return
        if self._cpu_s is None:
            self._cpu_s = time.process_time()
        self._tally.sent += 1
        try:
            await self._load.ask(body, answer)
        except asyncio.CancelledError:
            answer.fail(CANCELLED)
            answer.finished_s = time.perf_counter()
        sent_s = (answer.sent_s or time.perf_counter()) - self._tally.start_s
        entry = record(index, sent_s if due_s is None else due_s, asked, answer, self._tally.start_s)
        self._outcome.sample.add(entry)
        self._tally.finished(entry)
        if self._stops_at_storm and self._tally.failed_in_a_row >= STORM_REQUESTS and not self._stop.is_set():
            self._outcome.is_storm = True
            self._stop.set()
        self._on_record(entry)

    async def _wait_until(self, time_s: float) -> bool:
        """Waits for a time on the clock; False where the point is stopped before."""
        while (left_s := time_s - time.perf_counter()) > 0 and not self._stop.is_set():
            if left_s < _SHOW_EVERY_S:
                await asyncio.sleep(left_s)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), left_s - _SHOW_EVERY_S / 2)
        await asyncio.sleep(0)  # also where many are late, answers must be read
        return not self._stop.is_set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fault = task.exception()
            self._stop.set()

    async def _drain(self) -> None:
        """Waits for what is under way: to its end, or for the grace that an interruption leaves."""
        stopped = asyncio.create_task(self._stop.wait())
        while self._tasks and not stopped.done():
            await asyncio.wait({*self._tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if self._tasks and self._outcome.is_interrupted:
            await asyncio.wait(self._tasks, timeout=GRACE_S)
        self._cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._fault is not None:
            raise self._fault

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(_SHOW_EVERY_S)
            self._on_progress(self._tally.progress())
