"""Waiting until a request is due, to some tens of microseconds."""

import asyncio
import ctypes
import math
import os
import sys
import time
from types import TracebackType
from typing import Self

_EARLY_S = 0.00025
"""How long before its time a waiter is woken, to be awake and at work when it comes."""
_ASLEEP_S = 0.005
"""After shorter waits it is awake anyway; and waking early would cost too much where requests follow so closely."""
_CLOCK_MONOTONIC, _ABSOLUTE, _NONBLOCKING_AND_CLOSED_ON_EXEC = 1, 1, 0o2000000 | 0o4000


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _TimerSpec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


class Pacer:
    """Wakes one waiter at a time on time.perf_counter.

    Timers of event loops count in milliseconds, which would make every request up to one late. On Linux the kernel's
    own timer is asked instead (timerfd, of CLOCK_MONOTONIC, which time.perf_counter reads there); elsewhere the loop's.
    A processor that wakes up from a long wait needs a quarter of a millisecond to get going. It gets that before the
    time, and spends what is left of it in a loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._fd = -1

    def __enter__(self) -> Self:
        if self._libc is not None:
            self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCKING_AND_CLOSED_ON_EXEC)
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._expired)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wake()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    async def until(self, time_s: float) -> None:
        """Returns at a time on time.perf_counter [s], or when woken; at once where it has passed."""
        wait_s = time_s - time.perf_counter()
        if wait_s <= 0:
            return
        self._waiter = self._loop.create_future()
        if self._libc is not None and self._fd >= 0:
            early_s = _EARLY_S if wait_s > _ASLEEP_S else 0.0
            fraction, seconds = math.modf(time_s - early_s)
            spec = _TimerSpec(value=_Timespec(int(seconds), int(fraction * 1e9) + 1))
            self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None)
        else:
            self._timer = self._loop.call_later(wait_s, self.wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if self._timer is not None:
                self._timer.cancel()
        if time_s - time.perf_counter() <= _EARLY_S:  # or else it was woken to stop
            while time.perf_counter() < time_s:
                pass

    def wake(self) -> None:
        """Ends the wait."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self.wake()
