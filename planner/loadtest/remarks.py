"""What must be known of a load point before its figures are used."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from planner.core.quantiles import Ints
from planner.core.steady import Drift
from planner.loadtest.course import Course
from planner.loadtest.sample import LONGEST_GAP_US, UNKNOWN, US_PER_S, Columns, Outcome
from planner.schema.benchmark import ClientHealth, LoadPoint

_CHUNK_OF_ONE = 1.05
_NEAR_FRACTION = 0.05
"""Lengths that are off by more than this from what was asked are told."""
CACHED_FRACTION = 0.05
"""Of the prompts out of a prefix cache: with more, the server looks faster than it is."""


@dataclass(frozen=True)
class Expected:
    """What of a load is so since it was asked, and no reason to warn.

    Attributes:
        prompts: as long as asked; not those of conversations, which hold what was said before, nor the user's own.
        answers: likewise; not those that end by themselves.
        no_cache: nothing comes from a prefix cache; not where prompts have beginnings in common.
    """

    prompts: bool = True
    answers: bool = True
    no_cache: bool = True


AS_ASKED = Expected()


def remarks(
    point: LoadPoint, outcome: Outcome, sent: Columns, went: Course, expected: Expected = AS_ASKED
) -> list[str]:
    """Warnings of a load point, the gravest first.

    Args:
        point: its figures.
        outcome: what was sent, and what came of it.
        sent: the same, by request.
        went: how it went.
        expected: what is no reason to warn.
    """
    return [*_of_state(point, went), *_of_failures(point, outcome), *_of_answers(point, outcome, sent, expected)]


def _of_state(point: LoadPoint, went: Course) -> Iterator[str]:
    if point.is_saturated:
        yield "the server is saturated: more was offered than it could do"
    elif point.is_steady is False:
        yield f"{unsteady(went.drifts)}; warm up longer, or measure longer"


def unsteady(seen: Mapping[str, Drift]) -> str:
    """What drifted, and by how much.

    Args:
        seen: as planner.loadtest.course finds it; one drift at least.

    Example:
        >>> unsteady({"TTFT": Drift(0.5, 0.312, 0.72, True, True), "TPOT": Drift(0.0, -0.1, 0.1, False, True)})
        'not steady: from start to end TTFT rose by 50% (95% interval: 31% to 72%)'
    """
    return "not steady: from start to end " + ", ".join(
        f"{name} {_changed(each)}" for name, each in seen.items() if each.is_found
    )


def _changed(seen: Drift) -> str:
    verb, sign = ("rose", 1) if seen.change_fraction > 0 else ("fell", -1)
    low, high = sorted(max(0.0, sign * end) for end in (seen.low, seen.high))
    return f"{verb} by {sign * seen.change_fraction:.0%} (95% interval: {low:.0%} to {high:.0%})"


def _of_failures(point: LoadPoint, outcome: Outcome) -> Iterator[str]:
    if outcome.is_interrupted:
        why = "the time of the sweep was over" if outcome.is_out_of_time else "interrupted"
        yield f"{why}: the figures are of the requests until then"
    if outcome.given_up:
        yield f"given up: {outcome.given_up}"
    for kind, count in point.errors.items():
        said = outcome.sample.messages.get(kind, "")
        yield f"{count} failed with {kind}" + (f"; the first: {said}" if said else "")
    if point.is_lower_bound:
        yield ("requests that timed out or were cut off might have been the slowest: the percentiles are lower bounds")
    if point.client is not None and point.client.is_saturated:
        yield f"the client did not keep up ({_told(point.client)}): not to be trusted"


def _told(client: ClientHealth) -> str:
    parts = []
    if client.lag_p99_s is not None:
        parts.append(f"p99 of its lag {client.lag_p99_s:.3g} s")
    if client.loop_lag_p99_s is not None:
        parts.append(f"p99 of its event loop's lag {client.loop_lag_p99_s:.3g} s")
    if client.cpu_fraction is not None:
        parts.append(f"{client.cpu_fraction:.2f} of a core")
    return ", ".join(parts)


def _of_answers(point: LoadPoint, outcome: Outcome, sent: Columns, expected: Expected) -> Iterator[str]:
    is_ok = sent.chunks != 0
    if not is_ok.any():
        return
    is_counted = is_ok & (sent.output_tokens != UNKNOWN)
    uncounted, short = int((is_ok & ~is_counted).sum()), int((sent.output_tokens < sent.chunks)[is_counted].sum())
    if uncounted:
        yield f"the server counted no tokens in {uncounted} answers: each chunk of them is taken as one token"
    if short:
        yield (
            f"usage counts fewer tokens than there were chunks with output in {short} answers, which cannot be: "
            "tokens per second and TPOT are not to be trusted"
        )
    if point.tokens_per_chunk is not None and point.tokens_per_chunk > _CHUNK_OF_ONE:
        yield f"{point.tokens_per_chunk:.3g} tokens per chunk: itl_s is of the gaps between chunks"
    if outcome.sample.gaps_us.max(initial=0) == LONGEST_GAP_US:
        yield f"gaps of more than {LONGEST_GAP_US / US_PER_S:.0f} s are counted as so long"
    if expected.no_cache and (point.cached_input_fraction or 0.0) > CACHED_FRACTION:
        yield (
            f"{point.cached_input_fraction:.0%} of the prompt tokens came from the server's prefix cache: it looks "
            "faster than it is with prompts that it has not seen"
        )
    for model, count in point.other_models.items():
        yield f"{count} answers are by another model than the one asked: {model}"
    if expected.prompts:
        yield from _of_length("prompts", sent.asked_input_tokens[is_ok], sent.input_tokens[is_ok])
    if expected.answers:
        yield from _of_length("answers", sent.asked_output_tokens[is_ok], sent.output_tokens[is_ok])


def _of_length(what: str, asked: Ints, got: Ints) -> Iterator[str]:
    """Where prompts or answers were not as long as asked."""
    is_known = (got != UNKNOWN) & (asked != UNKNOWN)
    known = int(np.count_nonzero(is_known))
    asked_tokens, tokens = int(asked[is_known].sum()), int(got[is_known].sum())
    if known and abs(tokens - asked_tokens) > _NEAR_FRACTION * asked_tokens + known:
        yield f"{what} had {tokens / known:.4g} tokens on average; asked: {asked_tokens / known:.4g}"
