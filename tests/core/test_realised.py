"""Realised arrivals by hand, and the intervals of chance against scipy and repetition."""

import numpy as np
import pytest
from scipy import stats

from planner.core.realised import Realised, cv_interval, rate_interval, realised


def test_rate_and_burstiness_by_hand() -> None:
    # Gaps 1, 1, 4: mean 2, standard deviation √3.
    assert realised(np.array([6.0, 0.0, 2.0, 1.0])) == Realised(0.5, pytest.approx(np.sqrt(3) / 2))
    assert realised(np.array([3.0, 5.0])) == Realised(0.5, None)
    for nothing in ([], [1.0], [1.0, 1.0]):
        assert realised(np.array(nothing)) == Realised(None, None)


@pytest.mark.parametrize("squared_cv", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("gaps", [50, 99, 499, 10_000])
def test_rate_lies_where_a_gamma_distribution_says(squared_cv: float, gaps: int) -> None:
    mean = stats.gamma(gaps / squared_cv, scale=squared_cv / gaps)
    assert rate_interval(7.0, squared_cv, gaps) == pytest.approx((7 / mean.ppf(0.975), 7 / mean.ppf(0.025)), rel=0.005)


@pytest.mark.parametrize("squared_cv", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("gaps", [20, 200, 3000])
def test_burstiness_lies_inside_as_often_as_it_says(squared_cv: float, gaps: int) -> None:
    low, high = cv_interval(squared_cv, gaps) or (np.inf, -np.inf)
    drawn = np.random.default_rng(7).gamma(1 / squared_cv, size=(2000 if gaps > 200 else 20_000, gaps))
    cv = drawn.std(axis=1, ddof=1) / drawn.mean(axis=1)
    assert 0.93 <= np.mean((low <= cv) & (cv <= high)) <= 0.975


def test_what_is_left_to_no_chance_has_no_interval() -> None:
    assert rate_interval(1.0, 0.0, 100) is cv_interval(0.0, 100) is None
    assert rate_interval(1.0, 1.0, 0) is cv_interval(1.0, 1) is None
    assert rate_interval(1.0, 1000.0, 1) is None
