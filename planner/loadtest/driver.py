"""Sends the requests of one load point when they are due, and watches itself doing it."""

import asyncio
import gc
import math
import time
from array import array
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from planner.engines.answers import CANCELLED, OK, Answer
from planner.loadtest.ahead import Ahead, Builds, Prepared
from planner.loadtest.pacing import Pacer
from planner.loadtest.progress import Progress, Tally
from planner.loadtest.recorder import Recorder
from planner.loadtest.sample import Outcome
from planner.loadtest.schedule import Requests, Schedule
from planner.loadtest.storm import StormWatch
from planner.loadtest.watch import SelfWatch
from planner.schema.benchmark import RequestRecord

LEAD_S = 0.05
"""From the start of the driver to the first request, so that it is not late."""
_CONNECT_S = 2.0
"""For opening connections ahead; those that have been idle for longer than three are not used."""
GRACE_S = 30.0
"""How long answers under way may still take after an interruption; a second one ends them at once."""
_SHOW_EVERY_S = 0.25
_SLICE_S, _PAUSE_S, _IDLE_S = 0.0005, 0.001, 0.05
"""Chores begin nothing new after half a millisecond, so that chunks are read about as soon as they come; a prompt of
32,000 words alone takes two."""
_AHEAD = 64
"""Requests built ahead of an open loop; in a closed one, one or a conversation for each user: all may end at once."""
_MOST_AHEAD = 4096


class Load(Builds, Protocol):
    """What the driver sends by."""

    async def connect(self, connections: int) -> None:
        """Opens connections ahead of the requests that will need them."""

    async def ask(self, prepared: Prepared, answer: Answer) -> None:
        """Sends a request, and fills in the answer as it comes; failures are answers too."""


def starts_s(schedule: Schedule) -> float:
    """When the first counted request of a schedule is due that begins now, on time.perf_counter [s]."""
    return time.perf_counter() + LEAD_S + schedule.warmup_s


