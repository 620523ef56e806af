"""What so many replicas carry within the service level, and how many replicas a load needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import InputError

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

MOST_REPLICAS = 10_000
"""Beyond this a unit is wrong somewhere."""

ROUNDING = 1e-9
"""Relative slack against sums that are off by a rounding error: a load of 10.000000000002 fits two replicas of 5."""


@dataclass(frozen=True)
class Capacity:
    """Load that 0, 1, 2, … replicas carry within the service level.

    Replicas that share a queue carry more than each by itself, so this is no multiple of what one carries.
    Beyond the last count known, each replica is taken to carry what each of so many does.

    Attributes:
        requests_per_s: by the number of replicas, from 0 to the last known [requests/s], shape (last + 1,); starts
            with 0 and never falls. All 0 where even an idle replica misses the service level; else only the first.

    Example:
        >>> pooled = Capacity.known_at([1, 2, 4], [5.0, 12.0, 26.0])
        >>> pooled.of(np.array([0, 2, 3, 8])).tolist(), pooled.replicas_for(np.array([5.0, 12.1, 39.0])).tolist()
        ([0.0, 12.0, 19.0, 52.0], [1, 3, 6])
    """

    requests_per_s: Array

    def __post_init__(self) -> None:
        carried = self.requests_per_s
        if carried.size < 2 or carried[0] != 0 or not np.all(np.isfinite(carried)) or np.any(np.diff(carried) < 0):
            raise ValueError("requests_per_s must start with 0, be finite, and never fall")
        if carried[1] == 0 and not self.is_none:
            raise ValueError("where several replicas carry a load, one must carry some of it")

    @classmethod
    def per_replica(cls, requests_per_s: float) -> "Capacity":
        """N replicas carry N times what one does.

        Args:
            requests_per_s: load that one replica carries within the service level [requests/s].

        Example:
            >>> Capacity.per_replica(5.0).of(np.array([1, 3])).tolist()
            [5.0, 15.0]
        """
        return cls(np.array([0.0, requests_per_s]))

    @classmethod
    def known_at(cls, replicas: ArrayLike, requests_per_s: ArrayLike) -> "Capacity":
        """What so many replicas carry, known at some counts and interpolated in between.

        More replicas never carry less, since one can be left idle: where a value is below one before it, as
        noise may have it, the greater holds.

        Args:
            replicas: counts, ascending from 1, shape (counts,).
            requests_per_s: load that so many carry within the service level [requests/s], shape (counts,).
        """
        known, carried = np.asarray(replicas, dtype=np.int64), np.asarray(requests_per_s, dtype=np.float64)
        if known.size == 0 or known[0] != 1 or np.any(np.diff(known) <= 0) or np.any(carried < 0):
            raise ValueError("counts of replicas must ascend from 1, and what they carry must not be negative")
        rising = np.maximum.accumulate(np.append(0.0, carried))
        by_count = np.interp(np.arange(known[-1] + 1), np.append(0, known), rising)
        return cls(np.maximum.accumulate(by_count))  # once more, since interpolation rounds

    @property
    def is_none(self) -> bool:
        """Whether no number of replicas carries any load, since even an idle one misses the service level."""
        return bool(self.requests_per_s[-1] == 0)

    def each(self, replicas: Counts) -> Array:
        """Load of one replica where so many carry all that they can [requests/s], shaped as the counts.

        Args:
            replicas: counts, any shape; of none, it is that of a single one.
        """
        known = np.minimum(np.maximum(replicas, 1), self.requests_per_s.size - 1)
        return np.asarray(self.requests_per_s[known] / known)

    def of(self, replicas: Counts) -> Array:
        """Load that so many replicas carry [requests/s], shaped as the counts.

        Args:
            replicas: counts, any shape.
        """
        last = self.requests_per_s.size - 1
        known = self.requests_per_s[np.minimum(replicas, last)]
        return np.where(replicas <= last, known, self.each(replicas) * replicas)

    def load_replicas(self, load_per_s: Array, replicas: Counts) -> Array:
        """A load in replicas: how many of those that serve it would keep at work all the time.

        Args:
            load_per_s: [requests/s], any shape.
            replicas: counts that serve, of a shape that goes with it.

        Example:
            >>> Capacity.known_at([1, 2], [5.0, 12.0]).load_replicas(np.array([9.0]), np.array([1, 2])).tolist()
            [1.8, 1.5]
        """
        return np.asarray(load_per_s / self.each(replicas))

    def replicas_for(self, load_per_s: Array | np.float64) -> Counts:
        """Fewest replicas that carry a load, shaped as the loads.

        Args:
            load_per_s: [requests/s], any shape, each >= 0.

        Raises:
            InputError: a load is negative or not finite, or more than 10,000 replicas would be needed.
        """
        load = np.asarray(load_per_s * (1 - ROUNDING))
        highest = float(load.max(initial=0.0))
        if not (highest < np.inf and load.min(initial=0.0) >= 0):
            raise InputError("load_per_s", "the load is no finite number: a unit must be wrong")
        carried = self.requests_per_s
        needed = np.searchsorted(carried, load).astype(np.float64)
        if highest > carried[-1]:
            if self.is_none:
                raise InputError("replicas", "no number of them carries a load: an idle one misses the service level")
            each = carried[-1] / (carried.size - 1)
            needed = np.where(load > carried[-1], np.ceil(load / each), needed)
        if needed.max(initial=0) > MOST_REPLICAS:
            message = f"{needed.max():,.0f} would be needed, and {MOST_REPLICAS:,} are the most: is a unit wrong?"
            raise InputError("replicas", message)
        return np.asarray(needed, dtype=np.int64)
