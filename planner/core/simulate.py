"""Requests through replicas of an engine, in simulated time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.core.engine import replay
from planner.core.engine_state import (
    GAP_BINS_PER_E_FOLD,
    SHORTEST_GAP_S,
    Floats,
    Ints,
    fits,
    new_replicas,
    new_requests,
)
from planner.errors import InputError
from planner.schema.profile import Profile

Progress = Callable[[float], None]

_ARRIVALS_AT_ONCE = 50_000
"""Between two looks at the keyboard and the progress."""
_SATURATING_BATCHES = 8
"""Batches of a full engine that are served to find its rate, so that the middle ones meet it full."""
_LEAST_SATURATING, _MOST_SATURATING = 4_000, 400_000
"""Requests: enough for a mean over their lengths, and no more than a second's work."""


@dataclass(frozen=True)
class Arrivals:
    """Requests in order of arrival.

    Attributes:
        arrival_s: ascending [s], shape (requests,).
        prompt_tokens: at least 1 [tokens], shape (requests,).
        output_tokens: at least 1 [tokens], shape (requests,).
        cached_tokens: part of each prompt that the prefix cache holds, below prompt_tokens [tokens], shape (requests,).
    """

    arrival_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    cached_tokens: Ints

    @classmethod
    def of(
        cls, arrival_s: Floats, prompt_tokens: Ints, output_tokens: Ints, prefix_hit_fraction: float = 0.0
    ) -> "Arrivals":
        """Requests whose prompts are cached to a share, as far as the engine needs not compute it [fraction].

        Example:
            >>> Arrivals.of(np.zeros(2), np.array([100, 1]), np.array([5, 5]), 0.3).cached_tokens.tolist()
            [30, 0]
        """
        cached = np.minimum(np.floor(prompt_tokens * prefix_hit_fraction), prompt_tokens - 1).astype(np.int64)
        return cls(arrival_s, prompt_tokens, output_tokens, cached)

    def where(self, chosen: NDArray[np.bool_]) -> "Arrivals":
        """Some of them."""
        return Arrivals(
            self.arrival_s[chosen], self.prompt_tokens[chosen], self.output_tokens[chosen], self.cached_tokens[chosen]
        )


@dataclass(frozen=True)
class Served:
    """What became of simulated requests, those that fit, in order of arrival; each of shape (served,).

    Attributes:
        arrivals: the requests.
        request_overhead_s: time of each outside the engine, before it joins the queue [s].
        first_step_s: start of the first step that served each [s].
        first_token_s: end of the step that gave its first token [s].
        last_token_s: end of the step that gave its last token [s].
        gaps: gaps between successive tokens, counted by length, shape (GAP_BINS,).
        preemptions: requests that had to give their memory back, counted as often as they had to.
        utilization_fraction: share of the replicas' time spent in steps.
        kv_peak_fraction: largest share of a replica's KV blocks that was ever held.
        too_long: requests that fit neither the model nor the memory, and were refused.
    """

    arrivals: Arrivals
    request_overhead_s: float
    first_step_s: Floats
    first_token_s: Floats
    last_token_s: Floats
    gaps: Ints
    preemptions: int
    utilization_fraction: float
    kv_peak_fraction: float
    too_long: int

    @property
    def queue_s(self) -> Floats:
        """From joining the queue to the first step that serves the request [s]."""
        return self.first_step_s - self.arrivals.arrival_s - self.request_overhead_s

    @property
    def ttft_s(self) -> Floats:
        """Time to first token [s]."""
        return self.first_token_s - self.arrivals.arrival_s

    @property
    def tpot_s(self) -> Floats:
        """Time per output token after the first [s]; NaN for requests that have only one."""
        tokens = self.arrivals.output_tokens - 1
        decode_s = self.last_token_s - self.first_token_s
        return np.asarray(np.divide(decode_s, tokens, out=np.full(tokens.size, np.nan), where=tokens > 0))

    @property
    def e2e_s(self) -> Floats:
        """From arrival to last token [s]."""
        return self.last_token_s - self.arrivals.arrival_s


