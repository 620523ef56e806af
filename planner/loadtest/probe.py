"""Looks at the server and its GPUs while they are under load, in a process of its own; `telemetry.py` is the other end.

Reading a page of `/metrics` takes milliseconds, and a driver may take its time as well: neither may delay the event
loop that measures.
"""

import asyncio
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Self

from planner.engines.counters import Counters, read_counters
from planner.engines.exchange import Timeouts
from planner.engines.gpus import GpuReading, GpusUnknownError, nvml, readings
from planner.engines.metric_names import COUNTS
from planner.engines.openai_http import OpenAIClient
from planner.engines.target import Target
from planner.loadtest.processes import ignore_signals

BEGIN, BEGIN_GPUS, END = "begin", "begin, GPUs alone", "end"
BEGUN = "begun"
_EVERY_S, _AT_FIRST_EVERY_S, _LOOKS = 1.0, 0.5, 10
"""Short times are looked at more often, but not much: a page keeps vLLM 0.32 from sending tokens for some 6 ms, which
once a second is less than a 99th percentile can show."""
_NICENESS = 5
"""Where cores are few, whoever measures goes first."""


@dataclass(frozen=True)
class ProbeOrder:
    """What to look at.

    Attributes:
        target: the server whose `/metrics` are asked.
        gpus: their numbers.
    """

    target: Target
    gpus: tuple[int, ...]


@dataclass(frozen=True)
class ServerReading:
    """What a server said of itself at one time; counts since it started, and None for what its page does not have.

    Attributes:
        started_s: when its process started, on its wall clock [s].
        running, waiting: requests, of all its engines.
        kv_used_fraction: of the engine that has the most of its KV cache in use.
        requests: that ended whole.
        prompt_tokens, output_tokens: computed for anybody [tokens].
        preemptions: requests that had to give their memory back.
        prefix_cache_queries_tokens, prefix_cache_hits_tokens: looked for in the prefix cache, and found [tokens].
    """

    started_s: float | None = None
    running: float | None = None
    waiting: float | None = None
    kv_used_fraction: float | None = None
    requests: float | None = None
    prompt_tokens: float | None = None
    output_tokens: float | None = None
    preemptions: float | None = None
    prefix_cache_queries_tokens: float | None = None
    prefix_cache_hits_tokens: float | None = None

    @classmethod
    def of(cls, page: Counters) -> Self:
        """What stands on a page."""
        running, waiting = page.gauge("running"), page.gauge("waiting")
        return cls(
            started_s=page.started_s,
            running=sum(running) if running else None,
            waiting=sum(waiting) if waiting else None,
            kv_used_fraction=max(page.gauge("kv_used_fraction"), default=None),
            **{term: page.count(term) for term in COUNTS},
        )


@dataclass(frozen=True)
class Look:
    """What was seen at one time.

    Attributes:
        time_s: on time.perf_counter [s].
        server: what its `/metrics` said; None where the GPUs were looked at.
        gpus: what they said; empty where the page was looked at.
    """

    time_s: float
    server: ServerReading | None = None
    gpus: tuple[GpuReading, ...] = ()


@dataclass
class Looks:
    """All that was seen from a BEGIN to its END.

    Attributes:
        seen: in the order of time.
        missed: how often there was no page, or none in time.
    """

    seen: list[Look] = field(default_factory=list)
    missed: int = 0


@dataclass(frozen=True)
class ProbeFailure:
    """Why it looks at nothing any more."""

    reason: str


def look(order: ProbeOrder, pipe: Connection) -> None:
    """Carries out an order until the pipe is closed at its other end, as when the process there has ended.

    Gets BEGIN, or BEGIN_GPUS where the server has no `/metrics`, and answers BEGUN after the first look at the GPUs;
    gets END, and answers with the Looks since then.
    """
    ignore_signals()
    with suppress(OSError, AttributeError):  # not on Windows
        os.nice(_NICENESS)
    try:
        with nvml() if order.gpus else nullcontext():
            asyncio.run(_Probe(order, pipe).run())
    except (BrokenPipeError, EOFError, ConnectionResetError):
        pass  # nobody is there any more
    except GpusUnknownError as error:
        _tell(pipe, ProbeFailure(str(error)))
    except Exception:  # whatever it is, a run that is measured well must not fail by it
        _tell(pipe, ProbeFailure(traceback.format_exc()))
    finally:
        pipe.close()


def _tell(pipe: Connection, failure: ProbeFailure) -> None:
    with suppress(OSError):
        pipe.send(failure)


class _Probe:
    def __init__(self, order: ProbeOrder, pipe: Connection) -> None:
        self._order = order
        self._pipe = pipe
        self._looks = Looks()
        self._looking: list[asyncio.Task[None]] = []
        self._is_over = asyncio.Event()

    async def run(self) -> None:
        with _listening(self._pipe, self._hear):
            await self._is_over.wait()
        await self._stop()
        for task in self._looking:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _hear(self) -> None:
        try:
            told = self._pipe.recv()
        except (EOFError, OSError):
            told = None
        if told in (BEGIN, BEGIN_GPUS):
            self._begin(told == BEGIN)
        elif told == END:
            self._end()
        else:
            self._is_over.set()

    def _begin(self, has_page: bool) -> None:
        for task in self._looking:
            task.cancel()
        self._looks = Looks()
        self._look_at_gpus()
        # A page that does not come must not keep the GPUs from being looked at.
        self._looking = [asyncio.create_task(self._gpus())]
        if has_page:
            self._looking.append(asyncio.create_task(self._pages()))
        for task in self._looking:
            task.add_done_callback(self._ended)
        self._pipe.send(BEGUN)

    def _end(self) -> None:
        self._look_at_gpus()
        self._pipe.send(self._looks)
        for task in self._looking:
            task.cancel()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self._is_over.set()

    async def _stop(self) -> None:
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)

    async def _pages(self) -> None:
        async with OpenAIClient(self._order.target, "chat", Timeouts(1.0)) as client:
            for wait_s in _waits_s():
                page = await read_counters(client, is_latest=True)
                if page is None:
                    self._looks.missed += 1
                else:
                    self._looks.seen.append(Look(time.perf_counter(), ServerReading.of(page)))
                await asyncio.sleep(wait_s)

    async def _gpus(self) -> None:
        for wait_s in _waits_s() if self._order.gpus else ():
            await asyncio.sleep(wait_s)
            self._look_at_gpus()

    def _look_at_gpus(self) -> None:
        if self._order.gpus:
            self._looks.seen.append(Look(time.perf_counter(), None, readings(self._order.gpus)))


def _waits_s() -> Iterator[float]:
    """How long to wait for the next look, again and again [s]."""
    start_s = time.perf_counter()
    while True:
        yield min(_EVERY_S, max(_AT_FIRST_EVERY_S, (time.perf_counter() - start_s) / _LOOKS))


@contextmanager
def _listening(pipe: Connection, hear: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), hear)
    try:
        yield
    finally:
        loop.remove_reader(pipe.fileno())
