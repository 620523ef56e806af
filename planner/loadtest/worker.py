"""One of several processes that send a load point together; `fleet.py` is the other end."""

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from planner.engines.loop import client_loop
from planner.errors import PlannerError
from planner.loadtest.driver import Driver
from planner.loadtest.load import CountedLoad, LoadSpec
from planner.loadtest.processes import ignore_signals
from planner.loadtest.sample import Outcome
from planner.loadtest.schedule import Schedule
from planner.store.runs import RequestsFile

READY, INTERRUPT, GIVE_UP = "ready", "interrupt", "give up"
ELSEWHERE = "another process of the load generator did so"
"""Why a process gave up that was told to."""


@dataclass(frozen=True)
class Crash:
    """A fault of ours in a process, as its traceback tells it."""

    traceback: str


@dataclass(frozen=True)
class Order:
    """What a process is to do.

    Attributes:
        schedule: its share.
        load: what it sends by.
        requests_path: the file that all of them write to.
        max_error_fraction: share of failures that is allowed.
    """

    schedule: Schedule
    load: LoadSpec
    requests_path: Path
    max_error_fraction: float


def work(order: Order, pipe: Connection) -> None:
    """Carries out an order.

    Sends READY, and gets the time of the first counted request on time.perf_counter [s], which is one clock for all
    processes; sends Progress from time to time, and in the end the Outcome, or what went wrong. Gets INTERRUPT or
    GIVE_UP.
    """
    ignore_signals()
    try:
        with asyncio.Runner(loop_factory=client_loop()) as runner:
            outcome = runner.run(_drive(order, pipe))
        pipe.send(outcome)
    except (BrokenPipeError, EOFError):
        pass  # the first process is gone
    except PlannerError as error:
        pipe.send(error)
    except Exception:  # whatever it is, the first process must tell it as its own
        pipe.send(Crash(traceback.format_exc()))
    finally:
        pipe.close()


async def _drive(order: Order, pipe: Connection) -> Outcome:
    loop = asyncio.get_running_loop()
    begins: asyncio.Future[float] = loop.create_future()

    async def when() -> float:
        pipe.send(READY)
        return await begins

    with RequestsFile(order.requests_path, is_joined=True) as file:
        async with order.load.opened() as load:
            driver = Driver(
                order.schedule,
                CountedLoad(load, file.count_sent),
                on_record=file.append,
                on_progress=pipe.send,
                max_error_fraction=order.max_error_fraction,
                when=when,
            )
            actions: dict[object, Callable[[], None]] = {
                INTERRUPT: driver.interrupt,
                GIVE_UP: lambda: driver.give_up(ELSEWHERE),
            }

            def listen() -> None:
                try:
                    told = pipe.recv()
                except (EOFError, OSError):
                    loop.remove_reader(pipe.fileno())
                    driver.interrupt()
                    driver.interrupt()  # nobody is there to wait for answers
                    told = 0.0
                if isinstance(told, float):
                    if not begins.done():
                        begins.set_result(told)
                else:
                    actions[told]()

            loop.add_reader(pipe.fileno(), listen)
            try:
                return await driver.run()
            finally:
                loop.remove_reader(pipe.fileno())
