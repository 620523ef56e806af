"""Percentiles of values of which each request has many, when requests are drawn and not single values."""

from dataclasses import dataclass

import numpy as np

from planner.core.difference import Array, Ints

_LEVELS, _SPREADS = 200, 8.0
"""So many values near the percentile are told apart, within so many standard deviations of it."""


@dataclass(frozen=True)
class PooledPercentile:
    """A percentile of all values together, as a sample of requests: each is drawn with all of its values.

    Values of one request are alike, so that their number would promise more than they tell. Only a few hundred levels
    around the percentile are counted, by request, so that a thousand resamples cost a product of two matrices.

    Attributes:
        levels: ascending, shape (levels,).
        up_to: how many of a request's values are at most each level, shape (requests, levels).
        counts: how many values each request has, shape (requests,).
        fraction: of the percentile.
    """

    levels: Array
    up_to: Array
    counts: Array
    fraction: float

    @classmethod
    def of(cls, values: Array, owners: Ints, requests: int, fraction: float) -> "PooledPercentile":
        """Of values and the requests that have them.

        Args:
            values: shape (n,), n >= 1.
            owners: to which request each belongs, from 0, shape (n,).
            requests: how many there are; some may have no value.
            fraction: of the percentile.

        Example:
            >>> sample = PooledPercentile.of(np.array([1.0, 2.0, 9.0, 8.0]), np.array([0, 0, 1, 1]), 2, 0.5)
            >>> sample.figures(np.array([[0, 1], [0, 0], [1, 1]])).tolist()
            [2.0, 1.0, 8.0]
        """
        # Where a resample's percentile may lie, in ranks of all values: as if a request had one value.
        spread = _SPREADS * np.sqrt(fraction * (1 - fraction) / max(1, requests))
        ranks = np.clip(np.linspace(fraction - spread, fraction + spread, _LEVELS), 0.0, 1.0)
        levels = np.unique(np.quantile(values, np.append(ranks, fraction), method="inverted_cdf"))
        below = np.searchsorted(levels, values)
        at = np.bincount(owners * (levels.size + 1) + below, minlength=requests * (levels.size + 1))
        up_to = at.reshape(requests, levels.size + 1)[:, :-1].cumsum(axis=1)
        return cls(levels, up_to.astype(np.float64), np.bincount(owners, minlength=requests).astype(float), fraction)

    def __len__(self) -> int:
        return int(self.counts.size)

    def figures(self, places: Ints) -> Array:
        """The percentile of each choice of requests, shape (resamples,); NaN where none of them has a value.

        Args:
            places: of the requests of each choice, shape (resamples, n).
        """
        size = len(self)
        rows = np.arange(len(places))[:, np.newaxis] * size
        times = np.bincount((places + rows).ravel(), minlength=len(places) * size).reshape(len(places), size)
        wanted = self.fraction * (times @ self.counts)
        is_reached = times @ self.up_to >= wanted[:, np.newaxis] - 1e-9
        first = np.where(is_reached.any(axis=1), is_reached.argmax(axis=1), self.levels.size - 1)
        return np.where(wanted > 0, self.levels[first], np.nan)
