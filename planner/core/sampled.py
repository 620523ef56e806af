"""Means and sums over a time of what was looked at now and then."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def mean_between(time_s: Array, value: Array, from_s: float, until_s: float) -> float:
    """Mean over a time of a quantity that changes in a straight line between looks, and not before and after them.

    Args:
        time_s: of the looks, ascending, at least one, shape (n,) [s].
        value: what was seen, shape (n,).
        from_s: where the time begins [s].
        until_s: where it ends, not before [s].

    Example:
        >>> mean_between(np.array([0.0, 10.0]), np.array([0.0, 100.0]), 5.0, 15.0)
        87.5
    """
    if until_s <= from_s:
        return float(np.interp(from_s, time_s, value))
    inside = (time_s > from_s) & (time_s < until_s)
    times = np.concatenate(([from_s], time_s[inside], [until_s]))
    values = np.interp(times, time_s, value)
    least = values.min()  # or a constant would have a mean beside it, by rounding
    above = values - least
    area = np.sum((above[1:] + above[:-1]) / 2 * np.diff(times))
    return float(least + area / (until_s - from_s))


def rise_between(time_s: Array, counted: Array, from_s: float, until_s: float) -> float:
    """How much a counter rose, by straight lines between looks at it.

    Args:
        time_s: of the looks, ascending, at least one, shape (n,) [s].
        counted: what it stood at, shape (n,).
        from_s: where the time begins [s].
        until_s: where it ends [s].

    Example:
        >>> rise_between(np.array([0.0, 1.0, 3.0]), np.array([50.0, 60.0, 100.0]), 0.5, 2.0)
        25.0
    """
    first, last = np.interp([from_s, until_s], time_s, counted)
    return float(last - first)


def most_between(time_s: Array, value: Array, from_s: float, until_s: float) -> float:
    """The largest of what was seen within a time; where nobody looked within it, of what the lines say of its ends.

    Args:
        time_s: of the looks, ascending, at least one, shape (n,) [s].
        value: what was seen, shape (n,).
        from_s: where the time begins [s].
        until_s: where it ends [s].

    Example:
        >>> most_between(np.array([0.0, 1.0, 9.0]), np.array([5.0, 3.0, 7.0]), 0.5, 2.0)
        3.0
    """
    inside = value[(time_s >= from_s) & (time_s <= until_s)]
    return float(np.max(inside if inside.size else np.interp([from_s, until_s], time_s, value)))
