"""Series of requests as batches: how much a mean is worth where neighbours are alike."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from planner.core.quantiles import Array, Bools, Ints

Interval = tuple[float, float]

MOST_BATCHES = 30
"""More gain little, and shorter batches are less independent of each other (Schmeiser 1982)."""
LEAST_BATCHES = 10
_MOST_ORDER, _LEAST_PER_ORDER = 4, 8
_LARGEST_SUM = 0.97
"""Of the coefficients of an autoregression: beyond it, the series hardly ever returns to its mean."""
_Z_975 = 1.959964
_LEAST_FREEDOM = 3.0


@dataclass(frozen=True)
class LongRun:
    """What the mean of a series varies by.

    Attributes:
        variance: of one value, times how much more than independent ones they vary in the mean.
        inflation: of the variance by the likeness of neighbours, at least 1.
        freedom: degrees of freedom that are left to know the variance by.
    """

    variance: float
    inflation: float
    freedom: float


def batch_size(n: int, in_flight: float, most: int = MOST_BATCHES) -> int:
    """How many neighbours make a batch.

    Requests that were in flight together met the same server: a batch spans at least half of what was in flight at a
    time, so that few batches share a queue.

    Args:
        n: values in the series.
        in_flight: requests in flight at a time, on average [requests].
        most: batches.

    Example:
        >>> batch_size(1000, 64.0), batch_size(1000, 4.0), batch_size(1000, 64.0, most=10)
        (64, 34, 128)
    """
    unit = max(1, int(np.ceil(in_flight / 2)))
    return unit * max(1, -(-n // (unit * most)))


def batch_means(values: Array | Bools, size: int) -> Array:
    """Means of neighbours, those left over at the end in the last batches; shape (n // size,).

    Args:
        values: shape (n,).
        size: at least so many a batch.

    Example:
        >>> batch_means(np.array([1.0, 3.0, 5.0, 7.0, 9.0]), 2).tolist()
        [2.0, 7.0]
    """
    edges = batch_edges(values.size, size)
    if edges.size < 2:
        return np.empty(0)
    if values.dtype == np.bool_:  # which reduceat would copy
        sums = np.array([np.count_nonzero(values[first:stop]) for first, stop in pairwise(edges)])
    else:
        sums = np.add.reduceat(values, edges[:-1])
    return np.asarray(sums / np.diff(edges))


def batch_edges(n: int, size: int) -> Ints:
    """Where batches begin, and where the last ends, shape (n // size + 1,)."""
    count = n // size
    return np.arange(count + 1, dtype=np.int64) * n // max(1, count)


def long_run(residuals: Array, fitted: int) -> LongRun:
    """The variance of a series that its mean varies by, from an autoregression of its residuals.

    The order is chosen between 1 and 4 by the Bayesian information criterion. The coefficients of short series are too
    small on average, which is mended. Neighbours that differ more than by chance earn no smaller variance.

    Args:
        residuals: about what was fitted, shape (n,).
        fitted: parameters of what was taken off: 1 for a mean, 2 for a line, 3 for a line with a jump.

    Example:
        Values that share seven tenths with the one before: (1 + 0.7)/(1 − 0.7) = 5.7 times as variable.

        >>> rng, series = np.random.default_rng(1), [0.0]
        >>> for noise in rng.standard_normal(2000):
        ...     series.append(0.7 * series[-1] + noise)
        >>> round(long_run(np.array(series) - np.mean(series), 1).inflation, 1)
        5.7

    Source: Fishman, "Estimating Sample Size in Computing Simulation Experiments", Management Science 18 (1971);
    Schwarz, "Estimating the Dimension of a Model", Annals of Statistics 6 (1978); Shaman and Stine, "The Bias of
    Autoregressive Coefficient Estimators", Journal of the American Statistical Association 83 (1988).
    """
    n = residuals.size
    order = max(1, min(_MOST_ORDER, n // _LEAST_PER_ORDER))
    covariances = np.array([residuals[lag:] @ residuals[: n - lag] for lag in range(order + 1)]) / n
    plain = covariances[0] * n / max(1, n - fitted)
    if covariances[0] <= 0:
        return LongRun(0.0, 1.0, float(max(_LEAST_FREEDOM, n - fitted)))
    best, variance = np.inf, plain
    for tried in range(1, order + 1):
        lags = np.abs(np.subtract.outer(np.arange(tried), np.arange(tried)))
        weights = np.linalg.solve(covariances[lags] + _ridge(covariances[0], tried), covariances[1 : tried + 1])
        noise = max(covariances[0] - weights @ covariances[1 : tried + 1], 0.0)
        criterion = n * np.log(max(noise, 1e-12 * covariances[0])) + tried * np.log(n)
        if criterion < best:
            total = float(weights.sum())
            total = min(total + (fitted + (fitted + 2) * total) / n, _LARGEST_SUM)
            best, variance = criterion, noise * n / max(1, n - fitted - tried) / (1 - total) ** 2
    inflation = max(1.0, float(variance / plain))
    return LongRun(float(plain * inflation), inflation, max(_LEAST_FREEDOM, n / inflation - fitted))


def _ridge(variance: float, size: int) -> NDArray[np.float64]:
    """Keeps the equations of a series that repeats itself solvable."""
    return np.asarray(1e-9 * variance * np.eye(size))


def student(freedom: float, normal: float = _Z_975) -> float:
    """Quantile of Student's t, by its expansion about that of the normal distribution.

    To 1.5 % from 3 degrees of freedom on, and to 0.2 % from 5, up to a normal quantile of 2.8.

    Args:
        freedom: degrees of freedom, at least 3.
        normal: the quantile of the normal distribution.

    Example:
        >>> round(student(9), 3), round(student(30), 3)
        (2.262, 2.042)

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 26.7.5.
    """
    z, n = normal, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )
