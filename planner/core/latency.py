"""Latencies as statistics: percentiles with their doubt, time per token, goodput."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.core.quantiles import Counted, Ints, counts_within, interval_ranks, quantiles
from planner.schema.benchmark import Statistics
from planner.schema.scenario import Slo

Array = NDArray[np.float64]
Interval = tuple[float, float] | None

_FRACTIONS = (0.5, 0.9, 0.95, 0.99)
_LEAST_REQUESTS = 20
"""Fewer clusters say too little about how alike the values of one are."""
_LEAST_CONTRIBUTING = 10.0
"""Requests that the gaps beyond a percentile must come from, weighed by how many of them each has (Kish's number)."""
_US_PER_S = 1e6


def statistics(values: ArrayLike) -> Statistics:
    """Mean and percentiles of independent values, with 95 % confidence intervals of the percentiles.

    Percentiles are interpolated between order statistics. Intervals reach from one order statistic to another, which
    needs no assumption on the distribution, but 6 values for the median, 36 for p90, 72 for p95 and 368 for p99.

    Args:
        values: times [s], one per request, shape (n,).

    Returns:
        Statistics, null where there are no values; an interval null where the sample is too small for it.

    Example:
        >>> found = statistics(np.arange(101))
        >>> found.mean, found.p50, found.p99, found.ci95_p95, found.ci95_p99
        (50.0, 50.0, 99.0, (90.0, 100.0), None)
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if ordered.size == 0:
        return Statistics(n=0)
    return _statistics(
        ordered.size,
        float(ordered.mean()),
        [float(value) for value in np.percentile(ordered, [100 * fraction for fraction in _FRACTIONS])],
        [_order_interval(ordered, fraction) for fraction in _FRACTIONS],
    )


def gap_statistics(gaps_us: Counted, per_request: ArrayLike) -> Statistics:
    """The same of the gaps between tokens, of which those of one request are not independent.

    Intervals are Woodruff's: from the variance, between requests, of the share of gaps below the percentile. They need
    20 requests with gaps, and as many as if each were worth one value where a request's gaps are all alike. No copy
    is made of the gaps, of which a run may have a hundred million.

    Args:
        gaps_us: in whole microseconds, those of one request next to each other, shape (n,).
        per_request: how many gaps each request has, shape (requests,), sum n.

    Returns:
        Statistics [s], null where there are no gaps; an interval null where it cannot be estimated.

    Example:
        >>> found = gap_statistics(np.full(300, 20_000, dtype=np.uint32), np.full(30, 10))
        >>> found.n, found.mean, found.p95
        (300, 0.02, 0.02)

    Source: Woodruff, "Confidence Intervals for Medians and Other Position Measures", Journal of the American
    Statistical Association 47 (1952).
    """
    if gaps_us.size == 0:
        return Statistics(n=0)
    percentiles = quantiles(gaps_us, _FRACTIONS)
    return _statistics(
        gaps_us.size,
        int(gaps_us.sum(dtype=np.uint64)) / gaps_us.size / _US_PER_S,
        [float(value) / _US_PER_S for value in percentiles],
        _woodruff_intervals(gaps_us, np.asarray(per_request, dtype=np.int64), percentiles),
    )


def _statistics(n: int, mean: float, percentiles: list[float], intervals: list[Interval]) -> Statistics:
    (p50, p90, p95, p99), (ci95_p50, ci95_p90, ci95_p95, ci95_p99) = percentiles, intervals
    return Statistics(
        n=n,
        mean=mean,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        ci95_p50=ci95_p50,
        ci95_p90=ci95_p90,
        ci95_p95=ci95_p95,
        ci95_p99=ci95_p99,
    )


def _order_interval(ordered: Array, fraction: float) -> Interval:
    ranks = interval_ranks(ordered.size, fraction)
    return None if ranks is None else (float(ordered[ranks[0] - 1]), float(ordered[ranks[1] - 1]))


def _woodruff_intervals(gaps_us: Counted, per_request: Ints, percentiles: Array) -> list[Interval]:
    counts = per_request[per_request > 0]
    if counts.size < _LEAST_REQUESTS:
        return [None] * len(_FRACTIONS)
    # Few requests know their own variance badly: Student's quantile in place of the normal one.
    reach = _student(counts.size - 1) / gaps_us.size * np.sqrt(counts.size / (counts.size - 1))
    spans = []
    for fraction, below in zip(_FRACTIONS, counts_within(gaps_us, counts, percentiles), strict=True):
        error = float(reach * np.linalg.norm(below - fraction * counts))
        low, high = fraction - error, fraction + error
        spans.append((low, high) if low > 0 and high < 1 and _contributing(counts - below) else None)
    known = [span for span in spans if span is not None]
    bounds = quantiles(gaps_us, np.ravel(known)).reshape(-1, 2) / _US_PER_S if known else np.empty((0, 2))
    found = iter((float(low), float(high)) for low, high in bounds)
    return [None if span is None else next(found) for span in spans]


def _contributing(beyond: Ints) -> bool:
    """Whether the gaps beyond a percentile come from enough requests."""
    weights = beyond.astype(np.float64)
    return bool(weights.sum() ** 2 >= _LEAST_CONTRIBUTING * (weights @ weights) > 0)


def _student(freedom: int) -> float:
    """97.5th percentile of Student's t, by its expansion about the normal one: right to 0.1 % from 19 on."""
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def time_per_output_token(first_token_s: Array, last_token_s: Array, output_tokens: Array) -> Array:
    """(last − first token) / (output tokens − 1) [s]; NaN for requests with fewer than two tokens.

    Args:
        first_token_s: time of the first output token [s], shape (n,).
        last_token_s: time of the last one [s], shape (n,).
        output_tokens: how many there were [tokens], shape (n,).

    Example:
        >>> time_per_output_token(np.array([1.0, 2.0]), np.array([3.0, 2.0]), np.array([5.0, 1.0])).tolist()
        [0.5, nan]
    """
    gaps = np.where(output_tokens > 1, output_tokens - 1, np.nan)
    return np.asarray((last_token_s - first_token_s) / gaps)


def meets_slo(ttft_s: Array, tpot_s: Array, slo: Slo) -> NDArray[np.bool_]:
    """Which answered requests meet a service level, each by its own latencies; shape (n,).

    Args:
        ttft_s: time to first token [s], shape (n,).
        tpot_s: time per output token [s], shape (n,); NaN where there is none, which passes.
        slo: the level; a limit that it leaves out passes.

    Example:
        >>> slo = Slo(ttft_p95_s=0.5, tpot_p95_s=0.04)
        >>> meets_slo(np.array([0.4, 0.6, 0.5]), np.array([0.05, 0.01, np.nan]), slo).tolist()
        [False, False, True]
    """
    is_met = np.ones(ttft_s.shape, dtype=np.bool_)
    if slo.ttft_p95_s is not None:
        is_met &= ttft_s <= slo.ttft_p95_s
    if slo.tpot_p95_s is not None:
        is_met &= np.isnan(tpot_s) | (tpot_s <= slo.tpot_p95_s)
    return is_met
