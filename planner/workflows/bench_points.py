"""The load points of a bench, one after the other."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from planner.core.lengths import Tokens
from planner.core.rates import Rate
from planner.errors import InputError, UsageError
from planner.loadtest.schedule import Extent, Schedule, closed_loop, open_loop, replay
from planner.loadtest.sweep import open_loop_rates
from planner.schema.benchmark import LoadPoint
from planner.workflows.bench_options import BenchPlan

Trace = tuple[NDArray[np.float64], Tokens, Tokens]
"""Arrival times [s], prompt and answer lengths [tokens]."""


def part_of(trace: Trace, extent: Extent) -> Trace:
    """The first requests of a trace, as many as asked, or those within the time asked.

    Example:
        >>> trace = np.array([0.0, 2.0, 5.0]), np.array([1, 2, 3]), np.array([4, 5, 6])
        >>> part_of(trace, Extent(requests=None, duration_s=5.0, warmup_s=0.0))[1].tolist()
        [1, 2]
    """
    time_s, prompt, output = trace
    count = time_s.size if extent.requests is None else min(extent.requests, time_s.size)
    if extent.duration_s is not None:
        count = min(count, int(np.searchsorted(time_s, extent.duration_s)))
    return time_s[:count], prompt[:count], output[:count]


def schedules(
    plan: BenchPlan, trace: Trace | None, max_model_len: int | None, done: Sequence[LoadPoint]
) -> Iterator[tuple[Schedule, list[str]]]:
    """Each load point to come, and what must be known of it: closed loops first, then open ones.

    Args:
        plan: what is asked.
        trace: to be replayed, in place of the plan's loads.
        max_model_len: of the server [tokens]; None where it does not say.
        done: the points measured so far, for the rates of the default ladder; grows from one to the next.

    Raises:
        UsageError: the arrivals cannot be drawn, or no request would fit.
    """
    try:
        for schedule in _unlimited(plan, trace, done):
            if schedule.concurrency is None and not len(schedule.measured):
                raise UsageError(f"--duration-s: no request falls into it at {schedule.label}; make it longer")
            yield _fitting(plan, schedule, trace is None, max_model_len)
    except InputError as error:
        raise UsageError(f"--{error.field.replace('_', '-')}: {error.message}") from error


def _unlimited(plan: BenchPlan, trace: Trace | None, done: Sequence[LoadPoint]) -> Iterator[Schedule]:
    seed, lengths = plan.options.seed, (plan.input_tokens, plan.output_tokens)
    if trace is not None:
        yield replay(*trace, plan.extent.warmup_s, (seed, 0))
        return
    number = 0
    for number, users in enumerate(plan.users, start=1):
        yield closed_loop(users, lengths, plan.extent, (seed, number - 1), plan.think)
    # Of the closed loops only: where a run goes on, some of the open ones may be done already.
    closed = [point for point in done if point.concurrency is not None]
    rates = map(Rate.constant, open_loop_rates(closed)) if plan.is_default_ladder else plan.rates
    for rate in rates:
        yield open_loop(plan.stream, rate, lengths, plan.extent, (seed, number))
        number += 1


def _fitting(
    plan: BenchPlan, schedule: Schedule, is_drawn: bool, max_model_len: int | None
) -> tuple[Schedule, list[str]]:
    """The schedule with requests that the server's context holds: those of a spread are shortened, others refused."""
    if max_model_len is None:
        return schedule, []
    if is_drawn and plan.input_tokens.p95 is None and plan.output_tokens.p95 is None:
        total = plan.input_tokens.p50 + plan.output_tokens.p50
        if total > max_model_len:
            told = f"{total:g} tokens together, but the server's max_model_len is {max_model_len}"
            raise UsageError(f"--input-tokens and --output-tokens: {told}")
        return schedule, []
    fitting, shortened = schedule.within(max_model_len)
    if not shortened or schedule.concurrency is not None:  # of a closed loop nobody knows yet how many are sent
        return fitting, []
    of = f"{shortened} of {len(schedule.measured)} requests"
    return fitting, [f"{of} were shortened to fit the server's max_model_len of {max_model_len}"]
