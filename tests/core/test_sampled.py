"""Quantities that were looked at now and then, and histograms, against numpy on the values themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.histograms import quantile_bucket
from planner.core.sampled import mean_between, most_between, rise_between

FRACTIONS = (0.01, 0.5, 0.9, 0.95, 0.99, 1.0)


@given(st.lists(st.floats(0.001, 200.0), min_size=1, max_size=60))
def test_a_quantile_lies_in_the_bucket_that_is_told(values: list[float]) -> None:
    edges = [0.01, 0.1, 1.0, 10.0, 100.0, np.inf]
    cumulative = {edge: float(sum(value <= edge for value in values)) for edge in edges}
    for fraction in FRACTIONS:
        found = quantile_bucket(cumulative, fraction)
        assert found is not None
        lower, upper = found
        assert lower < np.quantile(values, fraction, method="inverted_cdf") <= (np.inf if upper is None else upper)


def test_means_and_rises_are_those_of_the_lines_drawn_finely() -> None:
    rng = np.random.default_rng(5)
    time_s = np.sort(rng.uniform(0.0, 30.0, 40))
    value = rng.uniform(0.0, 9.0, 40)
    fine_s = np.linspace(3.3, 36.1, 400_001)
    assert mean_between(time_s, value, 3.3, 36.1) == pytest.approx(np.interp(fine_s, time_s, value).mean(), rel=1e-4)
    counted = np.cumsum(value)
    total = sum(rise_between(time_s, counted, from_s, from_s + 4.0) for from_s in range(0, 32, 4))
    assert total == pytest.approx(counted[-1] - counted[0])


def test_one_look_says_the_same_of_every_time() -> None:
    time_s, value = np.array([5.0]), np.array([7.0])
    for from_s, until_s in ((0.0, 3.0), (4.0, 6.0), (5.0, 5.0), (9.0, 10.0)):
        assert mean_between(time_s, value, from_s, until_s) == 7.0
        assert most_between(time_s, value, from_s, until_s) == 7.0
        assert rise_between(time_s, value, from_s, until_s) == 0.0
