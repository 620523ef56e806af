"""The engine's thread: plays the scheduler's steps in real time.

Times are planned ahead and kept: a step starts at the planned end of the one before, or at the arrival that ends an
idle time, and ends as much later as the profile says. A thread that wakes up late hands its tokens over late, but
plans nothing later, so that delays neither add up nor change which requests share a step. A step is put together a
moment after its planned start, when all are known that had arrived by then: a request takes some time from the event
loop to this thread, and must not miss its step for that.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from typing import NamedTuple

from planner.core.scheduler import Scheduler

_COARSE_SLEEP_S = 0.05
"""Longer waits are spent where a stop is heard; what is left is slept through, since that ends more precisely."""
_COARSE_MARGIN_S = 0.02
_LONGEST_GRACE_S, _GRACE_OF_STEP = 0.001, 0.25
"""How long after its start a step is put together; of very short steps, a part of what they last at least."""


@dataclass(eq=False)
class Job:
    """A request as the engine knows it.

    Attributes:
        prompt_tokens: length of its prompt [tokens].
        output_tokens: tokens to generate [tokens].
        emit: sends one more token to the client; called by the event loop.
        done: set once the last token has been sent.
        received_s: when all of the request was there (time.monotonic) [s].
        arrived_s: when it joins the engine's queue, some time outside the engine later [s].
        joined_s: planned start of the first step that served it [s]; None before.
        is_abandoned: whether nobody waits for the answer any more.
        slot: its place in the scheduler while it is there; the engine's thread alone uses it.
    """

    prompt_tokens: int
    output_tokens: int
    emit: Callable[[], None]
    done: asyncio.Future[None]
    received_s: float
    arrived_s: float
    joined_s: float | None = None
    is_abandoned: bool = False
    slot: int | None = None


class Step(NamedTuple):
    """What a step brought about.

    Attributes:
        due_s: when it was planned to end (time.monotonic) [s].
        emitted: who got a token.
        finished: who thereby got the last one.
        aborted: who was forgotten before the step.
    """

    due_s: float
    emitted: list[Job]
    finished: list[Job]
    aborted: list[Job]


class Load(NamedTuple):
    """What the engine is busy with."""

    running: int = 0
    waiting: int = 0
    kv_cache_usage_fraction: float = 0.0
    preemptions: int = 0


class EngineThread:
    """Runs a scheduler in real time, in a thread of its own: an event loop's timers are exact to a millisecond only.

    Args:
        scheduler: the engine; nobody else may use it from now on.
        least_step_s: that any step takes [s].
        loop: the event loop that the requests live in; `deliver` and `fail` are called there.
        deliver: told once for every step.
        fail: told of an error that ended the thread.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        least_step_s: float,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[Step], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.load = Load()
        self._scheduler = scheduler
        self._grace_s = min(_LONGEST_GRACE_S, _GRACE_OF_STEP * least_step_s)
        self._loop = loop
        self._deliver = deliver
        self._fail = fail
        self._arrivals: deque[Job] = deque()
        self._aborts: deque[Job] = deque()
        self._queued: deque[Job] = deque()
        """In the scheduler, but not served yet; in the order of its queue."""
        self._by_slot: dict[int, Job] = {}
        self._wake, self._stop = Event(), Event()
        self._boundary_s = time.monotonic()
        self._thread = Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Lets time begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, in the middle of a step if need be. Requests that are left get nothing more."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def submit(self, job: Job) -> None:
        """A request joins at the first step boundary after its arrival, or at once where the engine is idle."""
        self._arrivals.append(job)
        self._wake.set()

    def abort(self, job: Job) -> None:
        """Forgets a request at the next step boundary; does nothing where it is finished."""
        job.is_abandoned = True
        self._aborts.append(job)
        self._wake.set()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        except BaseException as error:  # whatever it is: a server whose engine stands still must not look alive
            self._loop.call_soon_threadsafe(self._fail, error)

    def _turn(self) -> None:
        """One step; or, where there is nothing to do, a wait."""
        if self._by_slot:  # an idle engine takes whoever comes first, at once
            self._sleep_until(self._boundary_s + self._grace_s)
        aborted = [*self._let_go(), *self._let_in()]
        duration_s = self._scheduler.begin_step()
        scheduler = self._scheduler
        self.load = Load(scheduler.running, scheduler.waiting, scheduler.kv_cache_usage_fraction, scheduler.preemptions)
        if duration_s is None:
            if aborted:
                self._tell(Step(self._boundary_s, [], [], aborted))
            self._idle()
            return
        # Requests are admitted in order and preempted ones wait in front, so the new ones that wait are the last.
        while len(self._queued) > self.load.waiting:
            self._queued.popleft().joined_s = self._boundary_s
        self._boundary_s += duration_s
        self._sleep_until(self._boundary_s)
        if self._stop.is_set():
            return
        emitted_slots, finished_slots = scheduler.end_step()
        emitted = [self._by_slot[slot] for slot in emitted_slots.tolist()]
        finished = [self._by_slot.pop(slot) for slot in finished_slots.tolist()]
        for job in finished:
            job.slot = None
        self._tell(Step(self._boundary_s, emitted, finished, aborted))

    def _let_go(self) -> list[Job]:
        gone = []
        while self._aborts:
            job = self._aborts.popleft()
            if job.slot is None:
                continue  # finished meanwhile, or not even let in
            self._scheduler.abort(job.slot)
            del self._by_slot[job.slot]
            job.slot = None
            if job.joined_s is None:
                self._queued.remove(job)
            gone.append(job)
        return gone

    def _let_in(self) -> list[Job]:
        """Adds who arrived up to the boundary, and returns who was gone again by then."""
        gone = []
        while self._arrivals and self._arrivals[0].arrived_s <= self._boundary_s:
            job = self._arrivals.popleft()
            if job.is_abandoned:
                gone.append(job)
                continue
            job.slot = self._scheduler.add(job.prompt_tokens, job.output_tokens)
            self._by_slot[job.slot] = job
            self._queued.append(job)
        return gone

    def _idle(self) -> None:
        if not self._arrivals:
            self._wake.wait()
            self._wake.clear()
        if self._arrivals:
            self._boundary_s = max(self._boundary_s, self._arrivals[0].arrived_s)
            self._sleep_until(self._boundary_s)

    def _sleep_until(self, due_s: float) -> None:
        while (left_s := due_s - time.monotonic()) > 0 and not self._stop.is_set():
            if left_s > _COARSE_SLEEP_S:
                self._stop.wait(left_s - _COARSE_MARGIN_S)
            else:
                time.sleep(left_s)

    def _tell(self, step: Step) -> None:
        self._loop.call_soon_threadsafe(self._deliver, step)
