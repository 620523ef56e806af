"""What came of an arrival process: its rate and burstiness as they were, and as far as chance may move them."""

from dataclasses import dataclass

import numpy as np

from planner.core.quantiles import Array

Interval = tuple[float, float]

_Z = 1.959964
_OUTSIDE_PERCENT = 2.5
_DRAWS, _MOST_DRAWN_GAPS = 2000, 2000
_SEED = 20_260
"""Of the draws that an interval is read off: the same interval for the same load."""


@dataclass(frozen=True)
class Realised:
    """An arrival process as it was.

    Attributes:
        requests_per_s: arrivals after the first over the time that they took [requests/s]; None where there is none.
        cv: coefficient of variation of the gaps; None below two gaps.
    """

    requests_per_s: float | None
    cv: float | None


def realised(arrival_s: Array) -> Realised:
    """Rate and burstiness of arrivals.

    Args:
        arrival_s: in any order [s], shape (n,).

    Example:
        >>> realised(np.array([0.0, 1.0, 4.0]))
        Realised(requests_per_s=0.5, cv=0.7071067811865476)
    """
    gaps_s = np.diff(np.sort(arrival_s))
    span_s = float(gaps_s.sum())
    if span_s <= 0:
        return Realised(None, None)
    cv = float(gaps_s.std(ddof=1) / gaps_s.mean()) if gaps_s.size > 1 else None
    return Realised(gaps_s.size / span_s, cv)


def rate_interval(rate_per_s: float, squared_cv: float, gaps: int) -> Interval | None:
    """Where 95 of 100 realised rates lie [requests/s].

    The mean of gaps that are gamma-distributed is so itself; its quantiles by Wilson and Hilferty's cube.

    Args:
        rate_per_s: mean rate of the process [requests/s], > 0.
        squared_cv: squared coefficient of variation of its gaps; 1 for Poisson.
        gaps: how many it was realised over.

    Returns:
        None where chance has no part in it, or there are too few gaps.

    Example:
        For Poisson arrivals close to rate · (1 ± 1.96/√gaps):

        >>> [round(bound, 2) for bound in rate_interval(10.0, 1.0, 400)]
        [9.09, 11.06]

    Source: Wilson and Hilferty, "The Distribution of Chi-Square", Proceedings of the National Academy of Sciences 17
    (1931).
    """
    if gaps < 1 or squared_cv <= 0:
        return None
    shape = gaps / squared_cv
    # Of the mean gap over what it is on average:
    low, high = (max(0.0, 1 - 1 / (9 * shape) + z / (3 * np.sqrt(shape))) ** 3 for z in (-_Z, _Z))
    return (float(rate_per_s / high), float(rate_per_s / low)) if low > 0 else None


def cv_interval(squared_cv: float, gaps: int) -> Interval | None:
    """Where 95 of 100 realised coefficients of variation of gamma-distributed gaps lie.

    By drawing such gaps where there are few; where there are many, from the variance of the estimate,
    cv²·(1 + cv²)/(2·gaps).

    Args:
        squared_cv: of the process; 1 for Poisson.
        gaps: how many it was realised over.

    Returns:
        None where chance has no part in it, or there are less than two gaps.

    Example:
        >>> [round(bound, 3) for bound in cv_interval(1.0, 10_000)]
        [0.98, 1.02]
    """
    if gaps < 2 or squared_cv <= 0:
        return None
    if gaps > _MOST_DRAWN_GAPS:
        reach = _Z * np.sqrt((1 + squared_cv) / (2 * gaps))
        cv = np.sqrt(squared_cv)
        return float(cv * (1 - reach)), float(cv * (1 + reach))
    rng, cvs = np.random.default_rng(_SEED), []
    for _ in range(_DRAWS):
        drawn = rng.standard_gamma(1 / squared_cv, gaps)
        if (mean := drawn.mean()) > 0:
            cvs.append(drawn.std(ddof=1) / mean)
    low, high = np.percentile(cvs, [_OUTSIDE_PERCENT, 100 - _OUTSIDE_PERCENT])
    return float(low), float(high)
