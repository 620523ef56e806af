"""Ctrl-C during a load test: the first stops sending, the second stops waiting."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruptible(Protocol):
    """What is measuring."""

    def interrupt(self) -> None:
        """Sends nothing more; the second time, waits for nothing more either."""


class Interruption:
    """What an interruption does: it tells the driver, or ends the work where nothing is being measured yet."""

    def __init__(self) -> None:
        self.is_asked = False
        self.driver: Interruptible | None = None
        self._work = asyncio.current_task()

    def ask(self) -> None:
        """Interrupts."""
        self.is_asked = True
        if self.driver is not None:
            self.driver.interrupt()
        elif self._work is not None:
            self._work.cancel()


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turns SIGINT and SIGTERM into an interruption while it lasts."""
    interruption, loop = Interruption(), asyncio.get_running_loop()
    handled = []
    for number in _SIGNALS:
        # Outside the main thread, and on Windows, there are no such handlers; Ctrl-C then ends the command at once.
        with suppress(ValueError, RuntimeError, NotImplementedError):
            before = signal.getsignal(number)
            loop.add_signal_handler(number, interruption.ask)
            handled.append((number, before))
    try:
        yield interruption
    finally:
        for number, before in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, before)
