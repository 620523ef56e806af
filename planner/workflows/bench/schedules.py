"""The schedules of a bench: each load point to come, before it is sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from planner.core.lengths import Apart, RequestLengths, Tokens
from planner.core.rates import Rate
from planner.errors import InputError, InputFileError, PlannerError, UsageError
from planner.loadtest.choices import NO_PREFIX, Choices
from planner.loadtest.recipe import Recipe
from planner.loadtest.schedule import Extent, Requests, Schedule, closed_loop, open_loop, replay
from planner.loadtest.turns import Dialogue
from planner.schema.benchmark import KnownLimits, LoadPoint
from planner.workflows.bench.options import BenchPlan
from planner.workflows.bench.sweep_search import Search
from planner.workflows.bench.workload_file import WorkloadFile

Trace = tuple[NDArray[np.float64], Tokens, Tokens]
"""Arrival times [s], prompt and answer lengths [tokens]."""


@dataclass(frozen=True)
class RequestShape:
    """How long the requests of all loads are.

    Attributes:
        lengths: of prompts and answers; of the user's own prompts without a shared prefix.
        recipe: what they are made of besides.
        template_tokens: around a message, see planner.loadtest.turns.Dialogue [tokens].
        trace: to be replayed, in place of the loads asked.
        prefix_tokens: what a shared prefix adds to a prompt of the user's own [tokens].
        workload: that says all this; None where options do.
    """

    lengths: RequestLengths
    recipe: Recipe = field(default_factory=Recipe)
    template_tokens: int = 0
    trace: Trace | None = None
    prefix_tokens: int = 0
    workload: WorkloadFile | None = None

    def dialogue(self, max_model_len: int | None) -> Dialogue | None:
        """What conversations are to be on a server of such a context [tokens]; None where requests stand alone."""
        turns = self.recipe.turns
        return Dialogue(turns, max_model_len, self.template_tokens) if turns > 1 else None


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
    plan: BenchPlan, shape: RequestShape, limits: KnownLimits, done: Sequence[LoadPoint], search: Search
) -> Iterator[tuple[Schedule, list[str]]]:
    """Each load point to come, and what must be known of it: closed loops first, then open ones.

    Args:
        plan: what loads are asked.
        shape: how long requests are.
        limits: of the server, as far as they are known.
        done: the points measured so far, which a sweep finds its next load from; grows from one to the next.
        search: of such a sweep.

    Raises:
        UsageError: the arrivals cannot be drawn, or no request would fit.
        InputFileError: likewise, where a workload says how long they are.
    """
    try:
        for number, drawn in enumerate(_unlimited(plan, shape, limits.max_model_len, done, search)):
            schedule = _with_prefixes(drawn, shape, (plan.options.seed, number))
            if schedule.concurrency is None and not len(schedule.measured):
                raise UsageError(f"--duration-s: no request falls into it at {schedule.label}; make it longer")
            yield _fitting(shape, schedule, limits.max_model_len)
    except InputError as error:
        raise UsageError(f"--{error.field.replace('_', '-')}: {error.message}") from error


def _unlimited(
    plan: BenchPlan, shape: RequestShape, max_model_len: int | None, done: Sequence[LoadPoint], search: Search
) -> Iterator[Schedule]:
    """Loads of which only conversations know the server's context."""
    seed, lengths = plan.options.seed, shape.lengths
    dialogue = shape.dialogue(max_model_len)
    if shape.trace is not None:
        yield replay(*shape.trace, plan.extent.warmup_s, (seed, 0))
        return
    if plan.finds_loads:
        yield from _found(plan, shape, dialogue, done, search)
        return
    number = 0
    for number, users in enumerate(plan.users, start=1):
        yield closed_loop(users, lengths, plan.extent, (seed, number - 1), plan.think, dialogue)
    for rate in plan.rates:
        yield open_loop(plan.stream, rate, lengths, plan.extent, (seed, number))
        number += 1


def _found(
    plan: BenchPlan, shape: RequestShape, dialogue: Dialogue | None, done: Sequence[LoadPoint], search: Search
) -> Iterator[Schedule]:
    """Loads that a sweep finds: each follows from those before, so that a run that goes on finds the same ones."""
    number = 0
    while number < len(done) or search.has_room(number):
        load = search.next_load(done[:number])
        if load is None:
            return
        seed = (plan.options.seed, number)
        if load.users is not None:
            yield closed_loop(load.users, shape.lengths, plan.extent, seed, plan.think, dialogue)
        else:
            yield open_loop(plan.stream, Rate.constant(load.rate_per_s or 0.0), shape.lengths, plan.extent, seed)
        number += 1


def _with_prefixes(schedule: Schedule, shape: RequestShape, seed: tuple[int, ...]) -> Schedule:
    """The same with shared prefixes in the lengths of the user's own prompts; those of others include them anyway."""
    if not shape.prefix_tokens:
        return schedule
    choices = Choices(seed, shape.recipe)

    def longer(requests: Requests, is_warmup: bool) -> Requests:
        has_prefix = choices.prefixes(len(requests), is_warmup) != NO_PREFIX
        added = np.where(has_prefix, shape.prefix_tokens, 0).astype(np.int32)
        return replace(requests, input_tokens=requests.input_tokens + added)

    return replace(schedule, warmup=longer(schedule.warmup, True), measured=longer(schedule.measured, False))


def _fitting(shape: RequestShape, schedule: Schedule, max_model_len: int | None) -> tuple[Schedule, list[str]]:
    """The schedule with requests that the server's context holds: those of a spread are shortened, others refused."""
    notes = list(_too_few(shape.recipe.turns, schedule))
    if max_model_len is None:
        return schedule, notes
    lengths = shape.lengths
    if shape.trace is None and isinstance(lengths, Apart) and lengths.are_all_alike:
        total = shape.recipe.turns * (lengths.prompts.p50 + lengths.answers.p50)
        if total > max_model_len:
            raise _refused_lengths(
                shape, f"{total:g} tokens together, but the server's max_model_len is {max_model_len}"
            )
        return schedule, notes
    fitting, shortened = schedule.within(max_model_len)
    if not shortened or schedule.concurrency is not None:  # of a closed loop nobody knows yet how many are sent
        return fitting, notes
    of = f"{shortened} of {len(schedule.measured)} requests"
    return fitting, [*notes, f"{of} were shortened to fit the server's max_model_len of {max_model_len}"]


def _too_few(turns: int, schedule: Schedule) -> Iterator[str]:
    """What must be known of a closed loop of few requests."""
    users, conversing = schedule.concurrency, schedule.most_counted
    if users is None:
        return
    if conversing is None and len(schedule.measured) < users:
        yield f"{len(schedule.measured)} requests keep only {len(schedule.measured)} of {users} users busy"
    if conversing is not None and conversing < turns * users:
        yield (
            f"{conversing} requests are less than a conversation of {turns} turns for each of {users} users: "
            "later turns are rarer than asked"
        )


def _refused_lengths(shape: RequestShape, message: str) -> PlannerError:
    """What says how long requests are, and why they cannot be."""
    if shape.workload is None:
        return UsageError(f"--input-tokens and --output-tokens: {message}")
    turns = f" in {shape.recipe.turns} turns" if shape.recipe.turns > 1 else ""
    return InputFileError([shape.workload.problem(("input_tokens",), f"with output_tokens{turns}, {message}")])
