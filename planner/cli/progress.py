"""What long work shows on standard error while it lasts."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_FIRST_AFTER_S = 1.0
"""Work that is done sooner shows nothing."""
_TERMINAL_EVERY_S, _LOG_EVERY_S = 0.2, 10.0


@contextmanager
def progress(what: str, is_quiet: bool) -> Iterator[Callable[[float], None]]:
    """A function to be told the fraction done; it keeps one line on a terminal, and adds few to a log."""
    with status(is_quiet) as show:
        yield lambda fraction: show(f"{what} {fraction:.0%}")


@contextmanager
def status(is_quiet: bool) -> Iterator[Callable[[str], None]]:
    """A function to be told how things stand; it keeps one line on a terminal, and adds few to a log."""
    is_terminal = sys.stderr.isatty()
    pause_s = _TERMINAL_EVERY_S if is_terminal else _LOG_EVERY_S
    next_s = time.monotonic() + _FIRST_AFTER_S
    is_shown = False

    def show(text: str) -> None:
        nonlocal next_s, is_shown
        if is_quiet or time.monotonic() < next_s:
            return
        next_s, is_shown = time.monotonic() + pause_s, True
        _write(f"\r{text[: _columns()]}\033[K" if is_terminal else f"{text}\n")

    try:
        yield show
    finally:
        if is_shown and is_terminal:
            _write("\r\033[K")


def _columns() -> int:
    """A longer line would wrap, and could not be written over."""
    return shutil.get_terminal_size().columns - 1


def tell(message: str) -> None:
    """A line on standard error; one that nobody can read is no reason to fail."""
    _write(f"{message}\n")


def _write(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
