"""Level and shape of demand: how many requests each month, and how its hours spread around the mean."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.units import SECONDS_PER_MONTH

Array = NDArray[np.float64]

BUSIEST_HOUR = 14
"""Hour of the day at which a diurnal shape peaks."""


@dataclass(frozen=True)
class Shape:
    """Hourly load over its mean, as a distribution: the order of the hours costs nothing.

    Attributes:
        relative_load: load of each kind of hour over the mean hour, shape (kinds,); mean 1 when weighted.
        hours_fraction: share of a month's hours of each kind, shape (kinds,); sums to 1.
    """

    relative_load: Array
    hours_fraction: Array


@dataclass(frozen=True)
class Workload:
    """Requests of each month, and the shape that every month has.

    Attributes:
        requests: requests of months 1…H [requests/month], shape (months,).
        shape: how a month's hours spread.
        growth: requests of each month over those of month 1, shape (months,); only needed where there are no
            requests now, and another level is asked about. Left out: flat.
    """

    requests: Array
    shape: Shape
    growth: Array | None = None

    @property
    def mean_load_per_s(self) -> Array:
        """Mean load of each month [requests/s], shape (months,)."""
        return self.requests / SECONDS_PER_MONTH

    def at_level(self, requests_per_month: float) -> Self:
        """The same growth and shape with another volume in month 1 [requests/month].

        Example:
            >>> Workload(np.array([100.0, 150.0]), steady()).at_level(10.0).requests.tolist()
            [10.0, 15.0]
        """
        if self.requests[0] > 0:
            return replace(self, requests=self.requests * (requests_per_month / self.requests[0]))
        growth = np.ones(self.requests.size) if self.growth is None else self.growth
        return replace(self, requests=growth * requests_per_month)


def steady() -> Shape:
    """Every hour at the mean."""
    return Shape(np.ones(1), np.ones(1))


def diurnal(peak_to_mean: float) -> Shape:
    """A day whose load is proportional to exp(κ·cos(2π(hour − 14)/24)).

    Args:
        peak_to_mean: busiest hour over mean hour, at least 1 and below 24; it fixes κ.

    Raises:
        InputError: peak_to_mean is out of range.

    Example:
        >>> shape = diurnal(2.0)
        >>> round(float(shape.relative_load[14]), 9), round(float(shape.relative_load.mean()), 9)
        (2.0, 1.0)

    Source: the von Mises density, the normal distribution of angles.
    """
    if not 1 <= peak_to_mean < 24:
        raise InputError("peak_to_mean", f"must be at least 1 and below 24, given {peak_to_mean:g}")
    from scipy.optimize import brentq  # noqa: PLC0415 - a third of a second, which other shapes need not pay

    cosine = np.cos(2 * np.pi * (np.arange(24) - BUSIEST_HOUR) / 24)

    def day(kappa: float) -> Array:
        load = np.exp(kappa * (cosine - 1))  # over its peak, so that no kappa overflows
        return np.asarray(load / load.mean())

    def excess(kappa: float) -> float:
        return float(day(kappa)[BUSIEST_HOUR]) - peak_to_mean

    # With κ this large the busiest hour has the whole day but for rounding errors.
    sharpest = 1000.0
    if peak_to_mean == 1:
        kappa = 0.0
    elif excess(sharpest) <= 0:
        kappa = sharpest
    else:
        kappa = float(brentq(excess, 0.0, sharpest, xtol=1e-13, rtol=1e-14))
    return Shape(day(kappa), np.full(24, 1 / 24))


def bursty(peak_to_mean: float, burst_hours_fraction: float) -> Shape:
    """Some hours at a peak, the others equal, the mean kept.

    Args:
        peak_to_mean: load of a burst hour over the mean hour, at least 1.
        burst_hours_fraction: share of the hours that are bursts, above 0 and below 1.

    Raises:
        InputError: a value is out of range, or the bursts alone exceed the mean.

    Example:
        >>> bursty(5.0, 0.1).relative_load.round(4).tolist()
        [0.5556, 5.0]
    """
    if not 0 < burst_hours_fraction < 1 or peak_to_mean < 1 or peak_to_mean * burst_hours_fraction > 1:
        raise InputError("peak_to_mean", "must be at least 1, and at most 1 when multiplied by burst_hours_fraction")
    quiet = (1 - peak_to_mean * burst_hours_fraction) / (1 - burst_hours_fraction)
    return Shape(np.array([max(quiet, 0.0), peak_to_mean]), np.array([1 - burst_hours_fraction, burst_hours_fraction]))


def observed(requests_per_hour: Array, hours: Array) -> Shape:
    """The shape of a history.

    Args:
        requests_per_hour: observed rates [requests/h], shape (bins,).
        hours: observed length of each bin [h], shape (bins,).

    Raises:
        InputError: no bin, or no request in any of them.

    Example:
        >>> observed(np.array([10.0, 30.0]), np.array([1.0, 1.0])).relative_load.tolist()
        [0.5, 1.5]
    """
    if requests_per_hour.size == 0 or requests_per_hour.sum() <= 0:
        raise InputError("history", "must hold at least one request")
    hours_fraction = hours / hours.sum()
    mean = float(requests_per_hour @ hours_fraction)
    return Shape(requests_per_hour / mean, hours_fraction)


def growth_factors(growth_fraction: float, periods_per_compounding: int, months: int) -> Array:
    """Compound growth at months 1…H, with month 1 at 1, shape (months,).

    Args:
        growth_fraction: growth over `periods_per_compounding` months [fraction].
        periods_per_compounding: 1 for growth per month, 12 for growth per year [months].
        months: the horizon H [months].

    Example:
        >>> growth_factors(0.21, 12, 25)[[0, 12, 24]].round(6).tolist()
        [1.0, 1.21, 1.4641]
    """
    return np.asarray((1 + growth_fraction) ** (np.arange(months) / periods_per_compounding))
