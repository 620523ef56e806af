"""An engine's step time from what its clients saw: every request's decode is a sum of steps whose work is known.

While a request decodes, each step gives it a token. So from its first token to its last there were as many steps as
it got tokens, and what else these steps did shows in the other requests' tokens of the same time: each token after
a first is one decoding sequence with the context that it held, each first token ends a prefill. The duration is
linear in the counts, and the coefficients are those of the profile. Requests that met an idle engine show in the
same way how long their prefill took, and what a request takes outside the engine.

Unlike single gaps, durations do not suffer from chunks that carry several tokens or arrive in clumps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from planner.errors import InputError
from planner.schema.profile import StepTime

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_OBSERVATIONS = 20
_LEAST_STEPS = 4
"""A decode of fewer steps says more about the network than about the engine."""
_OUTLIER = 1.345
"""Residuals beyond this many standard deviations count less: Huber's constant for 95 % efficiency."""
_ROUNDS = 30
_TOO_ALIKE = 0.995
"""Correlation of two columns from which on their coefficients cannot be told apart."""


@dataclass(frozen=True)
class Timeline:
    """Answered requests of one load point, as their client saw them.

    Attributes:
        sent_s: when each was sent, shape (requests,) [s].
        prompt_tokens: shape (requests,) [tokens].
        output_tokens: at least 1, shape (requests,) [tokens].
        token_s: when each token came, request after request [s], shape (sum of output_tokens,).
        is_counted: whether a request is more than warm-up, shape (requests,); None where all are.
    """

    sent_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    token_s: Floats
    is_counted: NDArray[np.bool_] | None = None

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which requests count in figures, shape (requests,)."""
        return np.ones(self.sent_s.size, dtype=np.bool_) if self.is_counted is None else self.is_counted

    @property
    def first_token(self) -> Ints:
        """Where each request's tokens begin, shape (requests,)."""
        return np.asarray(np.cumsum(self.output_tokens) - self.output_tokens)

    @property
    def first_token_s(self) -> Floats:
        """When each request's first token came [s], shape (requests,)."""
        return np.asarray(self.token_s[self.first_token])

    @property
    def last_token_s(self) -> Floats:
        """When each request's last token came [s], shape (requests,)."""
        return np.asarray(self.token_s[self.first_token + self.output_tokens - 1])


def token_times_s(chunk_s: Floats, tokens: int) -> Floats:
    """When each token came, where some chunks carry several: spread evenly over the chunks.

    Args:
        chunk_s: when each chunk came [s], shape (chunks,), at least one.
        tokens: how many there were in all, at least 1.

    Example:
        >>> token_times_s(np.array([1.0, 2.0, 3.0]), 5).tolist()
        [1.0, 1.5, 2.0, 2.5, 3.0]
    """
    if tokens == chunk_s.size:
        return chunk_s
    place = np.linspace(0, chunk_s.size - 1, tokens)
    return np.asarray(np.interp(place, np.arange(chunk_s.size), chunk_s))


@dataclass(frozen=True)
class Observations:
    """Durations, and the work that was done in them.

    Attributes:
        work: counts of steps, prefilled tokens, decoding sequences, context tokens, and requests' time outside the
            engine, shape (observations, 5).
        duration_s: shape (observations,) [s].
    """

    work: Floats
    duration_s: Floats


def observe(timeline: Timeline, max_num_batched_tokens: int) -> Observations:
    """Decodes of a load point, and prefills that met an idle engine.

    Args:
        timeline: the requests.
        max_num_batched_tokens: into pieces of which a prompt is cut [tokens].

    Example:
        Alone, 3 tokens every 10 ms behind a prompt of 50, which took 20 ms: too short a decode, but a prefill.

        >>> alone = Timeline(np.array([0.0]), np.array([50]), np.array([3]), np.array([0.02, 0.03, 0.04]))
        >>> observe(alone, 512).work.tolist()
        [[1.0, 50.0, 0.0, 0.0, 1.0]]
    """
    decodes, prefills = _decodes(timeline), _lone_prefills(timeline, max_num_batched_tokens)
    return Observations(
        np.concatenate([decodes.work, prefills.work]), np.concatenate([decodes.duration_s, prefills.duration_s])
    )


def _decodes(timeline: Timeline) -> Observations:
    of_request = np.repeat(np.arange(timeline.output_tokens.size), timeline.output_tokens)
    number = np.arange(timeline.token_s.size) - timeline.first_token[of_request]
    is_first = number == 0
    held = timeline.prompt_tokens[of_request] + number
    by_time = np.argsort(timeline.token_s, kind="stable")
    # Work done up to each moment; that of a stretch is the difference between its ends.
    done = np.cumsum(
        np.stack([is_first * timeline.prompt_tokens[of_request], ~is_first, ~is_first * held], axis=1)[by_time], axis=0
    )
    done = np.concatenate([np.zeros((1, 3)), done])
    ordered_s = timeline.token_s[by_time]
    steps = timeline.output_tokens - 1
    chosen = steps >= _LEAST_STEPS
    begin = np.searchsorted(ordered_s, timeline.first_token_s[chosen], side="right")
    end = np.searchsorted(ordered_s, timeline.last_token_s[chosen], side="right")
    work = np.column_stack([steps[chosen], done[end] - done[begin], np.zeros(chosen.sum())])
    duration_s = (timeline.last_token_s - timeline.first_token_s)[chosen]
    is_real = duration_s > 0
    return Observations(work[is_real], duration_s[is_real])


