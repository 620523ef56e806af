"""The key of a load point: the same for the same requests, another for any other."""

from dataclasses import replace

import numpy as np

from planner.loadtest.schedule import Requests, Schedule
from planner.workflows.bench.point_key import point_key

SCHEDULE = Schedule(
    warmup=Requests(np.array([-0.5]), np.array([9]), np.array([7])),
    measured=Requests(np.array([0.0, 0.25]), np.array([5, 6]), np.array([3, 4])),
    offered_requests_per_s=4.0,
    warmup_s=1.0,
)


def key(schedule: Schedule = SCHEDULE, model: str = "m", endpoint: str = "chat", place: int = 1) -> str:
    return point_key(model, endpoint, (7, place), schedule)


def test_same_requests_have_the_same_key_on_every_machine() -> None:
    wide = replace(
        SCHEDULE,
        measured=Requests(
            np.array([1e-12, 0.25 - 1e-12]), np.array([5, 6], dtype=np.int64), np.array([3, 4], dtype=np.int32)
        ),
    )
    assert key() == key(wide)
    assert len(key()) == 64


def test_anything_else_has_another() -> None:
    measured = SCHEDULE.measured
    others = [
        key(model="m2"),
        key(endpoint="completions"),
        key(place=2),
        key(replace(SCHEDULE, warmup_s=2.0)),
        key(replace(SCHEDULE, duration_s=2.0)),
        key(replace(SCHEDULE, concurrency=1)),
        key(replace(SCHEDULE, offered_requests_per_s=None)),
        key(replace(SCHEDULE, warmup=replace(SCHEDULE.warmup, input_tokens=np.array([8])))),
        key(replace(SCHEDULE, measured=replace(measured, due_s=np.array([0.0, 0.250001])))),
        key(replace(SCHEDULE, measured=replace(measured, due_s=None))),
        key(replace(SCHEDULE, measured=replace(measured, due_s=None, think_s=measured.due_s))),
        key(replace(SCHEDULE, measured=replace(measured, output_tokens=np.array([3, 5])))),
        key(replace(SCHEDULE, measured=replace(measured, input_tokens=np.array([6, 5])))),
    ]
    assert len({key(), *others}) == len(others) + 1
