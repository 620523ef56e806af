"""What so many replicas carry, and how many a load needs: two sides of one curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.capacity import MOST_REPLICAS, Capacity
from planner.errors import InputError

# What 1, 2, … replicas carry, each adding something to those before.
STEPS_PER_S = st.lists(st.floats(0.01, 100.0), min_size=1, max_size=16)


@pytest.mark.parametrize(
    ("replicas", "requests_per_s"),
    # Known at 1, 2, 4 and 8: halfway from 9 to 20 at 3, a quarter of the way from 20 to 44 at 5. Beyond 8, the 5.5 of
    # each of eight.
    [(0, 0.0), (1, 4.0), (2, 9.0), (3, 14.5), (4, 20.0), (5, 26.0), (8, 44.0), (9, 49.5), (16, 88.0)],
)
def test_known_counts_are_kept_and_others_lie_between(replicas: int, requests_per_s: float) -> None:
    capacity = Capacity.known_at([1, 2, 4, 8], [4.0, 9.0, 20.0, 44.0])
    assert capacity.of(np.array(replicas)) == pytest.approx(requests_per_s)
    assert capacity.replicas_for(np.array(requests_per_s)) == replicas
    assert capacity.replicas_for(np.array(requests_per_s + 0.001)) == replicas + 1


def test_stated_capacity_is_a_multiple_of_one() -> None:
    capacity = Capacity.per_replica(0.1)
    assert capacity.of(np.array([0, 1, 3, 1000])).tolist() == [0.0, 0.1, 3 * 0.1, 1000 * 0.1]
    assert capacity.each(np.array([0, 1, 3, 1000])).tolist() == [0.1] * 4


def test_counts_and_loads_of_any_shape() -> None:
    capacity = Capacity.known_at([1, 2], [4.0, 10.0])
    assert capacity.of(np.array([[0, 1], [2, 4]])).tolist() == [[0.0, 4.0], [10.0, 20.0]]
    assert capacity.replicas_for(np.array([[0.0, 3.0], [5.0, 15.5]])).tolist() == [[0, 1], [2, 4]]
    assert capacity.load_replicas(np.array([[6.0], [9.0]]), np.array([1, 2])).tolist() == [[1.5, 1.2], [2.25, 1.8]]
    assert capacity.replicas_for(np.empty((0, 2))).shape == (0, 2)


@given(STEPS_PER_S, st.integers(0, 40))
def test_the_load_that_replicas_carry_needs_them_all(steps: list[float], replicas: int) -> None:
    capacity = Capacity.known_at(range(1, len(steps) + 1), np.cumsum(steps))
    assert capacity.replicas_for(capacity.of(np.array(replicas))) == replicas


@given(STEPS_PER_S, st.floats(0.0, 99.0))
def test_fewest_replicas_carry_a_load_and_one_less_does_not(steps: list[float], load: float) -> None:
    capacity = Capacity.known_at(range(1, len(steps) + 1), np.cumsum(steps))
    needed = int(capacity.replicas_for(np.array(load)))
    assert capacity.of(np.array(needed)) >= load * (1 - 1e-8)
    assert needed == 0 or capacity.of(np.array(needed - 1)) < load


def test_more_replicas_never_carry_less() -> None:
    # Two that are said to carry 4.9 carry the 5 of one, with the other idle; a load above needs a third.
    capacity = Capacity.known_at([1, 2, 3], [5.0, 4.9, 12.0])
    assert capacity.of(np.array([1, 2, 3])).tolist() == [5.0, 5.0, 12.0]
    assert capacity.replicas_for(np.array([5.0, 5.1])).tolist() == [1, 3]


def test_where_an_idle_replica_misses_no_number_helps() -> None:
    capacity = Capacity.known_at([1, 2, 4], [0.0, 0.0, 0.0])
    assert capacity.is_none
    assert not Capacity.per_replica(1e-9).is_none
    assert capacity.of(np.array([0, 1, 100])).tolist() == [0.0, 0.0, 0.0]
    assert capacity.replicas_for(np.zeros(1)).tolist() == [0]
    with pytest.raises(InputError, match="replicas: no number of them carries a load"):
        capacity.replicas_for(np.array([1e-9]))


@pytest.mark.parametrize(
    ("replicas", "requests_per_s"),
    [([], []), ([2, 4], [1.0, 2.0]), ([1, 1], [1.0, 2.0]), ([1, 2], [0.0, 1.0]), ([1], [-1.0]), ([1], [np.nan])],
    ids=["none", "not from 1", "twice", "only two carry", "negative", "not a number"],
)
def test_what_is_no_capacity_is_refused(replicas: list[int], requests_per_s: list[float]) -> None:
    with pytest.raises(ValueError, match="must"):
        Capacity.known_at(replicas, requests_per_s)


@pytest.mark.parametrize("load", [-1.0, np.nan, np.inf])
def test_impossible_loads_are_refused(load: float) -> None:
    with pytest.raises(InputError, match="load_per_s: the load is no finite number"):
        Capacity.per_replica(1.0).replicas_for(np.array([1.0, load]))


def test_too_many_replicas_are_refused() -> None:
    # Four carry 10, so 10,000 carry 25,000.
    capacity = Capacity.known_at([1, 4], [2.0, 10.0])
    assert capacity.replicas_for(np.array([25_000.0])).tolist() == [MOST_REPLICAS]
    with pytest.raises(InputError, match="replicas: 10,001 would be needed, and 10,000 are the most"):
        capacity.replicas_for(np.array([25_002.0]))
