"""Order statistics of a series, of which a long one is not sorted: only what lies near those that are asked for."""

import numpy as np

from planner.core.quantiles import Array

_SORTED_AT_ONCE = 1 << 16
"""So few are sorted whole."""
_AT_ONCE = 1 << 20
"""Values that are looked at together, so that no copy is made of all of them."""
_SAMPLE = 1 << 14
_DEVIATIONS, _MORE = 5.0, 3
"""How far from its place in a sample a value of a certain rank may lie, and values of the sample beyond that."""


class Ordered:
    """A series, by rank.

    Values near a rank are those between two of a sample that lie safely on either side of it: three passes over the
    series and a sort of a few percent of it. Where the sample misleads, as it may in a series that repeats itself,
    all is sorted.

    Args:
        values: finite, in any order, shape (n,), n >= 1.

    Example:
        >>> ordered = Ordered(np.array([40.0, 10.0, 30.0, 20.0]))
        >>> ordered.at(0), ordered.quantile(0.5), ordered.quantile(0.9)
        (10.0, 25.0, 37.0)

    Source: Floyd and Rivest, "Expected Time Bounds for Selection", Communications of the ACM 18 (1975).
    """

    def __init__(self, values: Array) -> None:
        self._values = values
        is_short = values.size <= _SORTED_AT_ONCE
        self._sample = np.sort(values if is_short else values[:: values.size // _SAMPLE])
        self._parts: list[tuple[int, Array]] = [(0, self._sample)] if is_short else []

    def at(self, rank: int) -> float:
        """The value at a rank, from 0."""
        for first, part in self._parts:
            if first <= rank < first + part.size:
                return float(part[rank - first])
        first, part = self._near(rank)
        if not first <= rank < first + part.size:
            first, part = 0, np.sort(self._values)
        self._parts.append((first, part))
        return float(part[rank - first])

    def quantile(self, fraction: float) -> float:
        """By linear interpolation between order statistics, as numpy has it by default."""
        place = fraction * (self._values.size - 1)
        before = int(place)
        low, high = self.at(before), self.at(min(before + 1, self._values.size - 1))
        part = place - before  # rounded as numpy rounds
        return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)

    def _near(self, rank: int) -> tuple[int, Array]:
        """Values around a rank in order, and the rank of the first."""
        size = self._sample.size
        share = rank / self._values.size
        reach = _DEVIATIONS * np.sqrt(share * (1 - share) * size) + _MORE
        low, high = int(share * size - reach), int(share * size + reach)
        least = self._sample[low] if low > 0 else -np.inf
        most = self._sample[high] if high < size else np.inf
        below, parts = 0, []
        for start in range(0, self._values.size, _AT_ONCE):
            block = self._values[start : start + _AT_ONCE]
            is_near = block >= least
            below += block.size - int(np.count_nonzero(is_near))
            is_near &= block <= most
            parts.append(block[is_near])
        return below, np.sort(np.concatenate(parts))