class Driver:
    """One load point.

    Open loop: every request has a time at which it is due, and is sent then, however many are under way. Closed loop:
    each user sends the next request when the last is answered. Conversations are such a loop in which warm-up and what
    is counted are one sequence, and the time at which a turn is sent tells which of them it is. What is under way when
    the last request is sent is waited for; each ends by its own timeout.
    """

    def __init__(
        self,
        schedule: Schedule,
        load: Load,
        on_record: Callable[[RequestRecord], None],
        on_progress: Callable[[Progress], None],
        max_error_fraction: float = 0.05,
        when: Callable[[], Awaitable[float]] | None = None,
    ) -> None:
        """Runs a schedule.

        Args:
            schedule: what to send.
            load: what to send it by.
            on_record: told of each request soon after it ended, warm-up included.
            on_progress: told where the point stands, several times a second.
            max_error_fraction: share of failures that is allowed; far more of them end the point, see `storm`.
            when: asked, once all is ready, for the time of the first counted request on time.perf_counter [s];
                None begins at once.
        """
        self._schedule = schedule
        self._load = load
        self._recorder = Recorder(self._keep)
        self._on_record = on_record
        self._on_progress = on_progress
        self._storm = StormWatch(max_error_fraction)
        self._when = when
        turns = 1 if schedule.measured.turns is None else schedule.measured.turns.dialogue.turns
        count = _AHEAD if schedule.concurrency is None else min(schedule.concurrency * turns, _MOST_AHEAD)
        self._before = Ahead(schedule.warmup, load, is_measured=False, count=count)
        self._counted = Ahead(schedule.measured, load, is_measured=True, count=count)
        self._watch = SelfWatch()
        self._under_way = 0
        self._left_at_end: int | None = None
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault: BaseException | None = None
        self._has_ended = False
        self._outcome = Outcome()
        self._tally = Tally(schedule, 0.0)
        self._pacer: Pacer | None = None

    def interrupt(self) -> None:
        """Sends nothing more; the second time, waits for nothing more either. Where all have ended, it is too late."""
        if self._has_ended:
            return
        if self._outcome.is_interrupted:
            self._cancel()
        self._outcome.is_interrupted = self._tally.is_stopping = True
        self._end()

    def give_up(self, reason: str) -> None:
        """Ends the point, since going on would tell nothing about the server."""
        self._outcome.given_up = reason
        self._end()

    async def run(self) -> Outcome:
        """Runs the point to its end, to an interruption, or to a storm of failures.

        Raises:
            PlannerError: what on_record raises: a full disk, say.
        """
        schedule, users = self._schedule, self._schedule.concurrency
        self._before.work(math.inf)
        self._counted.work(math.inf)
        if users is not None:
            await self._connect(users)
        gc.collect()
        gc.freeze()  # what is there already need not be looked through while latencies are measured
        start_s = await self._when() if self._when is not None else starts_s(schedule)
        self._tally.start_s = self._recorder.start_s = self._outcome.start_s = start_s
        helpers = [asyncio.create_task(self._show()), asyncio.create_task(self._do_chores())]
        helpers[1].add_done_callback(self._ended)
        try:
            with Pacer() as self._pacer:
                if users is None:
                    await self._open_loop(self._pacer)
                else:
                    await (self._closed_loop(users) if schedule.measured.turns is None else self._converse(users))
                await self._drain()
        finally:
            self._has_ended = True
            self._watch.end()
            self._end()  # or users who are cancelled would ask on
            self._cancel()
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, *self._tasks, return_exceptions=True)
            gc.unfreeze()
        self._recorder.finish()
        self._outcome.loop_lags_s = array("d", self._watch.lags_s)
        self._outcome.cpu_fraction = self._watch.cpu_fraction or 0.0
        return self._outcome

    async def _connect(self, users: int) -> None:
        """Opens the users' connections ahead, as far as that succeeds soon; requests open those that are missing."""
        opening = asyncio.create_task(self._load.connect(users))
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({opening, stopped}, timeout=_CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        opening.cancel()
        stopped.cancel()
        await asyncio.gather(opening, stopped, return_exceptions=True)

    async def _open_loop(self, pacer: Pacer) -> None:
        for requests, ahead, is_measured in self._parts():
            due_s = requests.due_s if requests.due_s is not None else ()
            for due in due_s:
                await pacer.until(self._tally.start_s + due)
                if self._stop.is_set() or (item := ahead.take()) is None:
                    return
                self._spawn(self._send(requests, *item, float(due), is_measured))
                await asyncio.sleep(0)  # it is sent before the next one is thought of
        self._nothing_more_to_send(self._under_way)

    async def _closed_loop(self, users: int) -> None:
        start_s, ends_s = self._tally.start_s, (self._tally.start_s, self._end_s)

        async def use() -> None:
            for (requests, ahead, is_measured), end_s in zip(self._parts(), ends_s, strict=True):
                if is_measured:
                    await self._sleep_until(start_s)  # passed, but where there is no warm-up
                while self._has_time(end_s) and (item := ahead.take()):
                    await self._think(requests, item[0], end_s)
                    if self._has_time(end_s):
                        await self._send(requests, *item, None, is_measured)
            self._nothing_more_to_send(users)

        for _ in range(users):
            self._spawn(use())
            await asyncio.sleep(0)  # what is written goes out when the loop comes round, and must not wait for them all

    async def _converse(self, users: int) -> None:
        requests, end_s = self._schedule.measured, self._end_s
        begin_s = self._tally.start_s - self._schedule.warmup_s

        async def use(turns: list[tuple[int, Prepared]]) -> None:
            await self._sleep_until(begin_s)
            while turns and self._has_time(end_s):
                for turn in turns:
                    await self._think(requests, turn[0], end_s)
                    if not self._has_time(end_s):
                        break
                    await self._send(requests, *turn, None, time.perf_counter() >= self._tally.start_s)
                else:
                    turns = self._counted.take_turns()
            self._nothing_more_to_send(users)

        for _ in range(users):
            self._spawn(use(self._counted.take_turns()))  # the first ones are each user's first
            await asyncio.sleep(0)  # as above

    @property
    def _end_s(self) -> float:
        """When a closed loop ends by time."""
        duration_s = self._schedule.duration_s
        return math.inf if duration_s is None else self._tally.start_s + duration_s

    async def _think(self, requests: Requests, number: int, end_s: float) -> None:
        """Waits as long as a user does before a request, or until the end."""
        if requests.think_s is not None:
            await self._sleep_until(min(time.perf_counter() + float(requests.think_s[number]), end_s))

    def _parts(self) -> tuple[tuple[Requests, Ahead, bool], tuple[Requests, Ahead, bool]]:
        return (self._schedule.warmup, self._before, False), (self._schedule.measured, self._counted, True)

    async def _send(
        self, requests: Requests, number: int, prepared: Prepared, due_s: float | None, is_measured: bool
    ) -> None:
        answer = Answer()
        if is_measured:
            self._watch.begin()
            self._tally.sent += 1
        self._under_way += 1
        try:
            await self._load.ask(prepared, answer)
        except asyncio.CancelledError:
            answer.fail(CANCELLED)
            answer.finished_s = time.perf_counter()
        self._under_way -= 1
        self._look_at_the_end()
        asked = int(requests.input_tokens[number]), int(requests.output_tokens[number])
        self._recorder.put(requests.place(number), due_s, asked, answer, not is_measured)
        if answer.outcome != CANCELLED:
            reason = self._storm.take(answer.outcome == OK)
            if reason and not self._stop.is_set():
                self.give_up(reason)

    def _nothing_more_to_send(self, under_way: int) -> None:
        if self._left_at_end is None:
            self._left_at_end = under_way
        self._look_at_the_end()

    def _look_at_the_end(self) -> None:
        """Ends the watch when half of what was under way at the end has come: waiting for the rest is no work."""
        if self._left_at_end is not None and 2 * self._under_way <= self._left_at_end:
            self._watch.end()

    def _keep(self, entry: RequestRecord) -> None:
        if not entry.is_warmup:
            self._tally.finished(entry)
            self._outcome.sample.add(entry)
        if not entry.is_warmup or self._schedule.measured.turns is not None:
            self._outcome.used = max(self._outcome.used, entry.index + 1)
        self._on_record(entry)

    @property
    def _is_over(self) -> bool:
        """The point was stopped, or as many requests as it counts are sent."""
        most = self._schedule.most_counted
        return self._stop.is_set() or (most is not None and self._tally.sent >= most)

    def _has_time(self, end_s: float) -> bool:
        return not self._is_over and time.perf_counter() < end_s

    async def _sleep_until(self, time_s: float) -> None:
        """Waits for a time on the clock, or until the point is over."""
        while (left_s := time_s - time.perf_counter()) > 0 and not self._is_over:
            await asyncio.sleep(min(left_s, _SHOW_EVERY_S))

    async def _do_chores(self) -> None:
        """Writes what has ended and builds what is to come, a little at a time."""
        chores = (self._recorder, self._counted, self._before)
        while True:
            until_s = time.perf_counter() + _SLICE_S
            is_busy = sum(chore.work(until_s) for chore in chores) > 0  # each has its turn
            await asyncio.sleep(_PAUSE_S if is_busy else _IDLE_S)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fault = task.exception()
            self._end()

    def _end(self) -> None:
        self._stop.set()
        if self._pacer is not None:
            self._pacer.wake()

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
