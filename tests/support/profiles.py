"""Profiles from the parts of them that matter to a test."""

from planner.schema.profile import Limits, Profile, StepTime


def profile(step_time: StepTime, limits: Limits, request_overhead_s: float = 0.0) -> Profile:
    return Profile(
        schema_="planner.profile/1",
        name="test",
        basis="estimated",
        step_time_s=step_time,
        request_overhead_s=request_overhead_s,
        limits=limits,
    )