def simulate(profile: Profile, replicas: int, arrivals: Arrivals, progress: Progress = lambda _: None) -> Served:
    """Serves requests by replicas, each request sent to the replica with the fewest outstanding.

    Args:
        profile: of each replica.
        replicas: how many, at least 1.
        arrivals: the requests.
        progress: told the fraction of arrivals done.

    Raises:
        InputError: there is no replica, or no request.

    Example:
        Four requests at once, one at a time, one token each, 10 ms a step:

        >>> from planner.schema.profile import Limits, StepTime
        >>> limits = Limits(
        ...     max_num_seqs=1, max_num_batched_tokens=8, kv_cache_tokens=64, block_tokens=16, max_model_len=64
        ... )
        >>> profile = Profile(
        ...     schema="planner.profile/1", name="p", basis="estimated", step_time_s=StepTime(base=0.01), limits=limits
        ... )
        >>> ones = np.ones(4, dtype=np.int64)
        >>> served = simulate(profile, 1, Arrivals.of(np.zeros(4), ones, ones))
        >>> served.ttft_s.round(6).tolist()
        [0.01, 0.02, 0.03, 0.04]
    """
    if replicas < 1 or arrivals.arrival_s.size == 0:
        raise InputError("replicas", "at least one replica and one request are needed")
    has_room = fits(profile.limits, arrivals.prompt_tokens, arrivals.output_tokens)
    kept = arrivals if has_room.all() else arrivals.where(has_room)
    size = kept.arrival_s.size
    requests = new_requests(kept.prompt_tokens, kept.output_tokens, kept.cached_tokens)
    engines = new_replicas(profile.step_time_s, profile.limits, replicas, size)
    blocks = int(engines.free_blocks[0])
    step_end_s, busy_s = np.full(replicas, np.inf), np.zeros(replicas)
    joined_s = np.asarray(kept.arrival_s + profile.request_overhead_s, dtype=np.float64)
    for start in range(0, size, _ARRIVALS_AT_ONCE):
        stop = min(start + _ARRIVALS_AT_ONCE, size)
        replay(requests, engines, joined_s, step_end_s, busy_s, np.array([start, stop]))
        progress(stop / size)
    span_s = float(requests.last_token_s.max() - kept.arrival_s[0]) if size else 0.0
    return Served(
        arrivals=kept,
        request_overhead_s=profile.request_overhead_s,
        first_step_s=requests.first_step_s,
        first_token_s=requests.first_token_s,
        last_token_s=requests.last_token_s,
        gaps=engines.gaps,
        preemptions=int(engines.preemptions.sum()),
        utilization_fraction=min(1.0, float(busy_s.sum()) / (replicas * span_s)) if span_s > 0 else 0.0,
        kv_peak_fraction=1 - int(engines.fewest_free_blocks.min()) / blocks if blocks else 0.0,
        too_long=int((~has_room).sum()),
    )


def saturation_requests_per_s(profile: Profile, arrivals: Arrivals) -> float:
    """Rate at which one replica finishes such requests while its queue never empties [requests/s].

    An open-loop load above it, times the number of replicas, makes the queue grow without end.

    Args:
        profile: of the replica.
        arrivals: requests of the kind; their times make no difference.

    Returns:
        The rate; 0 where none of the requests fits, infinite where steps take no time.

    Example:
        Steps of 10 ms that four requests share, each in a step of prefill and four of decode:

        >>> from planner.schema.profile import Limits, StepTime
        >>> limits = Limits(
        ...     max_num_seqs=4, max_num_batched_tokens=64, kv_cache_tokens=640, block_tokens=16, max_model_len=64
        ... )
        >>> profile = Profile(
        ...     schema="planner.profile/1", name="p", basis="estimated", step_time_s=StepTime(base=0.01), limits=limits
        ... )
        >>> alike = np.full(400, 5)
        >>> round(saturation_requests_per_s(profile, Arrivals.of(np.zeros(400), alike, alike)))
        80
    """
    has_room = fits(profile.limits, arrivals.prompt_tokens, arrivals.output_tokens)
    if not has_room.any():
        return 0.0
    arrivals = arrivals.where(has_room)
    count = int(np.clip(_SATURATING_BATCHES * _full_batch(profile, arrivals), _LEAST_SATURATING, _MOST_SATURATING))
    size = arrivals.arrival_s.size  # all of them again and again; or, of too many, some from everywhere
    chosen = np.arange(count) % size if count >= size else np.arange(count) * size // count
    queued = Arrivals(
        np.zeros(chosen.size),
        arrivals.prompt_tokens[chosen],
        arrivals.output_tokens[chosen],
        arrivals.cached_tokens[chosen],
    )
    served = simulate(profile, 1, queued)
    finished_s = np.sort(served.last_token_s)
    # Without the time in which the batch fills or empties. Requests that end together count together.
    start_s, end_s = finished_s[[count // 4, count * 3 // 4]]
    return float(((finished_s > start_s) & (finished_s <= end_s)).sum() / (end_s - start_s))


def _full_batch(profile: Profile, arrivals: Arrivals) -> float:
    """Requests that can run at once, by what the scheduler and the memory allow, each half way through its answer."""
    limits = profile.limits
    held_tokens = float((arrivals.prompt_tokens + arrivals.output_tokens / 2).mean())
    return min(limits.max_num_seqs, limits.max_num_batched_tokens, limits.kv_cache_tokens / held_tokens)


def gap_quantiles_s(gaps: Ints, probabilities: Floats) -> Floats:
    """Quantiles of gaps that were counted by length [s], each at the middle of its bin.

    Args:
        gaps: counts, shape (GAP_BINS,), of which at least one is above 0.
        probabilities: shape (quantiles,), each from 0 to 1.
    """
    cumulative = np.cumsum(gaps)
    bins = np.searchsorted(cumulative, probabilities * cumulative[-1])
    return np.asarray(SHORTEST_GAP_S * np.exp((bins + 0.5) / GAP_BINS_PER_E_FOLD))
