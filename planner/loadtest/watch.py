"""Whether the load generator itself keeps up: how late its event loop is, and how busy its processor."""

import asyncio
import time

EVERY_S = 0.01
_TIMER_S = 0.001
"""Loops count in whole milliseconds; that much is theirs and no lag."""
_MOST_AT_ONCE = 60_000
"""Of looks that were missed: ten minutes of them."""


def missed_lags_s(late_s: float) -> list[float]:
    """How late each look was that is made now, those missed meanwhile included [s].

    Looks are due every 10 ms whatever became of the one before. A loop that stood still for a second was not late
    once, but a hundred times, by less and less: a percentile of its lags must know that.

    Args:
        late_s: from when the first of them was due [s].

    Example:
        >>> [round(lag_s, 3) for lag_s in missed_lags_s(0.035)], missed_lags_s(0.0005)
        ([0.034, 0.024, 0.014, 0.004], [0.0])
    """
    looks = min(int(max(0.0, late_s) / EVERY_S) + 1, _MOST_AT_ONCE)
    return [max(0.0, late_s - number * EVERY_S - _TIMER_S) for number in range(looks)]


class SelfWatch:
    """Watches from `begin` to `end`, each called once or more."""

    def __init__(self) -> None:
        self.lags_s: list[float] = []
        self.cpu_fraction: float | None = None
        """Processor time of this process over time, once it has ended; 1 is one core."""
        self._handle: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._began_s: float | None = None
        self._cpu_s = 0.0

    def begin(self) -> None:
        """Begins to watch."""
        if self._began_s is None:
            self._began_s, self._cpu_s = time.perf_counter(), time.process_time()
            self._due_s = self._began_s + EVERY_S
            self._handle = asyncio.get_running_loop().call_later(EVERY_S, self._look)

    def end(self) -> None:
        """Ends."""
        if self._handle is None or self._began_s is None:
            return
        now_s = time.perf_counter()
        if now_s > self._due_s:
            self.lags_s += missed_lags_s(now_s - self._due_s)
        self._handle.cancel()
        self._handle = None
        if now_s > self._began_s:
            self.cpu_fraction = (time.process_time() - self._cpu_s) / (now_s - self._began_s)

    def _look(self) -> None:
        found = missed_lags_s(time.perf_counter() - self._due_s)
        self.lags_s += found
        self._due_s += len(found) * EVERY_S
        wait_s = max(0.0, self._due_s - time.perf_counter())
        self._handle = asyncio.get_running_loop().call_later(wait_s, self._look)
