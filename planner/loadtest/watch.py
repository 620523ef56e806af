"""Whether the event loop answers when it should."""

import asyncio
import time

_EVERY_S = 0.01
_TIMER_S = 0.001
"""Loops count in whole milliseconds; that much is theirs and no lag."""


class LoopWatch:
    """Asks the event loop for a call every 10 ms, and notes how late each comes: so late is whatever else it does."""

    def __init__(self) -> None:
        self.lags_s: list[float] = []
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to watch."""
        loop = asyncio.get_running_loop()
        due_s = time.perf_counter() + _EVERY_S

        def look() -> None:
            self.lags_s.append(max(0.0, time.perf_counter() - due_s - _TIMER_S))
            self.start()

        self._handle = loop.call_later(_EVERY_S, look)

    def stop(self) -> None:
        """Ends."""
        if self._handle is not None:
            self._handle.cancel()
