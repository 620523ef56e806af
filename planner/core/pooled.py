"""Percentiles of values of which each request has many, when requests are drawn and not single values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.core.difference import Array, Ints
from planner.core.quantiles import Counted, order_statistics

_LEVELS, _SPREADS = 200, 8.0
"""So many values near the percentile are told apart, within so many standard deviations of it."""
_MOST_BYTES = 32_000_000
"""Of the counts that a sample keeps; a comparison holds two samples."""
_VALUES_AT_ONCE, _CELLS_AT_ONCE = 1 << 20, 1 << 20
"""Values that are looked up, and counts that are multiplied, at once: 8 MB of each."""


@dataclass(frozen=True)
class PooledPercentile:
    """A percentile of all values together, as a sample of requests: each is drawn with all of its values.

    Values of one request are alike, so that their number would promise more than they tell. Only a few hundred levels
    around the percentile are counted, by request, so that two thousand resamples cost a product of two matrices.

    Two samples and their resampling take some 100 MB beside the values, up to millions of requests; it takes another
    50 bytes a request for a moment to count them. Counts are kept as the smallest whole numbers that hold them, in
    32 MB at most for each sample. Where they need more, as from some 80,000 requests of more than 255 values each on,
    2, 4, 8 … neighbours are one entry and are drawn together. The percentile stays exact. Blocks of the bootstrap then
    begin only at every entry, and are longer.

    Attributes:
        levels: ascending, of the unit of the values, shape (levels,).
        up_to: how many of an entry's values are at most each level, shape (entries, levels).
        counts: how many values each entry has, shape (entries,).
        fraction: of the percentile.
        parts: how many entries each measurement has.
        per_unit: so much of the unit of the values is one of the unit of the figure.
    """

    levels: Ints
    up_to: NDArray[np.unsignedinteger[Any]]
    counts: Ints
    fraction: float
    parts: tuple[int, ...]
    per_unit: float = 1.0

    @classmethod
    def of(
        cls, values: Counted, owners: Ints, requests: Sequence[int], fraction: float, most_bytes: int = _MOST_BYTES
    ) -> "PooledPercentile":
        """Of values and the requests that have them.

        Args:
            values: shape (n,), n >= 1.
            owners: to which request each belongs, from 0 over all measurements, shape (n,).
            requests: how many there are in each measurement; some may have no value.
            fraction: of the percentile.
            most_bytes: of the counts that are kept.

        Example:
            >>> values = np.array([1, 2, 9, 8], dtype=np.uint32)
            >>> sample = PooledPercentile.of(values, np.array([0, 0, 1, 1]), [2], 0.5)
            >>> sample.figures(np.array([[0, 1], [0, 0], [1, 1]])).tolist()
            [2.0, 1.0, 8.0]
        """
        levels = _levels(values, sum(requests), fraction)
        of_request = np.bincount(owners, minlength=sum(requests))
        group = 1
        while True:
            entries, parts = _grouped(requests, group)
            counts = _sums(of_request, entries, sum(parts))
            kind = np.min_scalar_type(int(counts.max()))
            if group >= max(requests) or counts.size * levels.size * kind.itemsize <= most_bytes:
                break
            group *= 2
        up_to = np.zeros((counts.size, levels.size), dtype=kind)
        cells = up_to.reshape(-1)
        one = kind.type(1)
        for begin in range(0, values.size, _VALUES_AT_ONCE):
            block = slice(begin, begin + _VALUES_AT_ONCE)
            level = np.searchsorted(levels, values[block])
            is_near = level < levels.size
            np.add.at(cells, entries[owners[block][is_near]] * levels.size + level[is_near], one)
        np.add.accumulate(up_to, axis=1, dtype=kind, out=up_to)
        return cls(levels, up_to, counts, fraction, parts)

    def per(self, unit: float) -> "PooledPercentile":
        """The same with figures in another unit, of which one is so many of that of the values."""
        return replace(self, per_unit=unit)

    def __len__(self) -> int:
        return int(self.counts.size)

    def figures(self, places: Ints) -> Array:
        """The percentile of each choice of entries, shape (resamples,); NaN where none of them has a value.

        Args:
            places: of the entries of each choice, shape (resamples, n).
        """
        size = len(self)
        rows = np.arange(len(places))[:, np.newaxis] * size
        times = np.bincount((places + rows).ravel(), minlength=len(places) * size).astype(np.float64)
        times = times.reshape(len(places), size)
        wanted = self.fraction * (times @ self.counts)
        reached = np.zeros((len(places), self.levels.size))
        at_once = max(1, _CELLS_AT_ONCE // self.levels.size)
        for begin in range(0, size, at_once):
            block = slice(begin, begin + at_once)
            reached += times[:, block] @ self.up_to[block].astype(np.float64)
        is_reached = reached >= wanted[:, np.newaxis] - 1e-9
        first = np.where(is_reached.any(axis=1), is_reached.argmax(axis=1), self.levels.size - 1)
        return np.where(wanted > 0, self.levels[first] / self.per_unit, np.nan)


def _levels(values: Counted, requests: int, fraction: float) -> Ints:
    """Order statistics where a resample's percentile may lie, as if a request had one value; and the percentile's."""
    spread = _SPREADS * np.sqrt(fraction * (1 - fraction) / max(1, requests))
    shares = np.append(np.clip(np.linspace(fraction - spread, fraction + spread, _LEVELS), 0.0, 1.0), fraction)
    # The smallest value that so large a share of all is at most: the inverse of the empirical distribution.
    ranks = np.clip(np.ceil(shares * values.size - 1e-9) - 1, 0, values.size - 1)
    return np.unique(order_statistics(values, ranks))


def _grouped(requests: Sequence[int], group: int) -> tuple[Ints, tuple[int, ...]]:
    """The entry of each request, where so many neighbours of one measurement make one; and entries by measurement."""
    parts = tuple(-(-size // group) for size in requests)
    begins = np.cumsum(parts) - parts
    entries = [begin + np.arange(size) // group for begin, size in zip(begins, requests, strict=True)]
    return np.concatenate(entries), parts


def _sums(of_request: Ints, entries: Ints, count: int) -> Ints:
    return np.asarray(np.bincount(entries, weights=of_request, minlength=count).astype(np.int64))
