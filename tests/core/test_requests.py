"""Lengths of requests against scipy's lognormal."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from planner.core.requests import RequestSample, lognormal_lengths
from planner.errors import InputError

# z² = 1.644853627² = 2.705543454; half of it exponentiated is the largest p95 / mean of a lognormal.
LARGEST_P95_TO_MEAN = math.exp(2.705543454 / 2)


def scipy_lognormal(mean: float, p95: float) -> stats.rv_continuous:
    """The lognormal with this mean and p95, found by bisection over σ from the narrow side."""
    low, high = 0.0, 1.6448536
    for _ in range(200):
        sigma = (low + high) / 2
        found = stats.lognorm(s=sigma, scale=mean / math.exp(sigma**2 / 2)).ppf(0.95)
        low, high = (sigma, high) if found < p95 else (low, sigma)
    return stats.lognorm(s=low, scale=mean / math.exp(low**2 / 2))


@pytest.mark.parametrize("p95_to_mean", [1.01, 1.2, 2.0, 2.667, 3.0, 3.5])
def test_lognormal_lengths_follow_scipy(p95_to_mean: float) -> None:
    mean = 1200.0
    expected = scipy_lognormal(mean, mean * p95_to_mean)
    assert expected.mean() == pytest.approx(mean, rel=1e-9)
    assert expected.ppf(0.95) == pytest.approx(mean * p95_to_mean, rel=1e-6)

    lengths = lognormal_lengths(mean, mean * p95_to_mean)
    assert lengths.mean() == pytest.approx(mean, rel=1e-12)
    for probability in (0.05, 0.25, 0.5, 0.75, 0.95, 0.99):
        # The sample is finite, so its far tail is cut and the rest lifted by that much: less than 1 %.
        assert np.quantile(lengths, probability) == pytest.approx(expected.ppf(probability), rel=0.01)


@given(st.floats(1.0, 1e5), st.floats(1.001, 3.86))
def test_lognormal_lengths_hit_mean_and_p95(mean: float, p95_to_mean: float) -> None:
    lengths = lognormal_lengths(mean, mean * p95_to_mean)
    assert lengths.mean() == pytest.approx(mean, rel=1e-9)
    assert np.quantile(lengths, 0.95) == pytest.approx(mean * p95_to_mean, rel=0.01)
    assert np.all(lengths > 0)
    # The narrow root of the two: σ below z, so the median is above mean · exp(-z²/2).
    assert np.median(lengths) > mean / LARGEST_P95_TO_MEAN


@pytest.mark.parametrize(
    ("mean", "p95"),
    [(300.0, None), (300.0, 300.0), (0.0, None), (0.0, 800.0)],
    ids=["no p95", "p95 is mean", "0", "0, p95"],
)
def test_lengths_without_spread_are_one_number(mean: float, p95: float | None) -> None:
    assert lognormal_lengths(mean, p95).tolist() == [mean]


def test_the_widest_spread_is_just_allowed() -> None:
    assert abs(LARGEST_P95_TO_MEAN - 3.8681) < 1e-4
    assert lognormal_lengths(100.0, 386.8).mean() == pytest.approx(100.0, rel=1e-12)
    with pytest.raises(InputError, match=r"p95: must lie between the mean and 3\.868 times the mean"):
        lognormal_lengths(100.0, 387.0)


def test_a_p95_below_the_mean_is_refused() -> None:
    with pytest.raises(InputError, match="p95: must lie between the mean and"):
        lognormal_lengths(100.0, 99.0)


def test_a_share_of_every_prompt_is_cached() -> None:
    sample = RequestSample.of(np.array([1000.0, 3000.0]), np.array([200.0]), 0.25)
    assert sample.cached_input_tokens.tolist() == [250.0, 750.0]
    assert sample.output_tokens.tolist() == [200.0, 200.0]
    assert sample.mean_tokens == 2200.0


def test_cached_tokens_of_each_request() -> None:
    sample = RequestSample.of(np.array([1000.0, 3000.0]), np.array([100.0, 300.0]), np.array([0.0, 2000.0]))
    assert sample.cached_input_tokens.tolist() == [0.0, 2000.0]


def test_lengths_of_different_requests_are_refused() -> None:
    with pytest.raises(InputError, match="tokens: input, cached and output lengths must come from the same requests"):
        RequestSample.of(np.ones(3), np.ones(2), 0.5)
