"""Where something changes along a line: look at places in turn, then halve the interval."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

_PRECISION = 1e-7
"""Relative width at which an interval is as good as a point."""
_FIRST_PRICE_STEP, _EVEN_PRICE_STEPS_TO, _WIDE_PRICE_STEPS = 0.04, 0.7, 10


def first_on_path(is_new: Callable[[float], bool], path: Sequence[float]) -> float | None:
    """The first value at which a condition holds, along a path whose first value lacks it.

    Args:
        is_new: the condition.
        path: positive values, rising or falling; between two of them the condition is taken to change once.

    Returns:
        A value at which the condition holds, within a ten-millionth of one at which it doesn't; None where it
        holds nowhere on the path.

    Example:
        >>> round(first_on_path(lambda value: value > 5, [1.0, 4.0, 8.0]), 5)
        5.0
        >>> first_on_path(lambda value: value > 5, [4.0, 2.0]) is None
        True
    """
    for inside, outside in itertools.pairwise(path):
        if is_new(outside):
            return closest(is_new, inside, outside)
    return None


def closest(is_new: Callable[[float], bool], inside: float, outside: float) -> float:
    """A value at which a condition holds, within a ten-millionth of one at which it doesn't.

    Args:
        is_new: the condition; it does not hold at `inside` and holds at `outside`.
        inside: a positive value.
        outside: a positive value, above or below.
    """
    while abs(math.log(outside / inside)) > _PRECISION:
        middle = math.sqrt(inside * outside)
        if is_new(middle):
            outside = middle
        else:
            inside = middle
    return outside


def price_factors(upward: bool, most: float) -> list[float]:
    """What prices are multiplied by, from 1 outward, in steps of 4 % at first and wider ones beyond a doubling.

    Args:
        upward: whether prices rise.
        most: the last factor where they rise; where they fall, one over it. Above 2.1.

    Example:
        >>> [round(factor, 4) for factor in price_factors(False, 10.0)[:3]], round(price_factors(True, 1e3)[-1])
        ([1.0, 0.96, 0.9216], 1000)
    """
    steps = -math.log(1 - _FIRST_PRICE_STEP)
    even = np.arange(0.0, _EVEN_PRICE_STEPS_TO, steps)
    wide = np.geomspace(_EVEN_PRICE_STEPS_TO, math.log(most), _WIDE_PRICE_STEPS)
    logs = np.concatenate([even, wide])
    return [float(factor) for factor in np.exp(logs if upward else -logs)]
