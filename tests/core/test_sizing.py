"""Sizing against brute force over hours."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.capacity import MOST_REPLICAS, Capacity
from planner.core.demand import Shape, bursty, diurnal, steady
from planner.core.sizing import attainment_fraction, replicas_needed, worked_replicas
from planner.errors import InputError

ONE_PER_S = Capacity.per_replica(1.0)

# Hours with whole loads over whole capacities, so that the test decides "at most" without rounding.
WHOLE_HOURS = st.lists(st.integers(0, 40), min_size=1, max_size=24).filter(any)
# What 1, 2, … replicas carry, each adding something or nothing to those before.
CARRIED = st.tuples(st.integers(1, 10), st.lists(st.integers(0, 10), max_size=5)).map(
    lambda first_and_more: list(itertools.accumulate([first_and_more[0], *first_and_more[1]]))
)


def shape_of(loads: list[int]) -> Shape:
    """Equal hours with these loads, over their mean."""
    mean = sum(loads) / len(loads)
    return Shape(np.array(loads) / mean, np.full(len(loads), 1 / len(loads)))


def capacity_of(carried: list[int]) -> Capacity:
    return Capacity.known_at(range(1, len(carried) + 1), carried)


def carried_by(carried: list[int], replicas: int) -> float:
    """Beyond the last of the list, in proportion to it."""
    return [0, *carried][replicas] if replicas <= len(carried) else replicas * carried[-1] / len(carried)


def requests_in_hours_that_hold(loads: list[int], capacity: float) -> int:
    return sum(load for load in loads if load <= capacity + 1e-9)


def fewest(loads: list[int], carried: list[int], attainment_percent: int) -> int:
    replicas = 0
    while requests_in_hours_that_hold(loads, carried_by(carried, replicas)) * 100 < attainment_percent * sum(loads):
        replicas += 1
    return replicas


@given(WHOLE_HOURS, CARRIED, st.integers(1, 100))
def test_fewest_replicas_against_brute_force(loads: list[int], carried: list[int], attainment_percent: int) -> None:
    mean_load = np.array([sum(loads) / len(loads)])
    found = replicas_needed(capacity_of(carried), shape_of(loads), mean_load, attainment_percent / 100)
    assert found.tolist() == [fewest(loads, carried, attainment_percent)]


@given(WHOLE_HOURS, CARRIED, st.lists(st.integers(0, 12), min_size=1, max_size=4))
def test_attainment_and_work_against_a_loop(loads: list[int], carried: list[int], counts: list[int]) -> None:
    capacity, shape, mean_load = capacity_of(carried), shape_of(loads), sum(loads) / len(loads)
    months = np.full(len(counts), mean_load)
    held = [requests_in_hours_that_hold(loads, carried_by(carried, count)) / sum(loads) for count in counts]
    np.testing.assert_allclose(attainment_fraction(capacity, shape, months, np.array(counts)), held, atol=1e-9)

    # So many replicas work for the share of their capacity that an hour asks for.
    worked = [
        sum(count * min(load / carried_by(carried, count), 1) for load in loads) / len(loads) if count else 0.0
        for count in counts
    ]
    found = worked_replicas(shape, capacity.load_replicas(np.array([[mean_load]]), np.array(counts)), np.array(counts))
    np.testing.assert_allclose(found, [worked], rtol=1e-9, atol=1e-12)


@given(WHOLE_HOURS, st.lists(st.floats(0.0, 30.0), min_size=1, max_size=4))
def test_work_in_months_of_different_load(loads: list[int], mean_loads: list[float]) -> None:
    shape, counts = shape_of(loads), np.arange(6)
    found = worked_replicas(shape, np.outer(mean_loads, np.ones(6)), counts)
    for month, mean_load in enumerate(mean_loads):
        hours = [load / (sum(loads) / len(loads)) * mean_load for load in loads]
        expected = [sum(min(hour, count) for hour in hours) / len(hours) for count in counts]
        np.testing.assert_allclose(found[month], expected, rtol=1e-9, atol=1e-12)


def test_work_with_a_count_for_each_month() -> None:
    # Hours at half and at one and a half times the mean; means of 2 and 4, so loads of 1 and 3, then of 2 and 6.
    shape = Shape(np.array([1.5, 0.5]), np.array([0.5, 0.5]))
    found = worked_replicas(shape, np.array([[2.0], [4.0]]), np.array([[2], [5]]))
    assert found.tolist() == [[1.5], [3.5]]


@pytest.mark.parametrize(
    ("load", "expected"),
    [(0.0, 0), (1e-300, 1), (0.999, 1), (1.0, 1), (1.0 + 1e-12, 1), (1.0 + 1e-6, 2), (10.000000000002, 10), (3.0, 3)],
)
def test_a_load_exactly_on_capacity_fits(load: float, expected: int) -> None:
    assert replicas_needed(ONE_PER_S, steady(), np.array([load]), 1.0).tolist() == [expected]
    # What was sized to hold is also counted as holding.
    assert attainment_fraction(ONE_PER_S, steady(), np.array([load]), np.array([expected])).tolist() == [1.0]


def test_no_load_needs_no_replica_and_holds() -> None:
    shape = bursty(10.0, 0.1)
    assert replicas_needed(ONE_PER_S, shape, np.zeros(2), 0.99).tolist() == [0, 0]
    assert attainment_fraction(ONE_PER_S, shape, np.zeros(1), np.zeros(1, dtype=np.int64))[0] == pytest.approx(1.0)
    assert worked_replicas(shape, np.zeros((1, 2)), np.array([0, 3])).tolist() == [[0.0, 0.0]]


def test_full_attainment_is_sized_for_the_busiest_hour() -> None:
    assert replicas_needed(ONE_PER_S, diurnal(2.0), np.array([5.0, 7.25]), 1.0).tolist() == [10, 15]


@pytest.mark.parametrize(
    ("attainment", "expected"),
    # A tenth of the hours at 5 times the mean hold half of the requests; the others are at 5/9 of the mean.
    [(0.51, 10), (0.5, 2), (0.01, 2), (1.0, 10)],
)
def test_bursts_that_may_be_missed_are_not_paid_for(attainment: float, expected: int) -> None:
    assert replicas_needed(ONE_PER_S, bursty(5.0, 0.1), np.array([2.0]), attainment).tolist() == [expected]


@pytest.mark.parametrize("load", [-1.0, np.nan, np.inf])
def test_impossible_loads_are_refused(load: float) -> None:
    with pytest.raises(InputError, match="load_per_s: the load is no finite number"):
        replicas_needed(ONE_PER_S, steady(), np.array([1.0, load]), 0.99)


def test_too_many_replicas_are_refused() -> None:
    assert replicas_needed(ONE_PER_S, steady(), np.array([float(MOST_REPLICAS)]), 0.99).tolist() == [MOST_REPLICAS]
    with pytest.raises(InputError, match=f"replicas: 10,001 would be needed, and {MOST_REPLICAS:,} are the most"):
        replicas_needed(ONE_PER_S, steady(), np.array([MOST_REPLICAS + 1.0]), 0.99)


def test_replicas_that_share_a_queue_are_fewer() -> None:
    # 28 requests/s: seven replicas of 4, and six where four carry 20, not 16: 5 carry 25, and 6 carry 30.
    # Six work 28 thirtieths of the time.
    pooled, alone = Capacity.known_at([1, 2, 4], [4.0, 9.0, 20.0]), Capacity.per_replica(4.0)
    load = np.array([28.0])
    assert replicas_needed(alone, steady(), load, 1.0).tolist() == [7]
    assert replicas_needed(pooled, steady(), load, 1.0).tolist() == [6]
    found = worked_replicas(steady(), pooled.load_replicas(load, np.array([6]))[np.newaxis], np.array([6]))
    assert found.tolist() == [[pytest.approx(6 * 28 / 30)]]
