"""Latencies as statistics: percentiles with their doubt, time per token, goodput."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.core.batches import student
from planner.core.intervals import are_alike, mean_interval, worth_of_one
from planner.core.ordered import Ordered
from planner.core.quantiles import Counted, Ints, counts_within, interval_ranks, quantiles
from planner.schema.benchmark import Statistics
from planner.schema.scenario import Slo

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Interval = tuple[float, float] | None

_FRACTIONS = (0.5, 0.9, 0.95, 0.99)
_LEAST_REQUESTS = 20
"""Fewer clusters say too little about how alike the values of one are."""
_LEAST_CONTRIBUTING = 10.0
"""Requests that the gaps beyond a percentile must come from, weighed by how many of them each has (Kish's number)."""
_US_PER_S = 1e6


def statistics(values: ArrayLike, in_flight: float | None = None) -> Statistics:
    """Mean and percentiles of values, with 95 % confidence intervals.

    Percentiles are interpolated between order statistics. Intervals reach from one order statistic to another, which
    needs no assumption on the distribution, but 6 values for the median, 36 for p90, 72 for p95 and 368 for p99. In a
    series whose neighbours are alike, fewer are independent, and the intervals are those of so many.

    Args:
        values: times [s], one per request, shape (n,); a series in the order in which requests were due.
        in_flight: requests in flight at a time, on average [requests]; None where the values are no series. Then they
            are taken to be independent, and the mean has no interval.

    Returns:
        Statistics, null where there are no values; an interval null where the sample is too small for it.

    Example:
        >>> found = statistics(np.arange(101))
        >>> found.mean, found.p50, found.p99, found.ci95_p95, found.ci95_p99
        (50.0, 50.0, 99.0, (90.0, 100.0), None)
    """
    series = np.asarray(values, dtype=np.float64)
    if series.size == 0:
        return Statistics(n=0)
    ordered = Ordered(series)
    percentiles = [ordered.quantile(fraction) for fraction in _FRACTIONS]
    worths: list[float | None] = [1.0] * len(_FRACTIONS)
    if in_flight is not None:
        is_alike = are_alike(series)
        below = (np.asarray(series <= value) for value in percentiles)
        worths = [worth_of_one(each, in_flight, is_alike) for each in below]
    around = zip(_FRACTIONS, worths, strict=True)
    return _statistics(
        series.size,
        float(series.mean()),
        percentiles,
        [_order_interval(ordered, series.size, fraction, worth) for fraction, worth in around],
        None if in_flight is None else mean_interval(series, in_flight),
    )


def gap_statistics(
    gaps_us: Counted, per_request: ArrayLike, is_kept: Bools | None = None, in_flight: float | None = None
) -> Statistics:
    """The same of the gaps between tokens, of which those of one request are not independent.

    Intervals are Woodruff's: from the variance, between requests, of the share of gaps below the percentile. They need
    20 requests with gaps, and as many as if each were worth one value where a request's gaps are all alike. No copy
    is made of the gaps, of which a run may have a hundred million, but of those that are left out.

    Args:
        gaps_us: in whole microseconds, those of one request next to each other, shape (n,).
        per_request: how many gaps each request has, shape (requests,), sum n.
        is_kept: which requests count; all of them where None, shape (requests,).
        in_flight: requests in flight at a time, on average [requests]; None where the requests are in no order. Then
            they are taken to be independent.

    Returns:
        Statistics [s], null where there are no gaps; an interval null where it cannot be estimated.

    Example:
        >>> found = gap_statistics(np.full(300, 20_000, dtype=np.uint32), np.full(30, 10))
        >>> found.n, found.mean, found.p95
        (300, 0.02, 0.02)

    Source: Woodruff, "Confidence Intervals for Medians and Other Position Measures", Journal of the American
    Statistical Association 47 (1952).
    """
    counts = np.asarray(per_request, dtype=np.int64)
    is_in = np.ones(counts.size, dtype=np.bool_) if is_kept is None else is_kept
    left_out = _left_out(gaps_us, counts, is_in)
    n = gaps_us.size - left_out.size
    if n == 0:
        return Statistics(n=0)
    sum_us = int(gaps_us.sum(dtype=np.uint64)) - int(left_out.sum(dtype=np.uint64))
    percentiles = quantiles(gaps_us, _FRACTIONS, left_out)
    is_below = counts_within(gaps_us, counts[counts > 0], percentiles)[:, is_in[counts > 0]]
    spans = _woodruff_spans(is_below, counts[is_in & (counts > 0)], in_flight)
    known = [span for span in spans if span is not None]
    bounds = quantiles(gaps_us, np.ravel(known), left_out).reshape(-1, 2) / _US_PER_S if known else np.empty((0, 2))
    found = iter((float(low), float(high)) for low, high in bounds)
    return _statistics(
        n,
        sum_us / n / _US_PER_S,
        [float(value) / _US_PER_S for value in percentiles],
        [None if span is None else next(found) for span in spans],
        None,
    )


def _left_out(gaps_us: Counted, counts: Ints, is_in: Bools) -> Counted:
    """The gaps of the requests that do not count."""
    ends = np.cumsum(counts)
    parts = [gaps_us[ends[place] - counts[place] : ends[place]] for place in np.flatnonzero(~is_in)]
    return np.concatenate([np.empty(0, dtype=np.uint32), *parts])


def _statistics(
    n: int, mean: float, percentiles: list[float], intervals: list[Interval], of_mean: Interval
) -> Statistics:
    (p50, p90, p95, p99), (ci95_p50, ci95_p90, ci95_p95, ci95_p99) = percentiles, intervals
    return Statistics(
        n=n,
        mean=mean,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        ci95_mean=of_mean,
        ci95_p50=ci95_p50,
        ci95_p90=ci95_p90,
        ci95_p95=ci95_p95,
        ci95_p99=ci95_p99,
    )


def _order_interval(ordered: Ordered, n: int, fraction: float, worth: float | None) -> Interval:
    """Between order statistics as far out as those of a sample of the independent values that these are worth."""
    size = 0 if worth is None else int(worth * n)
    ranks = interval_ranks(size, fraction)
    if ranks is None:
        return None
    low, high = ranks[0] * n // size, -(-ranks[1] * n // size)
    return ordered.at(max(1, low) - 1), ordered.at(high - 1)


def _woodruff_spans(is_below: Ints, counts: Ints, in_flight: float | None) -> list[Interval]:
    """Between which fractions of the gaps each percentile lies."""
    if counts.size < _LEAST_REQUESTS:
        return [None] * len(_FRACTIONS)
    # Few requests know their own variance badly: Student's quantile in place of the normal one.
    reach = student(counts.size - 1) / counts.sum() * np.sqrt(counts.size / (counts.size - 1))
    spans: list[Interval] = []
    for fraction, below in zip(_FRACTIONS, is_below, strict=True):
        excess = below - fraction * counts
        worth = 1.0 if in_flight is None else worth_of_one(excess, in_flight, are_alike(excess))
        if worth is None or not _contributing(counts - below):
            spans.append(None)
            continue
        error = float(reach * np.linalg.norm(excess) / np.sqrt(worth))
        low, high = fraction - error, fraction + error
        spans.append((low, high) if low > 0 and high < 1 else None)
    return spans


def _contributing(beyond: Ints) -> bool:
    """Whether the gaps beyond a percentile come from enough requests."""
    weights = beyond.astype(np.float64)
    return bool(weights.sum() ** 2 >= _LEAST_CONTRIBUTING * (weights @ weights) > 0)


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


def meets_slo(ttft_s: Array, tpot_s: Array, slo: Slo) -> Bools:
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