def _lone_prefills(timeline: Timeline, max_num_batched_tokens: int) -> Observations:
    """Requests that no other was outstanding beside, from when they were sent to their first token."""
    by_time = np.argsort(timeline.sent_s, kind="stable")
    sent_s, first_s = timeline.sent_s[by_time], timeline.first_token_s[by_time]
    prompt, last_s = timeline.prompt_tokens[by_time], timeline.last_token_s[by_time]
    idle_since = np.concatenate([[-np.inf], np.maximum.accumulate(last_s)[:-1]])
    next_sent = np.concatenate([sent_s[1:], [np.inf]])
    chosen = (idle_since < sent_s) & (next_sent > first_s) & (first_s > sent_s)
    steps = -(-prompt[chosen] // max_num_batched_tokens)
    nothing = np.zeros(steps.size)
    work = np.column_stack([steps, prompt[chosen], nothing, nothing, np.ones(steps.size)])
    return Observations(work.astype(np.float64), (first_s - sent_s)[chosen])


@dataclass(frozen=True)
class StepTimeFit:
    """Coefficients that explain the durations best.

    Attributes:
        step_time: the coefficients.
        request_overhead_s: time of a request outside the engine [s].
        observations: durations that were used.
        median_error_fraction: median of |fitted − measured| / measured.
        warnings: what these load points cannot tell.
    """

    step_time: StepTime
    request_overhead_s: float
    observations: int
    median_error_fraction: float
    warnings: tuple[str, ...]


def fit_step_time(parts: Sequence[Observations]) -> StepTimeFit:
    """Non-negative least squares on relative errors, in which outliers count less.

    Args:
        parts: observations of each load point; every point counts as much as any other.

    Raises:
        InputError: too few observations.

    Source: Lawson and Hanson, "Solving Least Squares Problems" (1974) for the bounds; Huber, "Robust Estimation of a
    Location Parameter", Annals of Mathematical Statistics 35 (1964) for the weights.
    """
    parts = [part for part in parts if part.duration_s.size]
    count = sum(part.duration_s.size for part in parts)
    if count < LEAST_OBSERVATIONS:
        message = f"{count} decodes of at least {_LEAST_STEPS} steps; {LEAST_OBSERVATIONS} are needed: ask for more"
        raise InputError("requests", message)
    duration_s = np.concatenate([part.duration_s for part in parts])
    work = np.concatenate([part.work for part in parts]) / duration_s[:, np.newaxis]
    of_point = np.concatenate([np.full(part.duration_s.size, 1 / np.sqrt(part.duration_s.size)) for part in parts])
    scale = np.maximum(np.abs(work).max(axis=0), np.finfo(float).tiny)
    scaled, ones = work / scale, np.ones(count)
    weight = of_point
    for _ in range(_ROUNDS):
        solution = lsq_linear(scaled * weight[:, np.newaxis], ones * weight, bounds=(0, np.inf), method="bvls").x
        error = scaled @ solution - 1
        spread = max(1.4826 * float(np.median(np.abs(error))), 1e-9)
        huber = np.minimum(1.0, _OUTLIER * spread / np.maximum(np.abs(error), 1e-300))
        better = of_point * np.sqrt(huber)
        if np.allclose(better, weight, rtol=1e-6):
            break
        weight = better
    base, per_prefill_token, per_sequence, per_context_token, overhead_s = (float(x) for x in solution / scale)
    return StepTimeFit(
        step_time=StepTime(
            base=base,
            per_prefill_token=per_prefill_token,
            per_sequence=per_sequence,
            per_context_token=per_context_token,
        ),
        request_overhead_s=overhead_s,
        observations=count,
        median_error_fraction=float(np.median(np.abs(error))),
        warnings=tuple(_cannot_tell(work)),
    )


def _cannot_tell(work: Floats) -> list[str]:
    """Terms that the load points leave open."""
    prefilled, sequences, context = work[:, 1], work[:, 2], work[:, 3]
    found = []
    if not np.any(work[:, 4]):
        found.append("no request met an idle engine, so time outside the engine is taken to be 0: add a lower load")
    if not np.any(prefilled):
        found.append("no prefill was seen beside a decode or alone: add load points with longer prompts")
    decodes = work[:, 4] == 0
    if np.std(sequences[decodes]) == 0:
        found.append("all load points have the same number of decoding sequences: add others")
    elif np.corrcoef(sequences[decodes], context[decodes])[0, 1] > _TOO_ALIKE:
        found.append(
            "per_sequence and per_context_token cannot be told apart, since context grows with the number of "
            "sequences alone: add load points with another prompt length"
        )
    return found
