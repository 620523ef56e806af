"""Whether two samples of measurements differ: the ratio of a figure of theirs, with its doubt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Figure = Callable[[Array], Array]
"""From samples of shape (resamples, n) to a figure of each, shape (resamples,)."""
Finding = Literal["higher", "lower", "equal", "unclear"]

RESAMPLES = 2000
CONFIDENCE = 0.95
EQUAL_FRACTION = 0.05
"""Figures whose ratio lies surely within so much of 1 are equal for every purpose of a plan."""
_MOST_CELLS = 2_000_000
"""Values that are resampled at once: 16 MB."""


@dataclass(frozen=True)
class Ratio:
    """The second sample's figure over the first one's.

    Attributes:
        value: of the samples themselves; infinite or NaN where the first one's is 0.
        low, high: ends of its 95 % interval.
        finding: higher or lower, where an interval that allows for all comparisons leaves out 1; equal, where it lies
            within 5 % of 1; else unclear.
    """

    value: float
    low: float
    high: float
    finding: Finding


class Resampled(Protocol):
    """A sample whose figure can be had of any choice of its entries."""

    @property
    def parts(self) -> tuple[int, ...]:
        """How many entries each of the measurements has that it is put together of, in their order."""

    def __len__(self) -> int:
        """How many entries it has."""

    def figures(self, places: Ints) -> Array:
        """The figure of each choice, shape (resamples,).

        Args:
            places: of the entries of each choice, the same one as often as it was drawn, shape (resamples, n).
        """


@dataclass(frozen=True)
class Values:
    """Numbers, shape (n,), and a figure of them.

    Attributes:
        values: in the order in which they were measured, shape (n,).
        figure: of a choice of them.
        repeats: how many of them are of each measurement, in their order; empty where there was one.

    Example:
        >>> joined = Values.joined([np.array([1.0, 2.0]), np.array([6.0])], mean)
        >>> figure_of(joined), joined.parts
        (3.0, (2, 1))
    """

    values: Array
    figure: Figure
    repeats: tuple[int, ...] = ()

    @classmethod
    def joined(cls, repeats: Sequence[Array], figure: Figure) -> "Values":
        """One sample of what was measured several times."""
        return cls(np.concatenate(repeats), figure, tuple(part.size for part in repeats))

    @property
    def parts(self) -> tuple[int, ...]:
        """How many values each measurement has."""
        return self.repeats or (len(self),)

    def __len__(self) -> int:
        return int(self.values.size)

    def figures(self, places: Ints) -> Array:
        """The figure of each choice, shape (resamples,)."""
        return self.figure(self.values[places])


def percentile(fraction: float) -> Figure:
    """A percentile of each sample.

    Example:
        >>> percentile(0.5)(np.array([[1.0, 2.0, 9.0]])).tolist()
        [2.0]
    """
    return lambda samples: np.asarray(np.quantile(samples, fraction, axis=1))


def mean(samples: Array) -> Array:
    """The mean of each sample."""
    return np.asarray(samples.mean(axis=1))


def ratio(first: Array, second: Array, figure: Figure, comparisons: int = 1, seed: int = 0) -> Ratio:
    """How the second sample's figure compares with the first one's, as `ratio_of` has it.

    Args:
        first: values in the order in which they were measured, shape (n,), n >= 1.
        second: likewise, shape (m,), m >= 1.
        figure: what is compared.
        comparisons: how many are made side by side.
        seed: of the resampling.

    Example:
        >>> first = np.linspace(1.0, 2.0, 400)
        >>> found = ratio(first, 3 * first, percentile(0.5))
        >>> round(found.value, 3), found.finding
        (3.0, 'higher')
    """
    return ratio_of(Values(first, figure), Values(second, figure), comparisons, seed)


def ratio_of(first: Resampled, second: Resampled, comparisons: int = 1, seed: int = 0) -> Ratio:
    """How the second sample's figure compares with the first one's.

    Intervals are percentiles of a moving-block bootstrap: neighbours are drawn together, since requests that shared a
    queue are alike. Blocks are as long as the cube root of the sample, and lie within one measurement where that is
    long enough for one. The finding takes a wider interval, which leaves 5 % of doubt to all comparisons together
    (Bonferroni): wider by as much as that of a normal distribution would be.

    Args:
        first: entries in the order in which they were measured, at least one.
        second: likewise.
        comparisons: how many are made side by side.
        seed: of the resampling.

    Source: Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", Annals of Statistics 17
    (1989); Hall, Horowitz and Jing, "On Blocking Rules for the Bootstrap", Biometrika 82 (1995), for the length.
    """
    rng = np.random.default_rng(seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = figure_of(second) / np.float64(figure_of(first))
        ratios = _resampled(second, rng) / _resampled(first, rng)
    outside = (1 - CONFIDENCE) / 2
    low, high = (float(end) for end in np.quantile(ratios, [outside, 1 - outside]))
    wider = float(ndtri(outside / comparisons) / ndtri(outside))
    return Ratio(float(value), low, high, finding(value - wider * (value - low), value + wider * (high - value)))


def figure_of(sample: Resampled) -> float:
    """The figure of a sample as it is."""
    return float(sample.figures(np.arange(len(sample))[np.newaxis])[0])


def finding(low: float, high: float) -> Finding:
    """What an interval of a ratio tells.

    Example:
        >>> finding(1.02, 1.2), finding(0.97, 1.04), finding(0.97, 1.2)
        ('higher', 'equal', 'unclear')
    """
    if not (np.isfinite(low) and np.isfinite(high)):
        return "unclear"
    if low >= 1 - EQUAL_FRACTION and high <= 1 + EQUAL_FRACTION:
        return "equal"
    if low > 1:
        return "higher"
    return "lower" if high < 1 else "unclear"


def _resampled(sample: Resampled, rng: np.random.Generator) -> Array:
    """The figure of each resample, shape (RESAMPLES,)."""
    size = len(sample)
    length = max(1, round(size ** (1 / 3)))
    blocks = -(-size // length)
    within = np.arange(length)
    allowed = _starts(sample.parts, length)
    found = []
    at_once = max(1, _MOST_CELLS // size)
    for begin in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - begin)
        starts = allowed[rng.integers(0, allowed.size, (count, blocks, 1))]
        places = (starts + within).reshape(count, -1)[:, :size]
        found.append(sample.figures(places))
    return np.concatenate(found)


def _starts(parts: Sequence[int], length: int) -> Ints:
    """Where blocks may begin; a measurement that is shorter than a block has one that begins with it."""
    sizes = np.array([part for part in parts if part], dtype=np.int64)
    ends = np.cumsum(sizes)
    ranges = [np.arange(end - size, max(end - size, end - length) + 1) for size, end in zip(sizes, ends, strict=True)]
    return np.unique(np.clip(np.concatenate(ranges), 0, ends[-1] - length))
