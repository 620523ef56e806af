"""Where a load point stands, told while it runs."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from planner.engines.answers import CANCELLED, OK
from planner.loadtest.schedule import Schedule
from planner.schema.benchmark import RequestRecord

_RECENT = 200
"""Answers that the running figures are of."""


@dataclass(frozen=True)
class Progress:
    """Where a load point stands; the latency and the rate are of the latest answers."""

    sent: int
    ok: int
    failed: int
    in_flight: int
    ttft_p50_s: float | None
    output_tokens_per_s: float | None
    left_s: float | None
    """Until the last request is sent [s]; null where that cannot be told."""
    is_stopping: bool = False
    """Nothing more is sent: it was interrupted, and waits for what is in flight."""


def progress_text(label: str, now: Progress) -> str:
    """Where a point stands, on one line.

    Example:
        >>> progress_text("8 users", Progress(20, 11, 1, 8, 0.125, 1234.5, 9.6))
        '8 users: 20 sent, 11 ok, 1 failed, 8 in flight, TTFT p50 125 ms, 1,234 tokens/s, 10 s left'
    """
    if now.is_stopping:
        return f"{label}: stopping, waits for the {now.in_flight} in flight; Ctrl-C again does not"
    parts = [f"{now.sent} sent", f"{now.ok} ok", f"{now.failed} failed", f"{now.in_flight} in flight"]
    if now.ttft_p50_s is not None:
        parts.append(f"TTFT p50 {now.ttft_p50_s * 1000:.0f} ms")
    if now.output_tokens_per_s is not None:
        parts.append(f"{now.output_tokens_per_s:,.0f} tokens/s")
    if now.left_s is not None:
        parts.append(f"{now.left_s:.0f} s left")
    return f"{label}: {', '.join(parts)}"


class _Answered(NamedTuple):
    sent_s: float
    ttft_s: float
    tokens: int


@dataclass
class Tally:
    """Counts of a load point, kept as its requests go out and come back."""

    schedule: Schedule
    start_s: float
    """When it starts, on time.perf_counter [s]."""
    sent: int = 0
    ok: int = 0
    failed: int = 0
    cancelled: int = 0
    is_stopping: bool = False
    _recent: deque[_Answered] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def finished(self, entry: RequestRecord) -> None:
        """Counts a request that ended."""
        if entry.outcome == OK:
            self.ok += 1
            first_s = entry.due_s if entry.first_token_s is None else entry.first_token_s
            tokens = entry.output_tokens or len(entry.gaps_s or []) + 1
            self._recent.append(_Answered(entry.sent_s or entry.due_s, first_s - entry.due_s, tokens))
        elif entry.outcome == CANCELLED:
            self.cancelled += 1
        else:
            self.failed += 1

    def progress(self) -> Progress:
        """The figures as they are now."""
        elapsed_s = time.perf_counter() - self.start_s
        ttft_s = [entry.ttft_s for entry in self._recent]
        tokens = sum(entry.tokens for entry in self._recent)
        since_s = elapsed_s - (self._recent[0].sent_s if len(self._recent) == _RECENT else 0.0)
        return Progress(
            sent=self.sent,
            ok=self.ok,
            failed=self.failed,
            in_flight=self.sent - self.ok - self.failed - self.cancelled,
            ttft_p50_s=float(np.median(ttft_s)) if ttft_s else None,
            output_tokens_per_s=tokens / since_s if tokens and since_s > 0 else None,
            left_s=self._left_s(elapsed_s),
            is_stopping=self.is_stopping,
        )

    def _left_s(self, elapsed_s: float) -> float | None:
        schedule, done = self.schedule, self.ok + self.failed
        if schedule.measured.due_s is not None and len(schedule.measured):
            return max(0.0, float(schedule.measured.due_s[-1]) - elapsed_s)
        if schedule.duration_s is not None:
            return max(0.0, schedule.duration_s - elapsed_s)
        count = len(schedule.measured) if schedule.most_counted is None else schedule.most_counted
        return elapsed_s * max(0.0, count / done - 1) if done and elapsed_s > 0 else None
