"""Rates that change with time, and the clock that they make: arrivals of unit rate are mapped through its inverse."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stage:
    """A part of a load: a rate that is kept, or that grows or falls in a straight line.

    Attributes:
        start_per_s: rate at its start [requests/s], >= 0.
        end_per_s: rate at its end [requests/s], >= 0.
        duration_s: how long it lasts [s], > 0; inf where it never ends, which only a kept rate may.
    """

    start_per_s: float
    end_per_s: float
    duration_s: float


@dataclass(frozen=True, eq=False)
class Rate:
    """A rate over time, in pieces of straight lines with jumps between them, from 0 on.

    Attributes:
        edges_s: where pieces begin, and where the last ends, ascending from 0 [s], shape (pieces + 1,).
        start_per_s: rate at the start of each piece [requests/s], shape (pieces,).
        end_per_s: rate at the end of each piece [requests/s], shape (pieces,).
        reached: arrivals on average up to each edge [requests], shape (pieces + 1,).
    """

    edges_s: Array
    start_per_s: Array
    end_per_s: Array
    reached: Array

    @classmethod
    def of(cls, stages: Sequence[Stage]) -> Self:
        """Stages one after the other.

        Raises:
            InputError: a stage is outside its range, or none has a rate above 0.

        Example:
            >>> rate = Rate.of([Stage(2.0, 2.0, 30.0), Stage(2.0, 8.0, 10.0)])
            >>> rate.end_s, rate.mean_per_s(40.0)
            (40.0, 2.75)
        """
        start, end, lengths_s = (
            np.array([getattr(stage, name) for stage in stages], dtype=np.float64)
            for name in ("start_per_s", "end_per_s", "duration_s")
        )
        rates = np.concatenate((start, end))
        if not (rates >= 0).all() or not np.isfinite(rates).all() or not rates.any():
            raise InputError("rate", "must be at least 0, and above 0 in some stage")
        may_last = (lengths_s < np.inf) | ((start == end) & (start > 0) & (np.arange(start.size) == start.size - 1))
        if not (lengths_s > 0).all() or not may_last.all():
            raise InputError("rate", "stages must last longer than 0 s, and end")
        return cls._of_pieces(np.concatenate(([0.0], np.cumsum(lengths_s))), start, end)

    @classmethod
    def constant(cls, rate_per_s: float) -> Self:
        """One rate [requests/s] without end.

        Raises:
            InputError: it is not above 0.

        Example:
            >>> Rate.constant(4.0).times_s(np.array([0.0, 1.0, 2.0])).tolist()
            [0.0, 0.25, 0.5]
        """
        if not 0 < rate_per_s < np.inf:
            raise InputError("rate", "must be above 0")
        return cls.of([Stage(rate_per_s, rate_per_s, np.inf)])

    @classmethod
    def _of_pieces(cls, edges_s: Array, start_per_s: Array, end_per_s: Array) -> Self:
        passed = (start_per_s + end_per_s) / 2 * np.diff(edges_s)
        return cls(edges_s, start_per_s, end_per_s, np.concatenate(([0.0], np.cumsum(passed))))

    @property
    def end_s(self) -> float:
        """When it ends [s]; inf where it does not."""
        return float(self.edges_s[-1])

    @property
    def first_per_s(self) -> float:
        """The rate that it begins with [requests/s]."""
        return float(self.start_per_s[0])

    @property
    def peak_per_s(self) -> float:
        """The highest rate that it has [requests/s]."""
        return float(max(self.start_per_s.max(), self.end_per_s.max()))

    @property
    def is_constant(self) -> bool:
        """Whether it is the same at all times."""
        return bool((self.start_per_s == self.first_per_s).all() and (self.end_per_s == self.first_per_s).all())

    def count(self, time_s: float) -> float:
        """Arrivals on average before a time [requests], for times from 0 [s]; after the end there are none.

        Example:
            >>> Rate.of([Stage(2.0, 20.0, 60.0)]).count(30.0)
            195.0
        """
        if time_s >= self.end_s:
            return float(self.reached[-1])
        piece = int(np.searchsorted(self.edges_s, time_s, side="right")) - 1
        since_s = time_s - float(self.edges_s[piece])
        between = self.start_per_s[piece] + self._slopes()[piece] * since_s / 2
        return float(self.reached[piece] + between * since_s)

    def mean_per_s(self, duration_s: float) -> float:
        """Mean rate from 0 to a time [requests/s]; of one that never ends, to any time."""
        if self.is_constant:
            return self.first_per_s
        until_s = min(duration_s, self.end_s)
        return self.count(until_s) / until_s

    def times_s(self, counts: Array) -> Array:
        """When so many arrivals are reached on average [s]: the inverse of the cumulative rate.

        Args:
            counts: from 0 to below the count of the end [requests], shape (arrivals,).

        Example:
            A rate that grows from 2 to 20 in a minute has had 195 arrivals after half of it:

            >>> Rate.of([Stage(2.0, 20.0, 60.0)]).times_s(np.array([0.0, 195.0])).tolist()
            [0.0, 30.0]

        Source: on a piece, count = start·t + slope·t²/2; solved in the form that has no difference of like numbers.
        """
        piece = np.searchsorted(self.reached, counts, side="right") - 1
        piece = np.minimum(piece, self.start_per_s.size - 1)
        start, left = self.start_per_s[piece], counts - self.reached[piece]
        root = np.sqrt(np.maximum(start**2 + 2 * self._slopes()[piece] * left, 0.0))
        divisor = start + root
        since_s = np.divide(2 * left, divisor, out=np.zeros_like(left), where=divisor > 0)
        return np.asarray(self.edges_s[piece] + since_s)

    def times(self, lengths_s: Array, factors: Array) -> "Rate":
        """The rate times factors that follow each other, to the end of the shorter of the two.

        Args:
            lengths_s: how long each factor holds [s], > 0, shape (factors,).
            factors: >= 0, shape (factors,).

        Example:
            >>> bursts = Rate.constant(3.0).times(np.array([2.0, 4.0]), np.array([0.0, 1.5]))
            >>> bursts.edges_s.tolist(), bursts.start_per_s.tolist(), bursts.count(6.0)
            ([0.0, 2.0, 6.0], [0.0, 4.5], 18.0)
        """
        changes_s = np.concatenate(([0.0], np.cumsum(lengths_s)))
        edges_s = np.union1d(self.edges_s, changes_s)
        edges_s = edges_s[edges_s <= min(self.end_s, changes_s[-1])]
        begin_s, end_s = edges_s[:-1], edges_s[1:]
        piece = np.searchsorted(self.edges_s, begin_s, side="right") - 1
        factor = factors[np.searchsorted(changes_s, begin_s, side="right") - 1]
        start, slope, since_s = self.start_per_s[piece], self._slopes()[piece], self.edges_s[piece]
        return Rate._of_pieces(
            edges_s, factor * (start + slope * (begin_s - since_s)), factor * (start + slope * (end_s - since_s))
        )

    def _slopes(self) -> Array:
        """Of each piece [requests/s²]; 0 in one without end, whose rate is kept."""
        return np.asarray((self.end_per_s - self.start_per_s) / np.diff(self.edges_s))
