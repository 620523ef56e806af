"""Requests through replicas of an engine, in simulated time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from planner.core.engine import replay
from planner.core.engine_state import (
    GAP_BINS_PER_E_FOLD,
    SHORTEST_GAP_S,
    Floats,
    Ints,
    Tokens,
    fits,
    new_replicas,
    new_requests,
)
from planner.core.jump import jump
from planner.core.jump_state import MOST_BLOCK_TOKENS, MOST_REQUESTS, new_fleet, new_jobs
from planner.errors import InputError
from planner.schema.profile import Profile

Progress = Callable[[float], None]
Routing = Literal["least-outstanding", "round-robin"]
Method = Literal["jump", "stepper"]

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
    prompt_tokens: Tokens
    output_tokens: Tokens
    cached_tokens: Tokens

    @classmethod
    def of(
        cls, arrival_s: Floats, prompt_tokens: Tokens, output_tokens: Tokens, prefix_hit_fraction: float = 0.0
    ) -> "Arrivals":
        """Requests whose prompts are cached to a share, as far as the engine needs not compute it [fraction].

        Example:
            >>> Arrivals.of(np.zeros(2), np.array([100, 1]), np.array([5, 5]), 0.3).cached_tokens.tolist()
            [30, 0]
        """
        if prefix_hit_fraction == 0:
            return cls(arrival_s, prompt_tokens, output_tokens, np.zeros(prompt_tokens.size, dtype=np.int32))
        cached = np.minimum(np.floor(prompt_tokens * prefix_hit_fraction), prompt_tokens - 1).astype(np.int32)
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
        routing: of the requests to the replicas.
        method: jump, over steps that are alike; stepper, where a replica had use for more than 90 % of its memory.
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
    routing: Routing
    method: Method

    @property
    def queue_s(self) -> Floats:
        """From joining the queue to the first step that serves the request [s]."""
        queue_s = self.first_step_s - self.arrivals.arrival_s
        queue_s -= self.request_overhead_s
        return queue_s

    @property
    def ttft_s(self) -> Floats:
        """Time to first token [s]."""
        return self.first_token_s - self.arrivals.arrival_s

    @property
    def tpot_s(self) -> Floats:
        """Time per output token after the first [s]; NaN for requests that have only one."""
        tpot_s = self.last_token_s - self.first_token_s
        tpot_s /= np.maximum(self.arrivals.output_tokens - 1, 1)
        tpot_s[self.arrivals.output_tokens == 1] = np.nan
        return tpot_s

    @property
    def e2e_s(self) -> Floats:
        """From arrival to last token [s]."""
        return self.last_token_s - self.arrivals.arrival_s


@dataclass(frozen=True)
class _Played:
    """What the scheduler makes of requests; as in Served."""

    method: Method
    first_step_s: Floats
    first_token_s: Floats
    last_token_s: Floats
    gaps: Ints
    busy_s: Floats
    preemptions: int
    most_blocks: int


def simulate(
    profile: Profile,
    replicas: int,
    arrivals: Arrivals,
    progress: Progress = lambda _: None,
    *,
    routing: Routing = "least-outstanding",
    method: Method = "jump",
) -> Served:
    """Serves requests by replicas.

    Args:
        profile: of each replica.
        replicas: how many, at least 1.
        arrivals: the requests.
        progress: told the fraction of arrivals done.
        routing: each request goes to the replica with the fewest outstanding, of several the first; or to the next one.
        method: stepper takes every step alone. jump does what it does in a fraction of the time, and leaves it to the
            stepper where a replica has use for more than 90 % of its memory.

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
        >>> served.ttft_s.round(6).tolist(), served.method
        ([0.01, 0.02, 0.03, 0.04], 'jump')
    """
    if replicas < 1 or arrivals.arrival_s.size == 0:
        raise InputError("replicas", "at least one replica and one request are needed")
    has_room = fits(profile.limits, arrivals.prompt_tokens, arrivals.output_tokens)
    kept = arrivals if has_room.all() else arrivals.where(has_room)
    reached = 0.0

    def tell(done: float) -> None:
        nonlocal reached
        reached = max(reached, done)  # the stepper begins anew where the jump gave up
        progress(reached)

    played = _jumped(profile, replicas, kept, routing, tell) if method == "jump" else None
    if played is None:
        played = _stepped(profile, replicas, kept, routing, tell)
    span_s = float(played.last_token_s.max() - kept.arrival_s[0]) if kept.arrival_s.size else 0.0
    blocks = profile.limits.kv_cache_tokens // profile.limits.block_tokens
    return Served(
        arrivals=kept,
        request_overhead_s=profile.request_overhead_s,
        first_step_s=played.first_step_s,
        first_token_s=played.first_token_s,
        last_token_s=played.last_token_s,
        gaps=played.gaps,
        preemptions=played.preemptions,
        utilization_fraction=min(1.0, float(played.busy_s.sum()) / (replicas * span_s)) if span_s > 0 else 0.0,
        kv_peak_fraction=played.most_blocks / blocks if blocks else 0.0,
        too_long=has_room.size - kept.arrival_s.size,
        routing=routing,
        method=played.method,
    )


def _jumped(
    profile: Profile, replicas: int, arrivals: Arrivals, routing: Routing, progress: Progress
) -> _Played | None:
    """By jumps; None where there are too many requests for them, or too little memory."""
    size, limits = arrivals.arrival_s.size, profile.limits
    if size > MOST_REQUESTS or limits.block_tokens > MOST_BLOCK_TOKENS:
        return None
    jobs = new_jobs(arrivals.prompt_tokens, arrivals.output_tokens, arrivals.cached_tokens)
    fleet = new_fleet(profile.step_time_s, limits, replicas, size)
    joined_s = _joined_s(profile, arrivals)
    for start, stop in _spans(size):
        if not jump(jobs, fleet, joined_s, np.array([start, stop]), routing == "round-robin"):
            return None
        progress(stop / size)
    return _Played(
        method="jump",
        first_step_s=jobs.first_step_s,
        first_token_s=jobs.first_token_s,
        last_token_s=jobs.last_token_s,
        gaps=fleet.gaps,
        busy_s=fleet.engines["busy_s"],
        preemptions=0,
        most_blocks=int(fleet.engines["most_blocks"].max()),
    )


def _stepped(profile: Profile, replicas: int, arrivals: Arrivals, routing: Routing, progress: Progress) -> _Played:
    """Step by step."""
    size = arrivals.arrival_s.size
    requests = new_requests(arrivals.prompt_tokens, arrivals.output_tokens, arrivals.cached_tokens)
    engines = new_replicas(profile.step_time_s, profile.limits, replicas, size)
    blocks = int(engines.free_blocks[0])
    step_end_s, busy_s = np.full(replicas, np.inf), np.zeros(replicas)
    joined_s = _joined_s(profile, arrivals)
    for start, stop in _spans(size):
        replay(requests, engines, joined_s, step_end_s, busy_s, np.array([start, stop]), routing == "round-robin")
        progress(stop / size)
    return _Played(
        method="stepper",
        first_step_s=requests.first_step_s,
        first_token_s=requests.first_token_s,
        last_token_s=requests.last_token_s,
        gaps=engines.gaps,
        busy_s=busy_s,
        preemptions=int(engines.preemptions.sum()),
        most_blocks=blocks - int(engines.fewest_free_blocks.min()),
    )


def _joined_s(profile: Profile, arrivals: Arrivals) -> Floats:
    """When each request joins a queue [s]."""
    overhead_s = profile.request_overhead_s
    joined_s = arrivals.arrival_s + overhead_s if overhead_s > 0 else arrivals.arrival_s
    return np.ascontiguousarray(joined_s, dtype=np.float64)


def _spans(size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, _ARRIVALS_AT_ONCE):
        yield start, min(start + _ARRIVALS_AT_ONCE, size)


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
