"""Requests built ahead of when they are due, in time that nothing else needs."""

import time
from collections import deque
from typing import Protocol

from planner.loadtest.schedule import Requests

_MOST_BYTES = 2**24
"""Of bodies that wait; prompts of long contexts are megabytes."""


class Builds(Protocol):
    """What builds a request's body."""

    def prepare(self, index: int, input_tokens: int, output_tokens: int) -> bytes:
        """The body; index is below 0 in the warm-up."""


class Ahead:
    """The requests of a schedule, one after the other, with their bodies."""

    def __init__(self, requests: Requests, load: Builds, is_measured: bool, count: int) -> None:
        """Keeps about as many as `count` ready."""
        self._requests = requests
        self._load = load
        self._is_measured = is_measured
        self._count = count
        self._next = 0
        self._ready: deque[tuple[int, bytes]] = deque()
        self._bytes = 0

    def take(self) -> tuple[int, bytes] | None:
        """The next request's number among these and its body; None where there is none left."""
        if not self._ready and not self._build():
            return None
        index, body = self._ready.popleft()
        self._bytes -= len(body)
        return index, body

    def work(self, until_s: float) -> bool:
        """Builds until a time on time.perf_counter [s]; False where nothing was left to do."""
        while len(self._ready) < self._count and self._bytes < _MOST_BYTES and self._build():
            if time.perf_counter() >= until_s:
                return True
        return False

    def _build(self) -> bool:
        if self._next >= len(self._requests):
            return False
        index = self._next
        self._next += 1
        asked = int(self._requests.input_tokens[index]), int(self._requests.output_tokens[index])
        place = self._requests.place(index)
        body = self._load.prepare(place if self._is_measured else -1 - place, *asked)
        self._ready.append((index, body))
        self._bytes += len(body)
        return True
