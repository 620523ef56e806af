"""Statistics of latencies against scipy and against repetition."""

import numpy as np
import pytest
from scipy import stats

from planner.core.latency import meets_slo, statistics, time_per_output_token
from planner.schema.benchmark import Statistics
from planner.schema.scenario import Slo


def test_percentiles_interpolate_between_order_statistics() -> None:
    found = statistics([4.0, 1.0, 3.0, 2.0])
    # Position (n − 1)·p from the smallest: 1.5, 2.7, 2.85, 2.97.
    assert (found.mean, found.p50) == (2.5, 2.5)
    assert [found.p90, found.p95, found.p99] == pytest.approx([3.7, 3.85, 3.97])


def test_nothing_measured_is_null() -> None:
    assert statistics([]) == Statistics(mean=None, p50=None, p90=None, p95=None, p99=None, ci95_p95=None)


@pytest.mark.parametrize(("size", "has_interval"), [(71, False), (72, True)])
def test_small_samples_have_no_interval(size: int, has_interval: bool) -> None:
    # The largest of n values lies below p95 with a chance of 0.95^n, which passes 2.5 % at n = 72.
    assert (statistics(np.arange(size)).ci95_p95 is not None) is has_interval


def test_interval_of_p95_covers_the_truth_as_often_as_it_says() -> None:
    rng, truth = np.random.default_rng(4), stats.lognorm(s=0.8).ppf(0.95)
    samples = stats.lognorm(s=0.8).rvs((1000, 200), random_state=rng)
    intervals = [statistics(sample).ci95_p95 for sample in samples]
    covered = np.mean([low <= truth <= high for low, high in filter(None, intervals)])
    assert 0.94 <= covered <= 0.99


def test_interval_knows_that_values_of_one_request_are_alike() -> None:
    rng, covered, naive = np.random.default_rng(6), 0, 0
    truth = stats.expon.ppf(0.95)
    for _ in range(400):
        gaps = np.repeat(stats.expon.rvs(size=200, random_state=rng), 50)  # a request's gaps are all the same
        low, high = statistics(gaps, np.full(200, 50)).ci95_p95 or (np.inf, -np.inf)
        covered += low <= truth <= high
        low, high = statistics(gaps).ci95_p95 or (np.inf, -np.inf)
        naive += low <= truth <= high
    assert covered / 400 > 0.9
    assert naive / 400 < 0.5


def test_requests_without_gaps_do_not_count_as_requests() -> None:
    gaps = np.random.default_rng(1).exponential(size=300)
    counts = np.tile([10, 0], 30)
    assert statistics(gaps, counts).ci95_p95 == statistics(gaps, np.full(30, 10)).ci95_p95
    assert statistics(gaps[:100], np.full(10, 10)).ci95_p95 is None


def test_time_per_output_token_leaves_the_first_token_out() -> None:
    found = time_per_output_token(np.array([0.2, 0.2, 0.3]), np.array([1.2, 0.2, 0.3]), np.array([11.0, 1.0, 0.0]))
    assert found[0] == pytest.approx(0.1)
    assert np.isnan(found[1:]).all()


def test_service_level_is_met_request_by_request() -> None:
    ttft, tpot = np.array([0.5, 0.51, 0.1, 0.1]), np.array([0.04, 0.01, 0.041, np.nan])
    assert meets_slo(ttft, tpot, Slo(ttft_p95_s=0.5, tpot_p95_s=0.04)).tolist() == [True, False, False, True]
    assert meets_slo(ttft, tpot, Slo(tpot_p95_s=0.04)).tolist() == [True, True, False, True]
    assert meets_slo(ttft, tpot, Slo()).all()
