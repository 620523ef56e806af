"""Bursts: a load that switches at random between two rates, on and off."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError

Array = NDArray[np.float64]

_FIRST_BLOCK, _LARGEST_BLOCK = 64, 65_536
"""Pairs of periods drawn at once: few where few are needed, each block twice the last."""


@dataclass(frozen=True)
class OnOff:
    """Two states whose lengths are exponential; Poisson arrivals in both make a two-state modulated Poisson process.

    Attributes:
        factor: rate while on over the mean rate, above 1, and so that the rate while off is at least 0.
        on_s: mean length of a burst [s], > 0.
        off_s: mean time between bursts [s], > 0.

    Raises:
        InputError: a value is outside its range.

    Example:
        A fifth of the time at four times the mean rate leaves a quarter of it for the rest:

        >>> bursts = OnOff(factor=4.0, on_s=10.0, off_s=40.0)
        >>> bursts.on_fraction, bursts.off_factor
        (0.2, 0.25)

    Source: Fischer and Meier-Hellstern, "The Markov-modulated Poisson process (MMPP) cookbook",
    Performance Evaluation 18 (1993).
    """

    factor: float
    on_s: float
    off_s: float

    def __post_init__(self) -> None:
        for name, value in (("on_s", self.on_s), ("off_s", self.off_s)):
            if not 0 < value < np.inf:
                raise InputError(name, "must be above 0")
        most = (self.on_s + self.off_s) / self.on_s
        if not 1 < self.factor <= most:
            allowed = f"must be above 1 and at most (on_s + off_s) / on_s, here {most:g}, where the rate while off is 0"
            raise InputError("factor", allowed)

    @property
    def on_fraction(self) -> float:
        """Share of the time that is on."""
        return self.on_s / (self.on_s + self.off_s)

    @property
    def off_factor(self) -> float:
        """Rate while off over the mean rate."""
        return max(0.0, (self.on_s + self.off_s - self.factor * self.on_s) / self.off_s)

    def periods(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """Lengths [s] and factors of periods that follow each other, some at a time, without end.

        The first is on as often as any moment is. What is left of an exponential length is as long as a whole one.

        Args:
            rng: drawn from.
        """
        means_s, factors = (self.on_s, self.off_s), (self.factor, self.off_factor)
        if rng.random() >= self.on_fraction:
            means_s, factors = means_s[::-1], factors[::-1]
        pairs = _FIRST_BLOCK
        while True:
            yield rng.standard_exponential(2 * pairs) * np.tile(means_s, pairs), np.tile(factors, pairs)
            pairs = min(2 * pairs, _LARGEST_BLOCK)
