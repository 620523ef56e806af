"""Load points made up: series whose drift, start and long-run truth are known."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.core.simulate import Arrivals, saturation_requests_per_s, simulate
from planner.loadtest.sample import Columns
from planner.schema.profile import Limits, Profile, StepTime

Array = NDArray[np.float64]

CV = 0.5
_SETTLED = 20_000
"""Requests that the simulator has behind it before a load point begins."""
_STEP = StepTime(base=0.006, per_prefill_token=2.1e-5, per_sequence=2.0e-5, per_context_token=3.0e-8)
_PROMPT_P50, _OUTPUT_P50, _LENGTH_SIGMA = 400, 100, 0.7


@dataclass(frozen=True)
class Point:
    """Requests of a load point, in the order in which they were due; each of shape (n,).

    Attributes:
        due_s: when each was due [s].
        ttft_s: time to first token [s].
        tpot_s: time per output token [s]; NaN where an answer has one token only.
        output_tokens: how many an answer has [tokens].
        users: of a closed loop; None in an open one.
    """

    due_s: Array
    ttft_s: Array
    tpot_s: Array
    output_tokens: Array
    users: int | None = None

    def slowed(self, factors: Array) -> "Point":
        """The same with latencies that are so many times as long."""
        return Point(self.due_s, self.ttft_s * factors, self.tpot_s * factors, self.output_tokens, self.users)

    def columns(self) -> Columns:
        """As a load test keeps it."""
        n = self.due_s.size
        first_s = self.due_s + self.ttft_s
        last_s = first_s + np.where(self.output_tokens > 1, self.tpot_s * (self.output_tokens - 1), 0.0)
        tokens, ones = self.output_tokens.astype(np.int64), np.ones(n, dtype=np.int64)
        return Columns(
            self.due_s,
            self.due_s,
            first_s,
            last_s,
            last_s,
            ones,
            ones,
            tokens,
            tokens,
            ones,
            tokens,
            np.zeros_like(ones),
        )


def correlated(rng: np.random.Generator, points: int, n: int, phi: float) -> list[Point]:
    """Lognormal TTFT with a coefficient of variation of 0.5, whose logarithms share phi with the one before.

    Answers have one token, and requests come one at a time.
    """
    logs, noise = np.empty((points, n)), rng.standard_normal((points, n))
    logs[:, 0] = noise[:, 0]
    for place in range(1, n):
        logs[:, place] = phi * logs[:, place - 1] + np.sqrt(1 - phi**2) * noise[:, place]
    ttft_s = np.exp(np.sqrt(np.log1p(CV**2)) * logs)
    due_s = np.arange(n) * 2.0
    return [Point(due_s, row, np.full(n, np.nan), np.ones(n)) for row in ttft_s]


def served(load: float, sequences: int, requests: int, seed: int) -> Point:
    """A long open loop through the simulator, without its start.

    Args:
        load: share of what the server can do.
        sequences: most that it serves at a time.
        requests: how many.
        seed: of arrivals and lengths.
    """
    rng, count = np.random.default_rng(seed), requests + _SETTLED
    limits = Limits(
        max_num_seqs=sequences,
        max_num_batched_tokens=8192,
        kv_cache_tokens=400_000,
        block_tokens=16,
        max_model_len=16_384,
    )
    profile = Profile(schema_="planner.profile/1", name="made up", basis="estimated", step_time_s=_STEP, limits=limits)
    prompts, outputs = _lengths(rng, _PROMPT_P50, count), _lengths(rng, _OUTPUT_P50, count)
    at_once = Arrivals.of(np.zeros(count), prompts, outputs)
    rate_per_s = load * saturation_requests_per_s(profile, at_once)
    found = simulate(profile, 1, Arrivals.of(np.cumsum(rng.exponential(1 / rate_per_s, count)), prompts, outputs))
    return part(
        Point(found.arrivals.arrival_s, found.ttft_s, found.tpot_s, outputs.astype(np.float64)), _SETTLED, requests
    )


def part(whole: Point, begin: int, n: int) -> Point:
    """So many requests of a load point."""
    chosen = slice(begin, begin + n)
    return Point(
        whole.due_s[chosen], whole.ttft_s[chosen], whole.tpot_s[chosen], whole.output_tokens[chosen], whole.users
    )


def parts(whole: Point, n: int, most: int) -> Iterator[Point]:
    """Load points of a size that do not overlap, far apart where there is room."""
    count = min(most, whole.due_s.size // n)
    for begin in np.arange(count) * (whole.due_s.size // count):
        yield part(whole, int(begin), n)


def closed(rng: np.random.Generator, users: int, n: int) -> Point:
    """A closed loop from its start, where all users ask at once; by the simulator's steps, with room for all."""
    prompts, outputs = _lengths(rng, _PROMPT_P50, n), np.maximum(2, _lengths(rng, _OUTPUT_P50, n))
    due_s, first_s, last_s = np.zeros(n), np.zeros(n), np.zeros(n)
    asked, time_s = min(users, n), 0.0
    waiting = [[place, int(prompts[place])] for place in range(asked)]
    running, left, context = (np.empty(0, dtype=np.int64) for _ in range(3))
    while waiting or running.size:
        room, prefill, begun = 8192 - running.size, 0, []
        for entry in waiting:
            taken = min(room, entry[1])
            entry[1], room, prefill = entry[1] - taken, room - taken, prefill + taken
            if entry[1] == 0:
                begun.append(entry[0])
        waiting = [entry for entry in waiting if entry[1]]
        time_s += _STEP.base + _STEP.per_prefill_token * prefill
        time_s += _STEP.per_sequence * running.size + _STEP.per_context_token * float(context.sum())
        left, context = left - 1, context + 1
        for place in running[left <= 0]:
            last_s[place] = time_s
            if asked < n:
                due_s[asked] = time_s
                waiting.append([asked, int(prompts[asked])])
                asked += 1
        is_on = left > 0
        new = np.array(begun, dtype=np.int64)
        first_s[new] = time_s
        running = np.concatenate((running[is_on], new))
        left = np.concatenate((left[is_on], outputs[new] - 1))
        context = np.concatenate((context[is_on], prompts[new]))
    return Point(due_s, first_s - due_s, (last_s - first_s) / (outputs - 1), outputs.astype(np.float64), users)


def _lengths(rng: np.random.Generator, p50: int, n: int) -> NDArray[np.int64]:
    return np.clip(rng.lognormal(np.log(p50), _LENGTH_SIGMA, n), 1, 8000).astype(np.int64)
