"""Percentiles of pooled values, whose doubt is that of the requests that have them."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

from planner.core.difference import figure_of, ratio_of
from planner.core.pooled import PooledPercentile
from planner.core.quantiles import Counted


def whole(values: ArrayLike) -> Counted:
    return np.rint(np.asarray(values)).astype(np.uint32)


@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.95, 0.99])
def test_the_percentile_of_all_is_numpys(fraction: float) -> None:
    rng = np.random.default_rng(3)
    values, owners = whole(rng.exponential(20_000, 5000)), rng.integers(0, 60, 5000)
    found = figure_of(PooledPercentile.of(values, owners, [60], fraction))
    assert found == np.quantile(values, fraction, method="inverted_cdf")


def test_a_choice_of_requests_has_the_percentile_of_their_values() -> None:
    rng = np.random.default_rng(4)
    values, owners = whole(rng.gamma(4.0, 10_000, 3000)), rng.integers(0, 40, 3000)
    sample = PooledPercentile.of(values, owners, [40], 0.9)
    places = rng.integers(0, 40, (50, 40))
    truth = [
        np.quantile(np.concatenate([values[owners == place] for place in choice]), 0.9, method="inverted_cdf")
        for choice in places
    ]
    assert sample.figures(places) == pytest.approx(truth, rel=0.01)


def test_requests_without_values_count_nothing_and_a_choice_of_them_alone_has_no_figure() -> None:
    sample = PooledPercentile.of(whole([1, 2, 3]), np.array([1, 1, 1]), [2], 0.5)
    assert figure_of(sample) == 2.0
    assert np.isnan(sample.figures(np.array([[0, 0]]))).all()


def test_counts_take_no_more_than_they_may_and_the_percentile_stays_exact() -> None:
    rng = np.random.default_rng(8)
    values, owners = whole(rng.exponential(20_000, 90_000)), np.repeat(np.arange(3000), 30)
    wide = PooledPercentile.of(values, owners, [1001, 1999], 0.95)
    assert (len(wide), wide.parts, wide.up_to.dtype) == (3000, (1001, 1999), np.uint8)
    for most_bytes in (100_000, 10_000, 1000):
        sample = PooledPercentile.of(values, owners, [1001, 1999], 0.95, most_bytes)
        assert sample.up_to.nbytes <= most_bytes
        assert sum(sample.parts) == len(sample) == len(sample.up_to)
        assert figure_of(sample) == figure_of(wide)
        # The last entry of the first measurement holds none of the second one's requests.
        assert sample.counts[: sample.parts[0]].sum() == 30 * 1001


def test_entries_of_neighbours_have_the_interval_of_single_requests() -> None:
    rng = np.random.default_rng(9)
    owners = np.repeat(np.arange(4000), 10)
    values = whole(np.exp(0.3 * rng.standard_normal(4000))[owners] * rng.gamma(20.0, 1000, owners.size))
    spreads = []
    for most_bytes in (10_000_000, 200_000):
        found = ratio_of(*(PooledPercentile.of(values, owners, [4000], 0.5, most_bytes) for _ in range(2)))
        spreads.append(found.high - found.low)
    assert spreads[1] == pytest.approx(spreads[0], rel=0.15)


def test_many_values_of_a_request_are_counted_in_wider_numbers() -> None:
    sample = PooledPercentile.of(whole(np.arange(70_000)), np.zeros(70_000, dtype=np.int64), [1], 0.5)
    assert sample.up_to.dtype == np.uint32
    assert figure_of(sample) == 34_999
    assert figure_of(sample.per(1000.0)) == pytest.approx(34.999)


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [0.5, 0.95])
def test_interval_allows_for_values_of_a_request_that_are_alike(fraction: float) -> None:
    """Each request has its own pace, so that 200 requests of 50 gaps know little more than 200 gaps would."""
    rng, trials, held = np.random.default_rng(6), 120, 0
    owners = np.repeat(np.arange(200), 50)

    def drawn(factor: float = 1.0) -> Counted:
        return whole(factor * np.exp(0.5 * rng.standard_normal(200))[owners] * rng.gamma(20.0, 5000, owners.size))

    for _ in range(trials):
        first, second = drawn(), drawn(1.2)
        pair = [PooledPercentile.of(values, owners, [200], fraction) for values in (first, second)]
        found = ratio_of(*pair)
        held += found.low <= 1.2 <= found.high
    # Of 120 at 95 %, 99.9 % of binomials hold 106 or more; percentiles of so few requests lose a few.
    assert held >= 102
