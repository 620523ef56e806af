"""Rates that change: counts and their inverse, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.rates import Rate, Stage
from planner.errors import InputError

INF = float("inf")


def test_counts_by_hand() -> None:
    rate = Rate.of([Stage(2, 2, 30), Stage(0, 0, 10), Stage(4, 8, 20)])
    assert [rate.count(time_s) for time_s in (0, 15, 30, 35, 40, 50, 60, 99)] == [0, 30, 60, 60, 60, 110, 180, 180]
    assert rate.times_s(np.array([0.0, 30.0, 110.0])).tolist() == [0, 15, 50]
    assert rate.times_s(np.array([60.0])).tolist() == [40], "after the pause, not in it"
    assert (rate.mean_per_s(60), rate.mean_per_s(40), rate.first_per_s, rate.is_constant) == (3, 1.5, 2, False)


def test_a_rate_that_is_kept_never_ends() -> None:
    rate = Rate.constant(3.0)
    assert (rate.end_s, rate.mean_per_s(7.0), rate.is_constant, rate.count(10.0)) == (INF, 3.0, True, 30.0)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0.01, 50)), min_size=1, max_size=5),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20),
)
def test_times_are_the_inverse_of_counts(stages: list[tuple[float, float, float]], shares: list[float]) -> None:
    rate = Rate.of([Stage(start + 0.01, end, length) for start, end, length in stages])
    counts = np.sort(shares) * rate.count(rate.end_s)
    times = rate.times_s(counts)
    assert (np.diff(times) >= 0).all()
    assert [rate.count(float(time_s)) for time_s in times] == pytest.approx(counts, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    "stages",
    [
        [Stage(0, 0, 10)],
        [Stage(-1, 2, 10)],
        [Stage(1, INF, 10)],
        [Stage(1, float("nan"), 10)],
        [Stage(1, 1, 0)],
        [Stage(1, 2, INF)],
        [Stage(1, 1, INF), Stage(1, 1, 1)],
    ],
)
def test_rates_that_cannot_be_are_refused(stages: list[Stage]) -> None:
    with pytest.raises(InputError, match="rate"):
        Rate.of(stages)
