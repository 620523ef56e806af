"""When requests arrive: renewal processes drawn from one generator, never rescaled to hit a rate exactly."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError

Array = NDArray[np.float64]
Process = Literal["poisson", "constant", "gamma"]

MOST_ARRIVALS = 50_000_000
"""More fit no memory: 400 MB of times alone."""
_SHARE_BEYOND = 1.05
"""Of the gaps that a duration needs on average, how many are drawn at once."""


def arrivals_by_count(
    process: Process, rate_per_s: float, requests: int, rng: np.random.Generator, squared_cv: float = 1.0
) -> Array:
    """Times of a number of arrivals [s], ascending, shape (requests,).

    A constant process arrives at 0 first; the others after their first gap.

    Args:
        process: poisson, constant or gamma.
        rate_per_s: mean rate [requests/s], > 0.
        requests: how many [requests], >= 1.
        rng: drawn from, except by a constant process.
        squared_cv: for gamma, the squared coefficient of variation of the gaps, > 0; 1 is a Poisson process,
            more is burstier.

    Raises:
        InputError: an argument is outside its range.

    Example:
        >>> arrivals_by_count("constant", 4.0, 3, np.random.default_rng(1)).tolist()
        [0.0, 0.25, 0.5]
        >>> arrivals_by_count("poisson", 4.0, 3, np.random.default_rng(1)).round(3).tolist()
        [0.268, 0.345, 1.689]
    """
    if not 1 <= requests <= MOST_ARRIVALS:
        raise InputError("requests", f"must lie between 1 and {MOST_ARRIVALS:,}")
    if process == "constant":
        _check(rate_per_s, squared_cv)
        return np.arange(requests) / rate_per_s
    return np.cumsum(_gaps(process, rate_per_s, squared_cv, rng)(requests))


def arrivals_within(
    process: Process, rate_per_s: float, duration_s: float, rng: np.random.Generator, squared_cv: float = 1.0
) -> Array:
    """Times of the arrivals before a time [s], ascending; how many there are is left to chance.

    Args:
        process: poisson, constant or gamma.
        rate_per_s: mean rate [requests/s], > 0.
        duration_s: arrivals at or after it are left out [s], > 0.
        rng: drawn from, except by a constant process.
        squared_cv: for gamma, the squared coefficient of variation of the gaps, > 0.

    Raises:
        InputError: an argument is outside its range.

    Example:
        >>> arrivals_within("constant", 2.0, 1.5, np.random.default_rng(1)).tolist()
        [0.0, 0.5, 1.0]
    """
    if not duration_s > 0 or not rate_per_s * duration_s <= MOST_ARRIVALS / 2:
        raise InputError("duration_s", f"must be above 0, and hold {MOST_ARRIVALS // 2:,} requests on average at most")
    if process == "constant":
        _check(rate_per_s, squared_cv)
        times = np.arange(np.ceil(rate_per_s * duration_s)) / rate_per_s
        return np.asarray(times[times < duration_s])
    draw = _gaps(process, rate_per_s, squared_cv, rng)
    at_once = int(rate_per_s * duration_s * _SHARE_BEYOND) + 16
    times = np.cumsum(draw(at_once))
    while times[-1] < duration_s:
        times = np.concatenate((times, times[-1] + np.cumsum(draw(at_once))))
    return np.asarray(times[times < duration_s])


def _gaps(process: Process, rate_per_s: float, squared_cv: float, rng: np.random.Generator) -> Callable[[int], Array]:
    """Draws gaps [s] whose mean is 1/rate: a gamma of shape 1/cv² has the squared CV cv²."""
    _check(rate_per_s, squared_cv)
    if process == "poisson":
        return lambda count: rng.standard_exponential(count) / rate_per_s
    shape = 1.0 / squared_cv
    return lambda count: rng.standard_gamma(shape, count) / (shape * rate_per_s)


def _check(rate_per_s: float, squared_cv: float) -> None:
    if not 0 < rate_per_s < np.inf:
        raise InputError("rate", "must be above 0")
    if not 0 < squared_cv < np.inf:
        raise InputError("burstiness", "must be above 0; constant arrivals have none")
