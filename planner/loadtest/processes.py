"""Processes beside this one that Ctrl-C does not reach: which of them stops what, the first decides."""

import multiprocessing
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SPAWN = multiprocessing.get_context("spawn")  # a copy of an event loop, as by fork, would be of no use


def start(work: Callable[[T, Connection], None], order: T, name: str) -> tuple[SpawnProcess, Connection]:
    """Starts a process, and keeps Ctrl-C from it even while it starts; it must call `ignore_signals` first.

    Args:
        work: what it does, with an order and its end of a pipe.
        order: that it gets.
        name: of the process.

    Returns:
        The process, and our end of the pipe.

    Raises:
        OSError: the system has no room for it.
    """
    mine, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=work, args=(order, theirs), name=name)
    try:
        with _held_back(SIGNALS):
            process.start()
    except OSError:
        mine.close()
        raise
    finally:
        theirs.close()
    return process, mine


def ignore_signals() -> None:
    """In a process that was started here: Ctrl-C goes to all processes of a terminal; until now it was held back."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _held_back(signals: Collection[signal.Signals]) -> Iterator[None]:
    """Keeps signals back meanwhile; who is started inherits that, and lets none through before it says how."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows, which has no such groups of processes
        yield
        return
    resource_tracker.ensure_running()  # it lets signals through again where it has to start first
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
