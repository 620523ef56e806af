"""A sweep that finds its loads itself, within its time."""

import time
from collections.abc import Sequence

from planner.loadtest.sweep import MOST_USERS, NextLoad, next_load, result_of
from planner.schema.benchmark import KnownLimits, LoadPoint, RunPoint
from planner.schema.sweep import SweepResult
from planner.workflows.bench.open_files import OTHERS, allow_open_files
from planner.workflows.bench.options import BenchPlan


class Search:
    """What such a sweep measures next, how much time is left for it, and what it found."""

    def __init__(
        self, plan: BenchPlan, limits: KnownLimits, turns: int, done: int = 0, spent_s: float | None = None
    ) -> None:
        """Begins now.

        Args:
            plan: what is asked.
            limits: of the server, as far as they are known.
            turns: of a conversation, which needs users; 1 where each request stands alone.
            done: loads that are measured already.
            spent_s: how long that took [s]; None where nobody knows, and the loads took as long as was asked.
        """
        extent = plan.extent
        self._slo = plan.slo
        self._is_closed = turns > 1 or plan.options.arrival == "closed"
        self._most_users = _most_users(plan, limits, turns)
        self._budget_s = plan.time_budget_s
        self._each_s = extent.warmup_s + (extent.duration_s or 0.0)
        self._begin_s = time.monotonic() - (done * self._each_s if spent_s is None else spent_s)

    @property
    def left_s(self) -> float:
        """Of its time [s]."""
        return max(0.0, self._budget_s - self._spent_s)

    def has_room(self, done: int) -> bool:
        """Whether another load fits into it, if it takes as long as was asked, or as those before took on average.

        Args:
            done: loads that are measured, earlier ones too.
        """
        return self.left_s > 0 and self.left_s >= max(self._each_s, self._spent_s / max(1, done))

    @property
    def _spent_s(self) -> float:
        return time.monotonic() - self._begin_s

    def next_load(self, points: Sequence[LoadPoint]) -> NextLoad | None:
        """The next load after these; None where all is found."""
        return next_load(points, self._slo, self._most_users, self._is_closed)

    def result(self, points: Sequence[RunPoint]) -> SweepResult:
        """What it found; points that were cut off say nothing."""
        whole = [point.metrics for point in points if not point.is_cut]
        spent = {"time_budget_s": self._budget_s, "spent_s": round(self._spent_s, 1)}
        is_complete = self.next_load(whole) is None
        return result_of(whole, self._slo, self._is_closed).model_copy(update={**spent, "is_complete": is_complete})


def _most_users(plan: BenchPlan, limits: KnownLimits, turns: int) -> int:
    """Users that it goes up to: four times as many as the server runs at once, where that is known.

    So that two doublings beyond what it can do show that there is no more.
    """
    open_files = plan.options.processes * max(1.0, allow_open_files() - OTHERS)
    conversations = plan.extent.requests // turns if plan.extent.requests else MOST_USERS
    at_once = 4 * limits.max_num_seqs if limits.max_num_seqs else MOST_USERS
    return int(min(MOST_USERS, at_once, max(1, conversations), open_files))
