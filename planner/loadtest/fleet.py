"""Several processes that send one schedule together, where one core does not read fast enough."""

import asyncio
import statistics
from array import array
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from planner.errors import EnvironmentLackingError
from planner.loadtest.driver import starts_s
from planner.loadtest.load import LoadSpec
from planner.loadtest.processes import start
from planner.loadtest.progress import Progress
from planner.loadtest.sample import Outcome
from planner.loadtest.schedule import Schedule
from planner.loadtest.worker import ELSEWHERE, GIVE_UP, INTERRUPT, READY, Crash, Order, work

MOST_PROCESSES = 64


class Fleet:
    """Does what a Driver does, in several processes.

    There is one schedule, drawn before: each process sends every n-th request of it, at the times that it says, with
    the prompts that it would have in a single process. All write to one file of requests.
    """

    def __init__(
        self,
        processes: int,
        schedule: Schedule,
        load: LoadSpec,
        requests_path: Path,
        on_progress: Callable[[Progress], None],
        max_error_fraction: float = 0.05,
    ) -> None:
        """As for a Driver; no more processes than users, or than requests, are started."""
        self._schedule = schedule
        self._on_progress = on_progress
        count = min(processes, schedule.concurrency or len(schedule.measured))
        self._orders = [
            Order(schedule.share(part, count), load, requests_path, max_error_fraction) for part in range(count)
        ]
        self._pipes: list[Connection] = []
        self._ready = 0
        self._progress: dict[int, Progress] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._fault: Exception | None = None
        self._ended = asyncio.Event()
        self._has_begun = False
        self._left = count

    def interrupt(self) -> None:
        """Sends nothing more; the second time, waits for nothing more either."""
        self._begin()  # those that are ready wait for a time, and end when they have it
        self._tell(INTERRUPT)

    async def run(self) -> Outcome:
        """Runs the point to its end, to an interruption, or to a storm of failures.

        Raises:
            PlannerError: what went wrong in a process, or a process was killed.
            RuntimeError: a fault of ours in a process.
        """
        loop = asyncio.get_running_loop()
        started: list[SpawnProcess] = []
        try:
            for number, order in enumerate(self._orders):
                started.append(self._start(number, order))
                loop.add_reader(self._pipes[number].fileno(), self._listen, number)
            await self._ended.wait()
        finally:
            for pipe in self._pipes:
                loop.remove_reader(pipe.fileno())
                pipe.close()
            for process in started:
                await loop.run_in_executor(None, process.join)
        if self._fault is not None:
            raise self._fault
        return merged([self._outcomes[number] for number in sorted(self._outcomes)])

    def _start(self, number: int, order: Order) -> SpawnProcess:
        """Starts a process that Ctrl-C does not reach, not even while it starts.

        Raises:
            EnvironmentLackingError: the system has no room for it.
        """
        try:
            process, pipe = start(work, order, f"load-{number}")
        except OSError as error:
            raise EnvironmentLackingError(f"--processes: no more can be started: {error.strerror}") from error
        self._pipes.append(pipe)
        return process

    def _listen(self, number: int) -> None:
        try:
            told = self._pipes[number].recv()
        except (EOFError, OSError):
            told = EnvironmentLackingError("a process of the load generator was killed: too little memory, perhaps")
        if isinstance(told, Crash):
            told = RuntimeError(f"in a process of the load generator:\n{told.traceback}")
        if told == READY:
            self._ready += 1
            if self._ready == len(self._orders):
                self._begin()
        elif isinstance(told, Progress):
            self._progress[number] = told
            self._on_progress(together(list(self._progress.values())))
        else:
            self._end(number, told)

    def _end(self, number: int, told: Outcome | Exception) -> None:
        asyncio.get_running_loop().remove_reader(self._pipes[number].fileno())
        if isinstance(told, Outcome):
            self._outcomes[number] = told
            if told.given_up:
                self._tell(GIVE_UP)
        else:
            self._fault = self._fault or told
            self.interrupt()
            self.interrupt()
        self._left -= 1
        if not self._left:
            self._ended.set()

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._tell(starts_s(self._schedule))

    def _tell(self, what: object) -> None:
        for pipe in self._pipes:
            try:
                pipe.send(what)
            except OSError:  # it has ended
                continue


def together(parts: Sequence[Progress]) -> Progress:
    """Where processes stand together; their median latency is the median of theirs.

    Example:
        >>> found = together([Progress(9, 5, 1, 3, 0.2, 50.0, 4.0), Progress(8, 6, 0, 2, 0.3, 60.0, 5.0)])
        >>> found.sent, found.in_flight, found.ttft_p50_s, found.output_tokens_per_s, found.left_s
        (17, 5, 0.25, 110.0, 5.0)
    """
    ttft_s = [part.ttft_p50_s for part in parts if part.ttft_p50_s is not None]
    tokens_per_s = [part.output_tokens_per_s for part in parts if part.output_tokens_per_s is not None]
    left_s = [part.left_s for part in parts if part.left_s is not None]
    return Progress(
        sent=sum(part.sent for part in parts),
        ok=sum(part.ok for part in parts),
        failed=sum(part.failed for part in parts),
        in_flight=sum(part.in_flight for part in parts),
        ttft_p50_s=statistics.median(ttft_s) if ttft_s else None,
        output_tokens_per_s=sum(tokens_per_s) if tokens_per_s else None,
        left_s=max(left_s) if left_s else None,
        is_stopping=any(part.is_stopping for part in parts),
    )


def merged(parts: Sequence[Outcome]) -> Outcome:
    """What processes gave together; of their loads, the largest, since the busiest one is the bottleneck.

    Args:
        parts: at least one.
    """
    whole = Outcome(
        start_s=next((part.start_s for part in parts if part.start_s is not None), None),
        loop_lags_s=array("d", [lag for part in parts for lag in part.loop_lags_s]),
        cpu_fraction=max((part.cpu_fraction or 0.0 for part in parts), default=None),
        is_interrupted=any(part.is_interrupted for part in parts),
        used=max((part.used for part in parts), default=0),
        given_up=min((part.given_up for part in parts if part.given_up), key=ELSEWHERE.__eq__, default=""),
    )
    for part in parts:
        whole.sample.extend(part.sample)
    return whole
