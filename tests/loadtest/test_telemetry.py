"""A process that looks at the server beside the one that measures."""

import asyncio
import os
import signal
import time

import pytest
from known_server import KnownServer

from planner.engines.target import Target
from planner.loadtest.probe import Looks
from planner.loadtest.telemetry import Telemetry


def with_server(*silent: str) -> KnownServer:
    server = KnownServer()
    server.has_metrics = True
    server.silent.update(silent)
    return server


def looked(telemetry: Telemetry) -> int:
    """The process that looks."""
    process = telemetry._process
    assert process is not None
    assert process.pid is not None
    return process.pid


def test_a_load_point_is_looked_at_from_its_begin_to_its_end() -> None:
    async def work(server: KnownServer) -> tuple[list[Looks | None], float]:
        found = []
        async with Telemetry(Target(server.url)) as telemetry:
            for tokens in (5, 7):
                server.extra_tokens = tokens
                await telemetry.begin(has_page=True)
                while server.asked.count("/metrics") < tokens:
                    await asyncio.sleep(0.05)
                found.append(await telemetry.end())
            assert telemetry.lost == ""
            number = looked(telemetry)
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)
        return found, time.perf_counter()

    with with_server() as server:
        started_s = time.perf_counter()
        (first, second), ended_s = asyncio.run(work(server))
    assert first is not None
    assert second is not None
    for looks, tokens in ((first, 5.0), (second, 7.0)):
        assert looks.missed == 0
        assert {one.server.output_tokens for one in looks.seen if one.server is not None} == {tokens}
        assert all(started_s < one.time_s < ended_s for one in looks.seen)  # one clock for both processes
    assert first.seen[-1].time_s < second.seen[0].time_s


def test_nothing_is_started_where_there_is_nothing_to_look_at() -> None:
    async def work() -> Looks | None:
        async with Telemetry(Target("http://127.0.0.1:9")) as telemetry:
            await telemetry.begin(has_page=False)
            assert telemetry._process is None
            return await telemetry.end()

    assert asyncio.run(work()) is None


def test_a_page_that_does_not_come_holds_nothing_up() -> None:
    async def work(server: KnownServer) -> Looks | None:
        async with Telemetry(Target(server.url)) as telemetry:
            await telemetry.begin(has_page=True)
            while "/metrics" not in server.asked:
                await asyncio.sleep(0.05)
            return await telemetry.end()

    with with_server("/metrics") as server:
        looks = asyncio.run(work(server))
    assert looks == Looks([], 0)


def test_a_process_that_somebody_ends_is_told_and_missed_by_nobody() -> None:
    async def work(server: KnownServer) -> tuple[Looks | None, Looks | None, str]:
        async with Telemetry(Target(server.url)) as telemetry:
            await telemetry.begin(has_page=True)
            os.kill(looked(telemetry), signal.SIGKILL)
            first = await telemetry.end()
            await telemetry.begin(has_page=True)
            return first, await telemetry.end(), telemetry.lost

    with with_server() as server:
        assert asyncio.run(work(server)) == (None, None, "its process was ended by somebody")


def test_ctrl_c_does_not_reach_it() -> None:
    async def work(server: KnownServer) -> Looks | None:
        async with Telemetry(Target(server.url)) as telemetry:
            await telemetry.begin(has_page=True)
            for number in (signal.SIGINT, signal.SIGTERM):
                os.kill(looked(telemetry), number)
            while server.asked.count("/metrics") < 3:
                await asyncio.sleep(0.05)
            return await telemetry.end()

    with with_server() as server:
        found = asyncio.run(work(server))
    assert found is not None
    assert len(found.seen) + found.missed >= 2, "looks after the signals too"
