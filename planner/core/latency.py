"""Latencies as statistics: percentiles with their doubt, time per token, goodput."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from planner.schema.benchmark import Statistics
from planner.schema.scenario import Slo

Array = NDArray[np.float64]

_PERCENTILES = (50.0, 90.0, 95.0, 99.0)
_P, _CONFIDENCE = 0.95, 0.95
_LEAST_REQUESTS = 20
"""Fewer clusters say too little about how alike the values of one are."""


def statistics(values: ArrayLike, per_request: ArrayLike | None = None) -> Statistics:
    """Mean, percentiles by linear interpolation, and a 95 % confidence interval of the 95th percentile.

    The interval is of order statistics, which needs no assumption on the distribution but 72 independent values.
    Gaps between the tokens of one request are not independent; where `per_request` tells which values belong
    together, the interval is Woodruff's, from the variance of the share below p95 between requests.

    Args:
        values: times [s], shape (n,); those of one request next to each other.
        per_request: how many values each request has, shape (requests,), sum n; None where each is its own.

    Returns:
        Statistics, all None where there are no values; the interval None where the sample is too small.

    Example:
        >>> found = statistics(np.arange(101))
        >>> found.mean, found.p50, found.p99, found.ci95_p95
        (50.0, 50.0, 99.0, (90.0, 100.0))

    Source: David and Nagaraja, "Order Statistics" (2003), 7.1; Woodruff, "Confidence Intervals for Medians and
    Other Position Measures", Journal of the American Statistical Association 47 (1952).
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if ordered.size == 0:
        return Statistics()
    p50, p90, p95, p99 = (float(value) for value in np.percentile(ordered, _PERCENTILES))
    if per_request is None:
        interval = _order_interval(ordered)
    else:
        interval = _woodruff_interval(np.asarray(values, dtype=np.float64), ordered, np.asarray(per_request), p95)
    return Statistics(mean=float(ordered.mean()), p50=p50, p90=p90, p95=p95, p99=p99, ci95_p95=interval)


def _order_interval(ordered: Array) -> tuple[float, float] | None:
    """From the r-th to the s-th smallest value: p95 lies outside on either side with a chance of 2.5 % at most."""
    outside = (1 - _CONFIDENCE) / 2
    lower = int(binom.ppf(outside, ordered.size, _P))
    upper = int(binom.ppf(1 - outside, ordered.size, _P)) + 1
    if lower < 1 or upper > ordered.size:
        return None
    return float(ordered[lower - 1]), float(ordered[upper - 1])


def _woodruff_interval(values: Array, ordered: Array, per_request: ArrayLike, p95: float) -> tuple[float, float] | None:
    counts = np.asarray(per_request, dtype=np.int64)
    counts = counts[counts > 0]
    if counts.size < _LEAST_REQUESTS:
        return None
    excess = np.add.reduceat((values <= p95) - _P, np.concatenate(([0], np.cumsum(counts)[:-1])))
    error = float(np.sqrt(np.sum(excess**2) * counts.size / (counts.size - 1))) / ordered.size
    low, high = _P - 1.96 * error, _P + 1.96 * error
    if low <= 0 or high >= 1:
        return None
    return float(np.quantile(ordered, low)), float(np.quantile(ordered, high))


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
