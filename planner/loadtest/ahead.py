"""Requests built ahead of when they are due, in time that nothing else needs."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from planner.loadtest.said import Said
from planner.loadtest.schedule import Ask, Requests

_MOST_BYTES = 2**24
"""Of bodies that wait; prompts of long contexts are megabytes."""


@dataclass(frozen=True, slots=True)
class NextTurn:
    """A turn of a conversation, whose request is made of what was said before.

    Attributes:
        text: of the user's new message.
        output_tokens: of its answer [tokens].
        said: in the conversation before; the same for all of its turns.
    """

    text: str
    output_tokens: int
    said: Said


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that is ready to be sent.

    Attributes:
        body: of the request; empty where it is a turn of a conversation.
        model: that is asked.
        turn: of a conversation; None where the request stands alone.
    """

    body: bytes
    model: str = ""
    turn: NextTurn | None = None

    def __len__(self) -> int:
        return len(self.body) + (0 if self.turn is None else len(self.turn.text))


class Builds(Protocol):
    """What builds requests."""

    def prepare(self, ask: Ask) -> Prepared:
        """The request."""


class Ahead:
    """The requests of a schedule, one after the other, with their bodies."""

    def __init__(self, requests: Requests, load: Builds, is_measured: bool, count: int) -> None:
        """Keeps about as many as `count` ready."""
        self._requests = requests
        self._load = load
        self._is_measured = is_measured
        self._count = count
        self._next = 0
        self._ready: deque[tuple[int, Prepared]] = deque()
        self._bytes = 0

    def take(self) -> tuple[int, Prepared] | None:
        """The next request's number among these, and itself; None where there is none left."""
        if not self._ready and not self._build():
            return None
        number, prepared = self._ready.popleft()
        self._bytes -= len(prepared)
        return number, prepared

    def take_turns(self) -> list[tuple[int, Prepared]]:
        """The requests of the next conversation; none where there is none left."""
        taken: list[tuple[int, Prepared]] = []
        turns = self._requests.turns
        while (item := self.take()) is not None:
            taken.append(item)
            if turns is None or not turns.goes_on_after(item[0]):
                break
        return taken

    def work(self, until_s: float) -> bool:
        """Builds until a time on time.perf_counter [s]; False where nothing was left to do."""
        while len(self._ready) < self._count and self._bytes < _MOST_BYTES and self._build():
            if time.perf_counter() >= until_s:
                return True
        return False

    def _build(self) -> bool:
        if self._next >= len(self._requests):
            return False
        prepared = self._load.prepare(self._requests.ask(self._next, self._is_measured))
        self._ready.append((self._next, prepared))
        self._next += 1
        self._bytes += len(prepared)
        return True
