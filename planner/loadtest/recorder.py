"""Answers that have ended, turned into records in time that nothing else needs."""

from collections import deque
from collections.abc import Callable
from time import perf_counter

from planner.engines.answers import Answer
from planner.loadtest.records import record
from planner.schema.benchmark import RequestRecord

_MOST_WAITING = 2000
"""Beyond so many, writing comes before reading: the memory must not fill up."""


class Recorder:
    """Keeps what it takes to make a record, which costs as much as reading ten chunks, until there is time for it."""

    def __init__(self, on_record: Callable[[RequestRecord], None]) -> None:
        """Hands each record on, soon after its request has ended, in the order in which they ended."""
        self._on_record = on_record
        self._waiting: deque[tuple[int, float | None, tuple[int, int], Answer, bool]] = deque()
        self.start_s = 0.0
        """Of the load point, on time.perf_counter [s]."""

    def put(self, index: int, due_s: float | None, asked: tuple[int, int], answer: Answer, is_warmup: bool) -> None:
        """Takes a request that has ended; due_s as `record` takes it, None in a closed loop."""
        self._waiting.append((index, due_s, asked, answer, is_warmup))

    def work(self, until_s: float) -> bool:
        """Records until a time on time.perf_counter [s]; False where nothing was left to do.

        Raises:
            PlannerError: what on_record raises: a full disk, say.
        """
        while self._waiting:
            self._record()
            if perf_counter() >= until_s and len(self._waiting) < _MOST_WAITING:
                break
        return bool(self._waiting)

    def finish(self) -> None:
        """Records all that is left."""
        while self._waiting:
            self._record()

    def _record(self) -> None:
        index, due_s, asked, answer, is_warmup = self._waiting.popleft()
        if due_s is None:
            sent_s = answer.sent_s if answer.sent_s is not None else answer.finished_s or self.start_s
            due_s = sent_s - self.start_s
        self._on_record(record(index, due_s, asked, answer, self.start_s, is_warmup))
