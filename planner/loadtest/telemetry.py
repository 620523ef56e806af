"""The server and its GPUs during load points, as a process beside this one sees them; `probe.py` is the other end."""

import asyncio
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Self

from planner.engines.gpus import Gpu
from planner.engines.target import Target
from planner.loadtest.probe import BEGIN, BEGIN_GPUS, END, Looks, ProbeFailure, ProbeOrder, look
from planner.loadtest.processes import start
from planner.loadtest.server_figures import mean_power_w

_IDLE_S = 2.0
_START_S, _ANSWER_S, _END_S = 20.0, 10.0, 1.0
"""Nobody waits for longer: a run goes on without what would have been seen."""


class Telemetry:
    """Of a run; an asynchronous context manager. The process is started when something is to be looked at first."""

    def __init__(self, target: Target, gpus: tuple[Gpu, ...] = ()) -> None:
        """Of a server, and of the GPUs of this machine that it runs on."""
        self.gpus = gpus
        """That are looked at."""
        self.lost = ""
        """Why nothing is looked at any more; empty where it is."""
        self._target = target
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._is_looking = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipe is not None:
            self._pipe.close()  # which ends it
        if self._process is not None:
            self._process.join(_END_S)
            if self._process.exitcode is None:  # it hangs in a call to the driver, say
                self._process.kill()
                self._process.join(_END_S)

    async def begin(self, has_page: bool) -> None:
        """Begins to look at the GPUs, and at the server where it has `/metrics`."""
        self._is_looking = not self.lost and (has_page or bool(self.gpus))
        if not self._is_looking:
            return
        wait_s = _ANSWER_S
        if self._pipe is None:
            wait_s = _START_S
            order = ProbeOrder(self._target, tuple(gpu.index for gpu in self.gpus))
            try:
                self._process, self._pipe = start(look, order, "telemetry")
            except OSError as error:
                self.lost = f"no process for it can be started: {error.strerror}"
                return
        await self._ask(self._pipe, BEGIN if has_page else BEGIN_GPUS, wait_s)

    async def end(self) -> Looks | None:
        """All that was seen since then; None where nobody looked."""
        if self.lost or self._pipe is None or not self._is_looking:
            return None
        told = await self._ask(self._pipe, END, _ANSWER_S)
        return told if isinstance(told, Looks) else None

    async def _ask(self, pipe: Connection, what: str, wait_s: float) -> object:
        """Its answer; None where there is none, from now on."""
        loop = asyncio.get_running_loop()
        is_there = asyncio.Event()
        told: object = None
        try:
            pipe.send(what)
            loop.add_reader(pipe.fileno(), is_there.set)
            try:
                async with asyncio.timeout(wait_s):
                    await is_there.wait()
            finally:
                loop.remove_reader(pipe.fileno())
            told = pipe.recv()
        except TimeoutError:
            self.lost = f"it did not answer within {wait_s:g} s"
        except (EOFError, OSError):
            self.lost = "its process was ended by somebody"
        if isinstance(told, ProbeFailure):
            self.lost = told.reason.strip().rpartition("\n")[2]
        return told


async def idle_power_w(telemetry: Telemetry) -> float | None:
    """Mean power of the GPUs together over two seconds in which nobody loads them [W]; None where nobody can tell."""
    await telemetry.begin(has_page=False)
    await asyncio.sleep(_IDLE_S)
    looks = await telemetry.end()
    return None if looks is None else mean_power_w(looks, telemetry.gpus)
