"""When requests arrive: streams of unit rate on the clock of a rate, never rescaled to hit that rate exactly."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from planner.core.bursts import OnOff
from planner.core.rates import Rate
from planner.errors import InputError

Array = NDArray[np.float64]
Process = Literal["poisson", "constant", "gamma"]

MOST_ARRIVALS = 50_000_000
"""More fit no memory: 400 MB of times alone."""
MOST_BURSTS = 1_000_000
"""Pairs of an on and an off period, on average; more of them are no bursts."""
_SHARE_BEYOND = 1.05
"""Of the gaps that a duration needs on average, how many are drawn at once."""


@dataclass(frozen=True)
class Stream:
    """Arrivals: a renewal process of unit rate, run by a clock that goes as fast as the rate is high.

    So a Poisson process at a rate that changes is an inhomogeneous one, and the n-th of constant arrivals comes when
    n are reached on average. Constant arrivals begin at 0; the others after their first gap.

    Attributes:
        process: of the gaps on that clock: exponential (poisson), all alike (constant), or gamma.
        squared_cv: for gamma, the squared coefficient of variation of the gaps, > 0; 1 is a Poisson process, more is
            burstier.
        bursts: switch the rate up and down around its mean; None for none.

    Raises:
        InputError: squared_cv is outside its range.

    Example:
        >>> rng = np.random.default_rng
        >>> Stream("poisson").first(3, Rate.constant(4.0), rng(1)).round(3).tolist()
        [0.268, 0.345, 1.689]
        >>> Stream("constant").within(1.5, Rate.constant(2.0), rng(1)).tolist()
        [0.0, 0.5, 1.0]

    Source: Cinlar, "Introduction to Stochastic Processes" (1975), section 4.7, for the change of clock.
    """

    process: Process = "poisson"
    squared_cv: float = 1.0
    bursts: OnOff | None = None

    def __post_init__(self) -> None:
        if not 0 < self.squared_cv < np.inf:
            raise InputError("burstiness", "must be above 0; constant arrivals have none")

    def first(self, requests: int, rate: Rate, rng: np.random.Generator) -> Array:
        """Times of a number of arrivals [s], ascending, shape (requests,).

        Args:
            requests: how many [requests], >= 1.
            rate: one without end.
            rng: drawn from, except by constant arrivals without bursts.

        Raises:
            InputError: an argument is outside its range.
        """
        if not 1 <= requests <= MOST_ARRIVALS:
            raise InputError("requests", f"must lie between 1 and {MOST_ARRIVALS:,}")
        if rate.end_s < np.inf:
            raise InputError("requests", "a rate that ends lasts for a time, not for a number of requests")
        clock = np.arange(requests, dtype=np.float64) if self.process == "constant" else None
        if self.bursts is None:
            return rate.times_s(np.cumsum(self._gaps(rng)(requests)) if clock is None else clock)
        states_rng, rng = rng.spawn(2)
        clock = np.cumsum(self._gaps(rng)(requests)) if clock is None else clock
        last = float(clock[-1])
        self._check_bursts(last / rate.first_per_s)
        return self._with_bursts(rate, lambda bursts: bursts.reached[-1] > last, states_rng).times_s(clock)

    def within(self, duration_s: float, rate: Rate, rng: np.random.Generator) -> Array:
        """Times of the arrivals before a time [s], ascending; how many there are is left to chance.

        A longer duration begins with the same arrivals, where the rate does.

        Args:
            duration_s: arrivals at or after it are left out [s], > 0.
            rate: of the arrivals; where it ends, they end.
            rng: drawn from, except by constant arrivals without bursts.

        Raises:
            InputError: an argument is outside its range.
        """
        most = MOST_ARRIVALS // 2
        if not duration_s > 0 or not rate.count(duration_s) <= most:
            raise InputError("duration_s", f"must be above 0, and hold {most:,} requests on average at most")
        if self.bursts is not None:
            self._check_bursts(duration_s)
            states_rng, rng = rng.spawn(2)
            until_s = min(duration_s, rate.end_s)
            rate = self._with_bursts(rate, lambda bursts: bursts.end_s >= until_s, states_rng)
        times_s = rate.times_s(self._clock(rate.count(duration_s), rng))
        return np.asarray(times_s[times_s < min(duration_s, rate.end_s)])

    def _clock(self, end: float, rng: np.random.Generator) -> Array:
        """Arrivals of unit rate below an end, ascending."""
        if self.process == "constant":
            clock = np.arange(np.ceil(end), dtype=np.float64)
        else:
            draw, at_once = self._gaps(rng), int(end * _SHARE_BEYOND) + 16
            clock = np.cumsum(draw(at_once))
            while clock[-1] < end:
                clock = np.concatenate((clock, clock[-1] + np.cumsum(draw(at_once))))
        return np.asarray(clock[clock < end])

    def _gaps(self, rng: np.random.Generator) -> Callable[[int], Array]:
        """Draws gaps of mean 1: a gamma of shape 1/cv² has the squared CV cv²."""
        if self.process == "poisson":
            return rng.standard_exponential
        shape = 1.0 / self.squared_cv
        return lambda count: rng.standard_gamma(shape, count) / shape

    def _check_bursts(self, duration_s: float) -> None:
        if self.bursts is not None and duration_s > MOST_BURSTS * (self.bursts.on_s + self.bursts.off_s):
            raise InputError("bursts", f"on_s and off_s are too short: {MOST_BURSTS:,} bursts are the most")

    def _with_bursts(self, rate: Rate, is_enough: Callable[[Rate], bool], rng: np.random.Generator) -> Rate:
        """The rate with bursts drawn, as many as are needed."""
        lengths_s, factors = np.empty(0), np.empty(0)
        for more_s, more in self.bursts.periods(rng) if self.bursts is not None else ():
            lengths_s, factors = np.concatenate((lengths_s, more_s)), np.concatenate((factors, more))
            changing = rate.times(lengths_s, factors)
            if is_enough(changing):
                return changing
        return rate


def arrivals_by_count(
    process: Process, rate_per_s: float, requests: int, rng: np.random.Generator, squared_cv: float = 1.0
) -> Array:
    """Times of a number of arrivals at a rate that is kept [s], ascending, shape (requests,).

    Args:
        process: poisson, constant or gamma.
        rate_per_s: mean rate [requests/s], > 0.
        requests: how many [requests], >= 1.
        rng: drawn from, except by a constant process.
        squared_cv: for gamma, the squared coefficient of variation of the gaps, > 0.

    Raises:
        InputError: an argument is outside its range.

    Example:
        >>> arrivals_by_count("constant", 4.0, 3, np.random.default_rng(1)).tolist()
        [0.0, 0.25, 0.5]
    """
    return Stream(process, squared_cv).first(requests, Rate.constant(rate_per_s), rng)
