"""What the requests of a load test are made of: options, a trace, or a workload and the files that it names."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from planner.core.lengths import Apart, Listed, RequestLengths
from planner.engines.discovery import Discovered
from planner.engines.openai_http import OpenAIClient
from planner.errors import InputFileError, Problem, UsageError
from planner.loadtest.choices import Choices
from planner.loadtest.own_prompts import OnCount, PromptTokens, count_prompts
from planner.loadtest.recipe import Recipe
from planner.loadtest.sample import Sample
from planner.loadtest.schedule import Schedule
from planner.loadtest.short_prefixes import short_prefixes
from planner.loadtest.texts import Calibration
from planner.loadtest.turns import told_of_ends
from planner.schema.benchmark import KnownLimits
from planner.workflows.bench.options import BenchPlan
from planner.workflows.bench.schedules import RequestShape, Trace
from planner.workflows.bench.workload_file import MOST_NAMED, WorkloadFile

_LEAST_BESIDE_PREFIX = 2
"""A token of text, and one of the answer [tokens]."""


@dataclass(frozen=True)
class RequestSource:
    """Where a file says what requests are made of.

    Attributes:
        trace: to be replayed; None where there is none.
        workload: likewise; where there is neither, options say all.
    """

    trace: Trace | None = None
    workload: WorkloadFile | None = None

    @property
    def recipe(self) -> Recipe:
        """What requests are made of, besides their lengths."""
        return Recipe() if self.workload is None else self.workload.recipe

    @property
    def identity(self) -> str:
        """What makes requests the ones they are; empty where no file does."""
        return "" if self.workload is None else self.workload.identity

    def refuse_misfits(self, found: Discovered, limits: KnownLimits) -> None:
        """Raises where a server cannot be asked such requests, whatever their lengths come out as.

        Raises:
            UsageError: it does not offer their models.
            InputFileError: its context is no longer than their shared prefix.
        """
        unknown = [] if found.offered is None else [name for name in self.recipe.models if name not in found.offered]
        if unknown:
            raise UsageError(f"--workload: models: the server does not offer {', '.join(unknown)}")
        prefix, context = self.recipe.prefix, limits.max_model_len
        if self.workload is not None and prefix is not None and context is not None:
            most = context - _LEAST_BESIDE_PREFIX
            if prefix.tokens > most:
                message = f"must be at most {most}, to leave room in the server's max_model_len of {context}"
                loc = ("shared_prefix", "tokens")
                raise InputFileError([self.workload.problem(loc, f"{message}; given: {prefix.tokens}")])

    async def shape(
        self,
        plan: BenchPlan,
        client: OpenAIClient,
        model: str,
        calibration: Calibration,
        limits: KnownLimits,
        on_count: OnCount,
    ) -> tuple[RequestShape, list[str]]:
        """How long requests are, and what must be known of that.

        Args:
            plan: with the lengths that options say.
            client: of the server, which counts the user's own prompts.
            model: that is measured.
            calibration: of generated prompts.
            limits: of the server, as far as they are known.
            on_count: told how many prompts are counted, and of how many.

        Raises:
            InputFileError: prompts do not fit into the server's context.
        """
        workload, recipe = self.workload, self.recipe
        notes = [calibration.warning] if calibration.warning else []
        if workload is None:
            return RequestShape(plan.lengths, recipe, trace=self.trace), notes
        if workload.lengths is not None:
            around = ceil(calibration.fixed_tokens)
            notes += _no_room(workload.lengths, calibration)
            return RequestShape(workload.lengths, recipe, template_tokens=around, workload=workload), notes
        found = await count_prompts(client, model, recipe, calibration, limits.max_model_len, on_count)
        if limits.max_model_len is not None and (
            problems := list(_beyond_context(workload, found, limits.max_model_len))
        ):
            raise InputFileError(problems)
        answers = [prompt.output_tokens or workload.output_tokens for prompt in workload.prompts]
        lengths = Listed(found.tokens, np.array(answers, dtype=np.int32))
        if recipe.prefix is None:
            notes = []  # nothing is generated but marks
        shape = RequestShape(lengths, recipe, prefix_tokens=found.prefix_tokens, workload=workload)
        return shape, [*notes, *([found.note] if found.note else [])]

    def notes_of(
        self, schedule: Schedule, sample: Sample, calibration: Calibration, seed: tuple[int, ...]
    ) -> Iterator[str]:
        """What must be known of the requests of a load, once they are sent; seed as PromptLoad has it."""
        turns, choices = schedule.measured.turns, Choices(seed, self.recipe)
        if turns is not None:
            yield from told_of_ends(turns, sample.places)
        if short := short_prefixes(sample, turns, self.recipe, calibration, choices):
            yield short


def _no_room(lengths: RequestLengths, calibration: Calibration) -> Iterator[str]:
    """What must be known of prompts that are too short for what comes with each."""
    least = ceil(calibration.fixed_tokens + calibration.added_tokens)
    if calibration.added_tokens and isinstance(lengths, Apart) and lengths.prompts.p50 <= least:
        yield (
            f"prompts of {lengths.prompts.p50:g} tokens were asked, but the chat template and parameters such as tools "
            f"have {least} already: prompts are longer, and say hardly anything of their own"
        )


def _beyond_context(workload: WorkloadFile, found: PromptTokens, max_model_len: int) -> Iterator[Problem]:
    """Prompts that leave no room for an answer: how many, and the first of them by file and line."""
    most = max_model_len - 1 - found.prefix_tokens
    rows = np.flatnonzero(found.tokens > most)
    if not rows.size:
        return
    beside = f", beside a shared prefix of {found.prefix_tokens}" if found.prefix_tokens else ""
    which = "each is" if rows.size <= MOST_NAMED else f"the first {MOST_NAMED} are"
    yield workload.problem(
        ("prompts",),
        f"{rows.size:,} of {found.tokens.size:,} prompts do not fit into the server's max_model_len of "
        f"{max_model_len}; allowed: at most {most} tokens{beside}; {which} named by line",
    )
    for row in rows[:MOST_NAMED].tolist():
        prompt = workload.prompts[row]
        about = "" if found.is_counted[row] else "about "
        message = f"has {about}{found.tokens[row]} tokens; allowed: at most {most}"
        yield Problem(prompt.file, prompt.line, 0, prompt.entry, message)
