"""Percentiles of large samples without a sorted copy, and how well a sample knows them."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Counted = NDArray[np.uint32]

CONFIDENCE = 0.95
_BLOCK = 1 << 20
"""Values that are looked at together: 8 MB at the widest."""
_HALF_BITS = 16
_TAIL_DEVIATIONS, _TAIL_COUNTS = 12.0, 40
"""Beyond so many standard deviations and counts of its mean, a binomial has less than 1e-15 of its mass."""


@lru_cache(maxsize=256)
def interval_ranks(n: int, fraction: float) -> tuple[int, int] | None:
    """Ranks, from 1, of the order statistics between which a quantile lies with 95 % confidence.

    Of n independent values of any continuous distribution, the number below its quantile is binomial. The r-th and the
    s-th smallest are the closest to it such that the quantile lies outside on either side with a chance of 2.5 %
    at most.

    Args:
        n: values.
        fraction: which quantile, between 0 and 1.

    Returns:
        None where not even the smallest and the largest value are far enough out: below 6 values for the median,
        36 for the 90th percentile, 72 for the 95th and 368 for the 99th.

    Example:
        >>> interval_ranks(10, 0.5), interval_ranks(100, 0.5), interval_ranks(71, 0.95)
        ((2, 9), (40, 61), None)

    Source: David and Nagaraja, "Order Statistics" (2003), 7.1.
    """
    if n < 1:
        return None
    mean, deviation = n * fraction, np.sqrt(n * fraction * (1 - fraction))
    reach = _TAIL_DEVIATIONS * deviation + _TAIL_COUNTS
    first, last = max(0, int(mean - reach)), min(n, int(mean + reach) + 1)
    counts = np.arange(first, last, dtype=np.float64)
    steps = np.log((n - counts) / (counts + 1) * (fraction / (1 - fraction)))
    log_mass = np.concatenate(([0.0], np.cumsum(steps)))  # of first, first + 1, … last, but for a factor
    cumulative = np.cumsum(np.exp(log_mass - log_mass.max()))
    below = cumulative / cumulative[-1]
    outside = (1 - CONFIDENCE) / 2
    lower = first + int(np.searchsorted(below, outside))
    upper = first + int(np.searchsorted(below, 1 - outside)) + 1
    return None if lower < 1 or upper > n else (lower, upper)


_NONE: Counted = np.empty(0, dtype=np.uint32)


def order_statistics(values: Counted, ranks: ArrayLike, left_out: Counted = _NONE) -> Ints:
    """The values at some ranks, without sorting or copying them.

    Counts by the upper half of the bits, then, where a rank falls, by the lower half.

    Args:
        values: in any order, shape (n,).
        ranks: from 0 to n − 1 − m, shape (k,).
        left_out: those of the values that do not count, shape (m,).

    Example:
        >>> order_statistics(np.array([70_000, 5, 9, 80_000], dtype=np.uint32), [0, 2, 3]).tolist()
        [5, 70000, 80000]
    """
    ranks = np.asarray(ranks, dtype=np.int64)
    bins = 1 << _HALF_BITS
    upper = np.zeros(bins, dtype=np.int64)
    blocks = range(0, values.size, _BLOCK)
    for start in blocks:
        upper += np.bincount(values[start : start + _BLOCK] >> _HALF_BITS, minlength=bins)
    upper -= np.bincount(left_out >> _HALF_BITS, minlength=bins)
    until = np.cumsum(upper)
    chosen = np.searchsorted(until, ranks, side="right")
    lower = {
        int(part): -np.bincount(left_out[left_out >> _HALF_BITS == part] & (bins - 1), minlength=bins)
        for part in np.unique(chosen)
    }
    for start in blocks:
        block = values[start : start + _BLOCK]
        tops = block >> _HALF_BITS
        for part in lower:
            lower[part] += np.bincount(block[tops == part] & (bins - 1), minlength=bins)
    found = [
        (int(part) << _HALF_BITS)
        + int(np.searchsorted(np.cumsum(lower[int(part)]), rank - until[part] + upper[part], side="right"))
        for part, rank in zip(chosen, ranks, strict=True)
    ]
    return np.array(found, dtype=np.int64)


def quantiles(values: Counted, fractions: ArrayLike, left_out: Counted = _NONE) -> Array:
    """Quantiles by linear interpolation between order statistics, as numpy has them by default.

    Args:
        values: in any order, shape (n,).
        fractions: from 0 to 1, shape (k,).
        left_out: those of the values that do not count, at least one fewer, shape (m,).

    Example:
        >>> quantiles(np.array([40, 10, 30, 20], dtype=np.uint32), [0.5, 0.9]).tolist()
        [25.0, 37.0]
    """
    last = values.size - left_out.size - 1
    places = np.asarray(fractions, dtype=np.float64) * last
    before = np.floor(places).astype(np.int64)
    after = np.minimum(before + 1, last)
    low, high = np.split(order_statistics(values, np.concatenate((before, after)), left_out), 2)
    return np.asarray(low + (places - before) * (high - low))


def sums_by_request(values: Counted, per_request: Ints) -> Ints:
    """Sum of each request's values, of which those of one request lie next to each other.

    Args:
        values: shape (n,).
        per_request: how many values each request has, shape (requests,), sum n.

    Example:
        >>> sums_by_request(np.array([1, 2, 3], dtype=np.uint32), np.array([2, 0, 1])).tolist()
        [3, 0, 3]
    """
    sums = np.zeros(per_request.size, dtype=np.int64)
    has_some = per_request > 0
    counts = per_request[has_some]
    parts = [_sums(values[block], counts[requests]) for block, requests in _blocks(counts)]
    sums[has_some] = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
    return sums


def counts_within(values: Counted, per_request: Ints, limits: ArrayLike) -> Ints:
    """How many of each request's values are at most as large as some limits.

    Args:
        values: those of one request next to each other, shape (n,).
        per_request: how many each has, above 0, shape (requests,), sum n.
        limits: shape (k,).

    Returns:
        Counts, shape (k, requests).

    Example:
        >>> counts_within(np.array([1, 9, 5], dtype=np.uint32), np.array([2, 1]), [5.5, 0.5]).tolist()
        [[1, 1], [0, 0]]
    """
    # Whole numbers are compared as such: a comparison of floats would be slower.
    whole = np.asarray(limits, dtype=np.float64).astype(np.uint32)
    found = np.empty((whole.size, per_request.size), dtype=np.int64)
    for block, requests in _blocks(per_request):
        for row, limit in enumerate(whole):
            found[row, requests] = _sums(values[block] <= limit, per_request[requests])
    return found


def _sums(values: NDArray[np.generic], counts: Ints) -> Ints:
    return np.asarray(np.add.reduceat(values, np.cumsum(counts) - counts, dtype=np.int64))


def _blocks(per_request: Ints) -> Iterator[tuple[slice, slice]]:
    """Values of whole requests that fit a block, and which requests these are: numpy converts what it adds up."""
    ends, request = np.cumsum(per_request), 0
    while request < per_request.size:
        begin = int(ends[request - 1]) if request else 0
        after = max(request + 1, int(np.searchsorted(ends, begin + _BLOCK, side="right")))
        yield slice(begin, int(ends[after - 1])), slice(request, after)
        request = after
