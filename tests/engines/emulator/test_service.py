"""The parts between HTTP and the scheduler, where a process could not be looked into."""

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Any

import pytest

from planner.core.scheduler import Scheduler
from planner.engines.emulator import clock
from planner.engines.emulator import service as service_module
from planner.engines.emulator.bodies import Demand, RequestRefusedError
from planner.engines.emulator.clock import EngineThread, Job, Step
from planner.engines.emulator.service import Service
from planner.errors import EnvironmentLackingError, InputError
from planner.schema.profile import Profile, StepTime

PROFILE = Profile.model_validate(
    {
        "schema": "planner.profile/1",
        "name": "p",
        "basis": "estimated",
        "step_time_s": {"base": 0.001},
        "limits": {
            "max_num_seqs": 1,
            "max_num_batched_tokens": 64,
            "kv_cache_tokens": 1600,
            "block_tokens": 16,
            "max_model_len": 1000,
        },
    }
)


def test_a_request_too_many_is_refused_until_one_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "MOST_REQUESTS", 2)
    sent: list[str] = []

    def send(name: str) -> bool:
        sent.append(name)
        return True

    async def serve() -> None:
        service = Service(PROFILE, 0, None, lambda _: None)
        try:
            first, second = (
                asyncio.create_task(service.generate(name, Demand(1, 3, 0), 0.0, lambda name=name: send(name)))
                for name in "ab"
            )
            await asyncio.sleep(0)
            with pytest.raises(RequestRefusedError, match="2 requests are running or waiting") as refused:
                service.check_room()
            assert refused.value.status == 503
            await asyncio.gather(first, second)
            service.check_room()
        finally:
            service.stop()

    asyncio.run(serve())
    assert sent == ["a"] * 3 + ["b"] * 3, "one at a time"


def test_who_leaves_before_the_engine_looks_is_never_served() -> None:
    lines: list[Mapping[str, Any]] = []

    async def serve() -> None:
        service = Service(PROFILE, 0, lines.append, lambda _: None)
        try:
            staying = asyncio.create_task(service.generate("stays", Demand(1, 20, 0), 1.0, lambda: True))
            leaving = asyncio.create_task(service.generate("leaves", Demand(1, 20, 0), 2.0, lambda: True))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(staying, leaving, return_exceptions=True)
        finally:
            service.stop()

    asyncio.run(serve())
    leaves, stays = lines
    assert (leaves["request_id"], leaves["outcome"], leaves["token_monotonic_s"]) == ("leaves", "aborted", [])
    assert leaves["joined_monotonic_s"] is None
    assert (stays["outcome"], stays["output_tokens"], len(stays["token_monotonic_s"])) == ("finished", 20, 20)


def test_a_record_that_cannot_be_written_ends_the_service() -> None:
    def refuse(_: Mapping[str, Any]) -> None:
        raise EnvironmentLackingError("r: cannot be written: no room")

    async def serve() -> None:
        service = Service(PROFILE, 0, refuse, lambda _: None)
        try:
            await service.generate("a", Demand(1, 1, 0), 0.0, lambda: True)
            await service.ended
        finally:
            service.stop()

    with pytest.raises(EnvironmentLackingError, match="no room"):
        asyncio.run(serve())


def test_an_engine_that_fails_says_so() -> None:
    async def serve() -> BaseException:
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[BaseException] = loop.create_future()
        steps: list[Step] = []
        scheduler = Scheduler(PROFILE.step_time_s, PROFILE.limits, 1)
        engine = EngineThread(scheduler, 0.001, loop, steps.append, failed.set_result)
        engine.start()
        engine.submit(
            Job(5000, 1, lambda: None, loop.create_future(), 0.0, 0.0)
        )  # longer than the model; HTTP refuses it
        error = await failed
        engine.stop()
        return error

    assert isinstance(asyncio.run(serve()), InputError)


def test_steps_end_when_planned_whatever_the_delay_of_the_one_before() -> None:
    async def serve() -> list[float]:
        loop = asyncio.get_running_loop()
        due_s: list[float] = []
        scheduler = Scheduler(PROFILE.step_time_s, PROFILE.limits, 1)
        engine = EngineThread(scheduler, 0.001, loop, lambda step: due_s.append(step.due_s), due_s.clear)
        engine.start()
        now_s = time.monotonic()
        job = Job(1, 50, lambda: None, loop.create_future(), now_s, now_s)
        engine.submit(job)
        while len(due_s) < 50:
            await asyncio.sleep(0.001)
        engine.stop()
        assert job.joined_s == job.arrived_s
        return [due - job.arrived_s for due in due_s]

    for number, since_s in enumerate(asyncio.run(serve()), start=1):
        assert math.isclose(since_s, number * 0.001, abs_tol=1e-9)


def test_request_that_had_arrived_joins_its_step_though_it_is_handed_over_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first has steps of 100 ms; the second arrives just before one ends, and is handed over a little later."""
    monkeypatch.setattr(clock, "_LONGEST_GRACE_S", 0.025)  # so that a busy machine can keep it
    times = StepTime(base=0.1)
    limits = PROFILE.limits.model_copy(update={"max_num_seqs": 2})

    async def serve() -> tuple[float, float | None]:
        loop = asyncio.get_running_loop()
        engine = EngineThread(Scheduler(times, limits, 2), times.base, loop, lambda _: None, lambda _: None)
        engine.start()
        begin_s = time.monotonic()
        engine.submit(Job(1, 50, lambda: None, loop.create_future(), begin_s, begin_s))
        boundary_s = begin_s + 3 * times.base
        arrived_s = boundary_s - 1e-6  # and not at the end itself: sums of steps are rounded
        late = Job(1, 1, lambda: None, loop.create_future(), arrived_s, arrived_s)
        await asyncio.sleep(boundary_s + 0.003 - time.monotonic())
        engine.submit(late)
        await asyncio.sleep(2 * times.base)
        engine.stop()
        return boundary_s, late.joined_s

    boundary_s, joined_s = asyncio.run(serve())
    assert joined_s == pytest.approx(boundary_s, abs=1e-9)
