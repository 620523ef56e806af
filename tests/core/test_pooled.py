"""Percentiles of pooled values, whose doubt is that of the requests that have them."""

import numpy as np
import pytest

from planner.core.difference import figure_of, ratio_of
from planner.core.pooled import PooledPercentile


@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.95, 0.99])
def test_the_percentile_of_all_is_numpys(fraction: float) -> None:
    rng = np.random.default_rng(3)
    values, owners = rng.exponential(0.02, 5000), rng.integers(0, 60, 5000)
    found = figure_of(PooledPercentile.of(values, owners, 60, fraction))
    assert found == np.quantile(values, fraction, method="inverted_cdf")


def test_a_choice_of_requests_has_the_percentile_of_their_values() -> None:
    rng = np.random.default_rng(4)
    values, owners = rng.gamma(4.0, 0.01, 3000), rng.integers(0, 40, 3000)
    sample = PooledPercentile.of(values, owners, 40, 0.9)
    places = rng.integers(0, 40, (50, 40))
    truth = [
        np.quantile(np.concatenate([values[owners == place] for place in choice]), 0.9, method="inverted_cdf")
        for choice in places
    ]
    assert sample.figures(places) == pytest.approx(truth, rel=0.01)


def test_requests_without_values_count_nothing_and_a_choice_of_them_alone_has_no_figure() -> None:
    sample = PooledPercentile.of(np.array([1.0, 2.0, 3.0]), np.array([1, 1, 1]), 2, 0.5)
    assert figure_of(sample) == 2.0
    assert np.isnan(sample.figures(np.array([[0, 0]]))).all()


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [0.5, 0.95])
def test_interval_allows_for_values_of_a_request_that_are_alike(fraction: float) -> None:
    """Each request has its own pace, so that 200 requests of 50 gaps know little more than 200 gaps would."""
    rng, trials, held = np.random.default_rng(6), 120, 0
    owners = np.repeat(np.arange(200), 50)

    def drawn() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.asarray(np.exp(0.5 * rng.standard_normal(200))[owners] * rng.gamma(20.0, 0.05, owners.size))

    for _ in range(trials):
        first, second = drawn(), 1.2 * drawn()
        pair = [PooledPercentile.of(values, owners, 200, fraction) for values in (first, second)]
        found = ratio_of(*pair)
        held += found.low <= 1.2 <= found.high
    # Of 120 at 95 %, 99.9 % of binomials hold 106 or more; percentiles of so few requests lose a few.
    assert held >= 102
