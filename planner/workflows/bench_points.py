"""The load points of a bench, one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.core.lengths import Apart, RequestLengths, Tokens
from planner.core.rates import Rate
from planner.errors import InputError, UsageError
from planner.loadtest.schedule import Extent, Schedule, closed_loop, open_loop, replay
from planner.loadtest.turns import Dialogue
from planner.schema.benchmark import KnownLimits, LoadPoint
from planner.workflows.bench_options import BenchPlan
from planner.workflows.sweep_search import Search

Trace = tuple[NDArray[np.float64], Tokens, Tokens]
"""Arrival times [s], prompt and answer lengths [tokens]."""


@dataclass(frozen=True)
class Asked:
    """What the requests of all loads are made of, as far as their schedule has to know it.

    Attributes:
        lengths: of prompts and answers.
        turns: of a conversation; 1 where each request stands alone.
        template_tokens: around a message, see planner.loadtest.turns.Dialogue [tokens].
        trace: to be replayed, in place of the loads asked.
    """

    lengths: RequestLengths
    turns: int = 1
    template_tokens: int = 0
    trace: Trace | None = None

    def dialogue(self, max_model_len: int | None) -> Dialogue | None:
        """What conversations are to be on a server of such a context [tokens]; None where requests stand alone."""
        return Dialogue(self.turns, max_model_len, self.template_tokens) if self.turns > 1 else None


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
    plan: BenchPlan, asked: Asked, limits: KnownLimits, done: Sequence[LoadPoint], search: Search
) -> Iterator[tuple[Schedule, list[str]]]:
    """Each load point to come, and what must be known of it: closed loops first, then open ones.

    Args:
        plan: what loads are asked.
        asked: what requests are made of.
        limits: of the server, as far as they are known.
        done: the points measured so far, which a sweep finds its next load from; grows from one to the next.
        search: of such a sweep.

    Raises:
        UsageError: the arrivals cannot be drawn, or no request would fit.
    """
    try:
        for schedule in _unlimited(plan, asked, limits.max_model_len, done, search):
            if schedule.concurrency is None and not len(schedule.measured):
                raise UsageError(f"--duration-s: no request falls into it at {schedule.label}; make it longer")
            yield _fitting(asked, schedule, limits.max_model_len)
    except InputError as error:
        raise UsageError(f"--{error.field.replace('_', '-')}: {error.message}") from error


def _unlimited(
    plan: BenchPlan, asked: Asked, max_model_len: int | None, done: Sequence[LoadPoint], search: Search
) -> Iterator[Schedule]:
    """Loads of which only conversations know the server's context."""
    seed, lengths = plan.options.seed, asked.lengths
    dialogue = asked.dialogue(max_model_len)
    if asked.trace is not None:
        yield replay(*asked.trace, plan.extent.warmup_s, (seed, 0))
        return
    if plan.finds_loads:
        yield from _found(plan, asked, dialogue, done, search)
        return
    number = 0
    for number, users in enumerate(plan.users, start=1):
        yield closed_loop(users, lengths, plan.extent, (seed, number - 1), plan.think, dialogue)
    for rate in plan.rates:
        yield open_loop(plan.stream, rate, lengths, plan.extent, (seed, number))
        number += 1


def _found(
    plan: BenchPlan, asked: Asked, dialogue: Dialogue | None, done: Sequence[LoadPoint], search: Search
) -> Iterator[Schedule]:
    """Loads that a sweep finds: each follows from those before, so that a run that goes on finds the same ones."""
    number = 0
    while number < len(done) or search.has_room(number):
        load = search.next_load(done[:number])
        if load is None:
            return
        seed = (plan.options.seed, number)
        if load.users is not None:
            yield closed_loop(load.users, asked.lengths, plan.extent, seed, plan.think, dialogue)
        else:
            yield open_loop(plan.stream, Rate.constant(load.rate_per_s or 0.0), asked.lengths, plan.extent, seed)
        number += 1


def _fitting(asked: Asked, schedule: Schedule, max_model_len: int | None) -> tuple[Schedule, list[str]]:
    """The schedule with requests that the server's context holds: those of a spread are shortened, others refused."""
    notes = list(_too_few(asked, schedule))
    if max_model_len is None:
        return schedule, notes
    lengths = asked.lengths
    if asked.trace is None and isinstance(lengths, Apart) and lengths.are_all_alike:
        total = asked.turns * (lengths.prompts.p50 + lengths.answers.p50)
        if total > max_model_len:
            told = f"{total:g} tokens together, but the server's max_model_len is {max_model_len}"
            raise UsageError(f"--input-tokens and --output-tokens: {told}")
        return schedule, notes
    fitting, shortened = schedule.within(max_model_len)
    if not shortened or schedule.concurrency is not None:  # of a closed loop nobody knows yet how many are sent
        return fitting, notes
    of = f"{shortened} of {len(schedule.measured)} requests"
    return fitting, [*notes, f"{of} were shortened to fit the server's max_model_len of {max_model_len}"]


def _too_few(asked: Asked, schedule: Schedule) -> Iterator[str]:
    """What must be known of a closed loop of few requests."""
    users, conversing = schedule.concurrency, schedule.most_counted
    if users is None:
        return
    if conversing is None and len(schedule.measured) < users:
        yield f"{len(schedule.measured)} requests keep only {len(schedule.measured)} of {users} users busy"
    if conversing is not None and conversing < asked.turns * users:
        yield (
            f"{conversing} requests are less than a conversation of {asked.turns} turns for each of {users} users: "
            "later turns are rarer than asked"
        )
