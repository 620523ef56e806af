"""Replicas held against the hours of a month: how many are needed, what they hold, how much they work."""

import numpy as np
from numpy.typing import NDArray

from planner.core.capacity import ROUNDING, Capacity
from planner.core.demand import Shape

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


def replicas_needed(capacity: Capacity, shape: Shape, load_per_s: Array, attainment_fraction: float) -> Counts:
    """Fewest replicas such that enough requests fall into hours that hold.

    An hour holds when its mean load is at most what the replicas carry. The busiest hours that may
    miss are the same in every month, so one load level, found once, sizes them all.

    Args:
        capacity: what so many replicas carry.
        shape: how hours spread around the mean.
        load_per_s: mean load of each month [requests/s], any shape, >= 0.
        attainment_fraction: share of requests that must be in hours that hold, above 0 up to 1.

    Returns:
        Replicas of each month, shaped as the loads.

    Raises:
        InputError: more than 10,000 replicas would be needed, or a load is negative or not finite.

    Example:
        A tenth of the hours at five times the mean hold half of all requests:

        >>> shape, capacity = Shape(np.array([0.5556, 5.0]), np.array([0.9, 0.1])), Capacity.per_replica(3.0)
        >>> [int(replicas_needed(capacity, shape, np.array([6.0]), share)[0]) for share in (0.99, 0.5)]
        [10, 2]
    """
    return capacity.replicas_for(sizing_load(shape, attainment_fraction) * load_per_s)


def sizing_load(shape: Shape, attainment_fraction: float) -> float:
    """Load over the mean that replicas must carry for enough requests to fall into hours that hold.

    Args:
        shape: how hours spread around the mean.
        attainment_fraction: share of requests that must be in hours that hold, above 0 up to 1.

    Example:
        >>> sizing_load(Shape(np.array([0.5556, 5.0]), np.array([0.9, 0.1])), 0.5)
        0.5556
    """
    by_load = np.argsort(shape.relative_load)
    load = shape.relative_load[by_load]
    requests_fraction = np.cumsum(load * shape.hours_fraction[by_load])
    return float(load[np.searchsorted(requests_fraction, attainment_fraction * (1 - ROUNDING))])


def attainment_fraction(capacity: Capacity, shape: Shape, load_per_s: Array, replicas: Counts) -> Array:
    """Share of each month's requests that are in hours that hold, shape (months,).

    Args:
        capacity: what so many replicas carry.
        shape: how hours spread around the mean.
        load_per_s: mean load of each month [requests/s], shape (months,).
        replicas: replicas that carry the load, shape (months,).

    Example:
        >>> shape, capacity = Shape(np.array([0.5, 1.5]), np.array([0.5, 0.5])), Capacity.per_replica(3.0)
        >>> attainment_fraction(capacity, shape, np.array([6.0]), np.array([2])).tolist()
        [0.25]
    """
    hourly = np.outer(load_per_s, shape.relative_load)
    holds = hourly * (1 - ROUNDING) <= capacity.of(replicas)[:, np.newaxis]
    # A sum over hours may end a rounding error beside 1.
    return np.asarray(np.round(holds @ (shape.relative_load * shape.hours_fraction), 12))


def worked_replicas(shape: Shape, mean_load_replicas: Array, replicas: Counts) -> Array:
    """Mean number of replicas at work, E[min(load, replicas)], for each pair of month and count.

    Args:
        shape: how hours spread around the mean.
        mean_load_replicas: mean load of each month where so many serve [replicas], shape (months, counts).
        replicas: counts to look at, shape (months, counts), or (counts,) for the same in every month.

    Returns:
        Replicas at work on average over the month's hours [replicas], shape (months, counts).

    Example:
        Hours at loads of 1 and 3 replicas; two replicas work 1 and 2 of the time:

        >>> shape = Shape(np.array([0.5, 1.5]), np.array([0.5, 0.5]))
        >>> worked_replicas(shape, np.array([[2.0, 2.0, 2.0]]), np.array([0, 2, 3])).tolist()
        [[0.0, 1.5, 2.0]]
    """
    by_load = np.argsort(shape.relative_load)
    load, fraction = shape.relative_load[by_load], shape.hours_fraction[by_load]
    # Prefix sums over hours in order of load make each count one look-up instead of a pass over all hours.
    load_below = np.concatenate(([0.0], np.cumsum(load * fraction)))
    hours_above = np.concatenate((np.cumsum(fraction[::-1])[::-1], [0.0]))
    # Where the mean is 0, every hour lies below any count.
    relative = np.full(mean_load_replicas.shape, np.inf)
    with np.errstate(over="ignore"):  # next to no load: infinitely many times its mean is right
        np.divide(replicas, mean_load_replicas, out=relative, where=mean_load_replicas > 0)
    below = np.searchsorted(load, relative)
    return np.asarray(load_below[below] * mean_load_replicas + hours_above[below] * replicas)
