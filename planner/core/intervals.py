"""How well a load point knows its means, shares and rates, where neighbouring requests are alike."""

import numpy as np

from planner.core.batches import (
    LEAST_BATCHES,
    Interval,
    batch_edges,
    batch_means,
    batch_size,
    long_run,
    student,
)
from planner.core.quantiles import Array, Bools

_Z = 1.959964
_Z_ALIKE = 1.644854
"""One-sided, 5 %: of independent series, one in twenty is taken for one whose neighbours are alike."""
_AT_ONCE = 1 << 20
"""Values that are looked at together, so that no copy is made of all of them."""


def mean_interval(values: Array, in_flight: float) -> Interval | None:
    """95 % confidence interval of the mean of a series.

    By non-overlapping batch means: 10 to 30 batches, each of at least half of what was in flight at a time; what
    likeness is left between them is taken into account by an autoregression.

    Args:
        values: not negative, in the order in which requests were due, shape (n,).
        in_flight: requests in flight at a time, on average [requests].

    Returns:
        None where there are fewer than 10 batches.

    Example:
        >>> low, high = mean_interval(np.random.default_rng(2).random(1000), 1.0)
        >>> round(low, 2), round(high, 2)
        (0.48, 0.52)

    Source: Schmeiser, "Batch Size Effects in the Analysis of Simulation Output", Operations Research 30 (1982), for the
    number of batches; Tafazzoli, Lada, Steiger and Wilson, "Skart: A Skewness- and Autoregression-Adjusted Batch-Means
    Procedure for Simulation Analysis", IIE Transactions 43 (2011), for the autoregression.
    """
    means = batch_means(values, batch_size(values.size, in_flight))
    if means.size < LEAST_BATCHES:
        return None
    found = long_run(means - means.mean(), 1)
    mean, reach = float(values.mean()), student(found.freedom) * float(np.sqrt(found.variance / means.size))
    return max(0.0, mean - reach), mean + reach


def are_alike(values: Array) -> bool:
    """Whether neighbours are more alike than chance makes them: by their correlation, at the level of 5 %.

    Args:
        values: in the order in which requests were due, shape (n,).

    Example:
        >>> are_alike(np.random.default_rng(2).random(100)), are_alike(np.arange(100.0))
        (False, True)
    """
    mean, square, product = values.mean(), 0.0, 0.0
    for start in range(0, values.size, _AT_ONCE):
        centred = values[start : start + _AT_ONCE + 1] - mean  # and the first of the next
        product += float(centred[1:] @ centred[:-1])
        square += float(centred[:_AT_ONCE] @ centred[:_AT_ONCE])
    return bool(square > 0 and product > _Z_ALIKE / np.sqrt(values.size) * square)


def worth_of_one(values: Array | Bools, in_flight: float, is_alike: bool = True) -> float | None:
    """How many independent values each value of a series is worth, for the mean of them all: 1 at most.

    Args:
        values: in the order in which requests were due, or whether something holds for each, shape (n,).
        in_flight: requests in flight at a time, on average [requests].
        is_alike: whether neighbours were found to be alike; where not, each is worth one.

    Returns:
        None where there are fewer than 10 batches, which is too few to find that. It is smaller where few batches know
        the variance badly.

    Example:
        Values that come in tens:

        >>> tens = np.repeat(np.random.default_rng(2).random(500), 10)
        >>> round(worth_of_one(tens, 1.0), 1)
        0.1

    Source: Kish, "Survey Sampling" (1965), for the effective size of a sample; batch means as in mean_interval.
    """
    size = batch_size(values.size, in_flight)
    means = batch_means(values, size)
    if means.size < LEAST_BATCHES:
        return None
    found, plain = long_run(means - means.mean(), 1), _variance(values)
    if not is_alike or plain <= 0 or found.variance <= 0:
        return 1.0
    return min(1.0, plain / (size * found.variance) * (_Z / student(found.freedom)) ** 2)


def _variance(values: Array | Bools) -> float:
    """Of one value, without a copy of those that only say yes or no."""
    if values.dtype != np.bool_:
        return float(values.var(ddof=1))
    share = np.count_nonzero(values) / values.size
    return share * (1 - share) * values.size / (values.size - 1)


def share_interval(is_met: Array, in_flight: float) -> Interval | None:
    """95 % confidence interval of a share of requests, such as goodput.

    Wilson's, of as many requests as the series is worth.

    Args:
        is_met: 1 or 0 for each, in the order in which requests were due, shape (n,), n >= 1.
        in_flight: requests in flight at a time, on average [requests].

    Returns:
        None where there are fewer than 10 batches.

    Example:
        >>> low, high = share_interval(np.ones(200), 4.0)
        >>> round(low, 3), round(high, 3)
        (0.981, 1.0)

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22 (1927).
    """
    worth = worth_of_one(is_met, in_flight, are_alike(is_met))
    if worth is None:
        return None
    n, share = is_met.size * worth, float(is_met.mean())
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    reach = _Z / (1 + _Z**2 / n) * float(np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def rate_error_fraction(amounts: Array, due_s: Array, in_flight: float) -> float | None:
    """Half the 95 % confidence interval of a rate, as a share of it.

    By batches of requests and the time between their first ones: the rate is a ratio of the two sums.

    Args:
        amounts: what each request counts: 1, or its tokens, shape (n,).
        due_s: when each was due, ascending [s], shape (n,).
        in_flight: requests in flight at a time, on average [requests].

    Returns:
        None where there are fewer than 10 batches, or nothing to count.

    Example:
        Arrivals of a Poisson process: 1.96/√1000, or 6 %.

        >>> due_s = np.cumsum(np.random.default_rng(1).exponential(0.1, 1001))
        >>> round(rate_error_fraction(np.ones(1001), due_s, 1.0), 2)
        0.06

    Source: Cochran, "Sampling Techniques" (1977), 6.3, for the variance of a ratio.
    """
    edges = batch_edges(due_s.size - 1, batch_size(due_s.size - 1, in_flight)) if due_s.size > 1 else np.zeros(1, int)
    if edges.size <= LEAST_BATCHES:
        return None
    spans_s, sums = np.diff(due_s[edges]), np.add.reduceat(amounts[:-1], edges[:-1])
    total, span_s = float(sums.sum()), float(spans_s.sum())
    if total <= 0 or span_s <= 0:
        return None
    found = long_run(sums - total / span_s * spans_s, 1)
    return student(found.freedom) * float(np.sqrt(found.variance * spans_s.size)) / total
