"""What replicas of a profile carry within a service level, by simulating an hour's requests at many loads."""

from dataclasses import dataclass

import numpy as np

from planner.core.arrivals import Process, arrivals_by_count
from planner.core.capacity import Capacity
from planner.core.engine_state import Floats, Ints, fits
from planner.core.simulate import Arrivals, Progress, saturation_requests_per_s, simulate
from planner.schema.profile import Profile
from planner.schema.scenario import Slo

SAMPLE_REQUESTS = 12_000
"""Requests of a simulated hour: their p95 has a sampling error of a few percent at 90 % load."""
KNOWN_REPLICAS = (1, 2, 4, 8, 16)
"""Counts that are simulated; beyond, pooling adds next to nothing."""

_WARMUP_FRACTION = 0.1
"""Of the requests, those that meet engines that are not yet in their stride."""
_P95 = 0.95
_FOREVER_S = 1e6
_MOST_PER_S = 1e9
"""Of engines whose steps take no time."""
_LEAST_FRACTION = 1e-6
"""Load over saturation below which nobody looks: bursts may miss the level however rare they are."""
_CLOSE_FRACTION = 0.004
"""Between a load that holds and one that does not, where the search ends."""


@dataclass(frozen=True)
class HourSample:
    """Requests of an hour, at a rate of one per second.

    Attributes:
        arrival_s: at a mean rate of 1 per second, ascending [s], shape (requests,).
        prompt_tokens: at least 1 [tokens], shape (requests,).
        output_tokens: at least 1 [tokens], shape (requests,).
        prefix_hit_fraction: share of each prompt that the prefix cache holds.
    """

    arrival_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    prefix_hit_fraction: float = 0.0

    def at(self, requests_per_s: float) -> Arrivals:
        """The same requests at another rate [requests/s]."""
        arrival_s = self.arrival_s / requests_per_s
        return Arrivals.of(arrival_s, self.prompt_tokens, self.output_tokens, self.prefix_hit_fraction)

    def alone(self) -> Arrivals:
        """The same requests so far apart that none meets another."""
        arrival_s = np.arange(self.arrival_s.size, dtype=np.float64) * np.float64(_FOREVER_S)
        return Arrivals.of(arrival_s, self.prompt_tokens, self.output_tokens, self.prefix_hit_fraction)


def hour_sample(
    prompt_tokens: Floats,
    output_tokens: Floats,
    are_pairs: bool,
    burstiness: float,
    prefix_hit_fraction: float,
    rng: np.random.Generator,
) -> HourSample:
    """Draws the requests of an hour.

    Args:
        prompt_tokens: lengths to draw from [tokens], shape (lengths,).
        output_tokens: likewise [tokens], shape (lengths,), or another one where they are no pairs.
        are_pairs: whether a prompt and the answer at its place are of one request, and drawn together.
        burstiness: squared CV of the gaps between arrivals; 1 is Poisson, 0 constant.
        prefix_hit_fraction: share of each prompt that the prefix cache holds.
        rng: to draw from.
    """
    process: Process = "constant" if burstiness == 0 else "gamma"
    arrival_s = arrivals_by_count(process, 1.0, SAMPLE_REQUESTS, rng, burstiness or 1.0)
    chosen = rng.integers(0, prompt_tokens.size, SAMPLE_REQUESTS)
    with_it = chosen if are_pairs else rng.integers(0, output_tokens.size, SAMPLE_REQUESTS)
    return HourSample(arrival_s, _whole(prompt_tokens[chosen]), _whole(output_tokens[with_it]), prefix_hit_fraction)


def _whole(tokens: Floats) -> Ints:
    return np.asarray(np.maximum(np.rint(tokens), 1), dtype=np.int64)


def profile_capacity(profile: Profile, slo: Slo, sample: HourSample, progress: Progress = lambda _: None) -> Capacity:
    """The highest hourly load at which p95 meets the service level, by the number of replicas.

    Without limits on latency it is the load at which queues do not grow.

    Args:
        profile: of each replica.
        slo: limits on the p95 of TTFT and TPOT [s].
        sample: the hour's requests.
        progress: told the fraction done.

    Returns:
        The capacity; none at all where an idle replica misses the level, or refuses more than 5 % of the requests,
        since they are longer than it allows.
    """
    has_room = fits(profile.limits, sample.prompt_tokens, sample.output_tokens)
    if has_room.mean() < _P95 or not _holds(profile, 1, slo, sample.alone()):
        return Capacity.known_at([1], [0.0])
    # Refused requests take no time, so that of all that arrive the engine can be sent more.
    saturation_per_s = min(saturation_requests_per_s(profile, sample.at(1.0)) / float(has_room.mean()), _MOST_PER_S)
    carried: list[float] = []
    for count in KNOWN_REPLICAS:
        guess_per_s = count * carried[-1] / KNOWN_REPLICAS[len(carried) - 1] if carried else 0.0
        carried.append(_highest_load(profile, count, guess_per_s, count * saturation_per_s, slo, sample))
        progress(len(carried) / len(KNOWN_REPLICAS))
    return Capacity.known_at(KNOWN_REPLICAS, carried)


def latency_p95_s(profile: Profile, replicas: int, requests_per_s: float, sample: HourSample) -> tuple[float, float]:
    """p95 of TTFT and of TPOT in an hour of such a load [s].

    Requests that the engine refuses, since they are longer than it allows, count as never answered.

    Args:
        profile: of each replica.
        replicas: that share the load.
        requests_per_s: the hour's mean load [requests/s], above 0.
        sample: the hour's requests.
    """
    return _latency_p95_s(profile, replicas, sample.at(requests_per_s))


def _latency_p95_s(profile: Profile, replicas: int, arrivals: Arrivals) -> tuple[float, float]:
    served = simulate(profile, replicas, arrivals)
    first = int(served.ttft_s.size * _WARMUP_FRACTION)
    refused = np.full(int(served.too_long * (1 - _WARMUP_FRACTION)), np.inf)
    tpot_s = served.tpot_s[first:]
    tpot_s = tpot_s[~np.isnan(tpot_s)]
    return _p95(np.append(served.ttft_s[first:], refused)), _p95(np.append(tpot_s, refused))


def _p95(values: Floats) -> float:
    return float(np.quantile(values, _P95, method="higher")) if values.size else 0.0


def _holds(profile: Profile, replicas: int, slo: Slo, arrivals: Arrivals) -> bool:
    if slo.ttft_p95_s is None and slo.tpot_p95_s is None:
        return True
    ttft_s, tpot_s = _latency_p95_s(profile, replicas, arrivals)
    return ttft_s <= (slo.ttft_p95_s or np.inf) and tpot_s <= (slo.tpot_p95_s or np.inf)


def _highest_load(
    profile: Profile, replicas: int, guess_per_s: float, saturation_per_s: float, slo: Slo, sample: HourSample
) -> float:
    """The highest load that holds [requests/s], by bisection between a guess, or next to nothing, and saturation."""

    def holds(requests_per_s: float) -> bool:
        return _holds(profile, replicas, slo, sample.at(requests_per_s))

    low, high = _LEAST_FRACTION * saturation_per_s, saturation_per_s
    if holds(high):
        return high
    if low < guess_per_s < high:
        low, high = (guess_per_s, high) if holds(guess_per_s) else (low, guess_per_s)
    while high > low * (1 + _CLOSE_FRACTION):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
