"""What a histogram of counts by bucket knows of a quantile: the bucket it lies in."""

from collections.abc import Mapping
from math import inf


def difference(before: Mapping[float, float], after: Mapping[float, float]) -> dict[float, float]:
    """A cumulative histogram of what came between two looks at one that only grows.

    Args:
        before: how many values were at most each upper edge, ascending, the last infinite.
        after: the same, later.

    Example:
        >>> difference({1.0: 2.0, inf: 2.0}, {1.0: 3.0, inf: 7.0})
        {1.0: 1.0, inf: 5.0}
    """
    return {edge: max(0.0, count - before.get(edge, 0.0)) for edge, count in after.items()}


def quantile_bucket(cumulative: Mapping[float, float], fraction: float) -> tuple[float, float | None] | None:
    """The edges between which a quantile lies: of n values, the one of rank ceil(fraction · n).

    Where in between, nobody knows; to interpolate, as Prometheus does, takes values for evenly spread in their bucket.

    Args:
        cumulative: how many values were at most each upper edge, ascending.
        fraction: which quantile, above 0 and at most 1.

    Returns:
        Lower and upper edge, the lower not included; an upper one of None is infinite. None where there is no value.

    Example:
        >>> counts = {0.1: 2.0, 0.25: 9.0, inf: 10.0}
        >>> quantile_bucket(counts, 0.5), quantile_bucket(counts, 0.99), quantile_bucket({0.1: 0.0, inf: 0.0}, 0.5)
        ((0.1, 0.25), (0.25, None), None)
    """
    total = max(cumulative.values(), default=0.0)
    if total <= 0:
        return None
    lower = 0.0
    for edge, count in cumulative.items():
        if count >= fraction * total:
            return lower, None if edge == inf else edge
        lower = max(0.0, edge)
    return lower, None
