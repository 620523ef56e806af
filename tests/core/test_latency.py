"""Statistics of latencies against scipy and against repetition."""

import numpy as np
import pytest
from processes import autoregressive
from scipy import stats

from planner.core.latency import gap_statistics, meets_slo, statistics, time_per_output_token
from planner.schema.benchmark import Statistics
from planner.schema.scenario import Slo

FRACTIONS = (0.5, 0.9, 0.95, 0.99)


def test_percentiles_interpolate_between_order_statistics() -> None:
    found = statistics([4.0, 1.0, 3.0, 2.0])
    # Position (n − 1)·p from the smallest: 1.5, 2.7, 2.85, 2.97.
    assert (found.mean, found.p50) == (2.5, 2.5)
    assert [found.p90, found.p95, found.p99] == pytest.approx([3.7, 3.85, 3.97])


def test_nothing_measured_is_null() -> None:
    assert statistics([]) == gap_statistics(np.zeros(0, dtype=np.uint32), []) == Statistics(n=0)


def intervals(found: Statistics) -> list[tuple[float, float] | None]:
    return [found.ci95_p50, found.ci95_p90, found.ci95_p95, found.ci95_p99]


def test_intervals_are_of_order_statistics() -> None:
    found = statistics(np.arange(1, 1001) / 10)
    # Ranks by the binomial of 1000 and the fraction, such as 1000·0.95 ± 1.96·√(1000·0.95·0.05).
    ranks = [(469, 532), (881, 919), (936, 964), (983, 997)]
    for fraction, (low, high) in zip(FRACTIONS, ranks, strict=True):
        assert stats.binom.cdf(low - 1, 1000, fraction) <= 0.025 < stats.binom.cdf(low, 1000, fraction)
        assert stats.binom.sf(high - 1, 1000, fraction) <= 0.025 < stats.binom.sf(high - 2, 1000, fraction)
    assert intervals(found) == [(low / 10, high / 10) for low, high in ranks]
    assert found.n == 1000


@pytest.mark.parametrize(
    ("size", "estimable"),
    [
        (5, [False, False, False, False]),
        (6, [True, False, False, False]),
        (36, [True, True, False, False]),
        (71, [True, True, False, False]),
        (72, [True, True, True, False]),
        (367, [True, True, True, False]),
        (368, [True, True, True, True]),
    ],
)
def test_small_samples_have_no_interval(size: int, estimable: list[bool]) -> None:
    assert [interval is not None for interval in intervals(statistics(np.arange(size)))] == estimable


@pytest.mark.parametrize("size", [40, 100, 400, 1500])
def test_intervals_cover_the_truth_as_often_as_they_say(size: int) -> None:
    law = stats.lognorm(s=0.8)
    truths = law.ppf(FRACTIONS)
    samples = law.rvs((2000, size), random_state=np.random.default_rng(4))
    found = [intervals(statistics(sample)) for sample in samples]
    for truth, of_percentile in zip(truths, zip(*found, strict=True), strict=True):
        known = [interval for interval in of_percentile if interval is not None]
        assert len(known) in (0, 2000)  # whether there is one does not depend on the values
        if known:
            assert 0.94 <= np.mean([low <= truth <= high for low, high in known]) <= 0.995


def test_intervals_of_independent_series_are_those_of_order_statistics() -> None:
    samples = np.random.default_rng(4).lognormal(0, 0.8, (400, 500))
    same = [intervals(statistics(sample, 1.0)) == intervals(statistics(sample)) for sample in samples]
    assert np.mean(same) >= 0.93, "one in twenty is taken for a series whose neighbours are alike"
    assert statistics(samples[0]).ci95_mean is None, "of no series"


@pytest.mark.parametrize("phi", [0.3, 0.6, 0.9])
def test_intervals_of_series_whose_neighbours_are_alike_cover_the_truth(phi: float) -> None:
    series = np.exp(0.8 * autoregressive(phi, 500, 2000, 5))
    truths = [np.exp(0.8**2 / 2), *stats.lognorm(s=0.8).ppf(FRACTIONS)]
    found = [statistics(each, 1.0) for each in series]
    plain = [intervals(statistics(each)) for each in series]
    for place, truth in enumerate(truths):
        of = [each.ci95_mean if place == 0 else intervals(each)[place - 1] for each in found]
        known = [interval for interval in of if interval is not None]
        assert len(known) >= (100 if place == 4 else 450)
        assert np.mean([low <= truth <= high for low, high in known]) >= 0.92
    if phi == 0.9:
        assert np.mean([each[0] is not None and each[0][0] <= truths[1] <= each[0][1] for each in plain]) < 0.6


def test_series_too_short_for_batches_has_no_interval() -> None:
    values = np.random.default_rng(0).random(400)
    assert [*intervals(statistics(values, 100.0)), statistics(values, 100.0).ci95_mean] == [None] * 5
    assert None not in intervals(statistics(values, 10.0))


def as_us(gaps_s: np.ndarray) -> np.ndarray:
    return np.rint(gaps_s * 1e6).astype(np.uint32)


def test_gaps_are_summarised_as_if_they_were_sorted() -> None:
    gaps_s = np.random.default_rng(2).lognormal(-4, 0.5, 12_000).round(6)
    found = gap_statistics(as_us(gaps_s), np.full(120, 100))
    assert found.n == 12_000
    assert found.mean == pytest.approx(gaps_s.mean(), rel=1e-12)
    assert [found.p50, found.p90, found.p95, found.p99] == pytest.approx(np.quantile(gaps_s, FRACTIONS), rel=1e-9)


def test_intervals_know_that_values_of_one_request_are_alike() -> None:
    rng, covered, naive = np.random.default_rng(6), 0, 0
    truth = stats.expon.ppf(0.9)
    for _ in range(400):
        gaps_s = np.repeat(stats.expon.rvs(size=200, random_state=rng), 50)  # a request's gaps are all the same
        low, high = gap_statistics(as_us(gaps_s), np.full(200, 50)).ci95_p90 or (np.inf, -np.inf)
        covered += low <= truth <= high
        low, high = statistics(gaps_s).ci95_p90 or (np.inf, -np.inf)
        naive += low <= truth <= high
    assert covered / 400 > 0.92
    assert naive / 400 < 0.5


@pytest.mark.parametrize(
    ("requests", "gaps", "likeness", "estimable"),
    [
        (30, 60, 0.0, [True, True, True, False]),
        (60, 60, 0.5, [True, True, False, False]),
        (500, 20, 0.5, [True, True, True, True]),
        (400, 50, 1.0, [True, True, True, False]),
    ],
)
def test_intervals_of_gaps_cover_the_truth(requests: int, gaps: int, likeness: float, estimable: list[bool]) -> None:
    """Gaps whose logarithm is a share of the request's, and a share of their own."""
    rng, drawn = np.random.default_rng(8), 2000 if requests < 100 else 500
    truths = 0.02 * np.exp(0.5 * stats.norm.ppf(FRACTIONS))
    covered, known = np.zeros(4), np.zeros(4)
    for _ in range(drawn):
        common, own = rng.standard_normal((requests, 1)), rng.standard_normal((requests, gaps))
        gaps_s = 0.02 * np.exp(0.5 * (np.sqrt(likeness) * common + np.sqrt(1 - likeness) * own))
        for place, interval in enumerate(intervals(gap_statistics(as_us(gaps_s.ravel()), np.full(requests, gaps)))):
            if interval is not None:
                known[place] += 1
                covered[place] += interval[0] <= truths[place] <= interval[1]
    assert ((known > 0.95 * drawn) == estimable).all()
    shares = covered[known > 0.95 * drawn] / known[known > 0.95 * drawn]
    assert (shares >= 0.92).all(), shares


def test_requests_that_are_left_out_are_in_no_figure_of_gaps() -> None:
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 60, 200)
    gaps_us = as_us(rng.lognormal(-4, 0.5, int(counts.sum())))
    for is_kept in (rng.random(200) < 0.7, np.arange(200) >= 40, np.ones(200, dtype=bool)):
        kept = gaps_us[np.repeat(is_kept, counts)]
        assert gap_statistics(gaps_us, counts, is_kept) == gap_statistics(kept, counts[is_kept])
    assert gap_statistics(gaps_us, counts, np.zeros(200, dtype=bool)) == Statistics(n=0)


def test_gaps_of_requests_whose_neighbours_are_alike_are_known_less_well() -> None:
    speeds = np.exp(0.3 * autoregressive(0.9, 200, 600, 2))
    noise = np.random.default_rng(9).lognormal(0, 0.2, (200, 600, 10))
    truth = 0.02  # the median of a product of two lognormals about 1 and 0.02
    counts = np.full(600, 10)
    held, naive = 0, 0
    for speed, own in zip(speeds, noise, strict=True):
        gaps_us = as_us((0.02 * speed[:, np.newaxis] * own).ravel())
        low, high = gap_statistics(gaps_us, counts, None, 1.0).ci95_p50 or (np.inf, -np.inf)
        held += low <= truth <= high
        low, high = gap_statistics(gaps_us, counts).ci95_p50 or (np.inf, -np.inf)
        naive += low <= truth <= high
    assert held / 200 > 0.9
    assert naive / 200 < 0.6


def test_requests_without_gaps_do_not_count_as_requests() -> None:
    gaps_us = as_us(np.random.default_rng(1).exponential(size=300))
    counts = np.tile([10, 0], 30)
    assert gap_statistics(gaps_us, counts) == gap_statistics(gaps_us, np.full(30, 10))
    assert intervals(gap_statistics(gaps_us[:100], np.full(10, 10))) == [None] * 4


def test_time_per_output_token_leaves_the_first_token_out() -> None:
    found = time_per_output_token(np.array([0.2, 0.2, 0.3]), np.array([1.2, 0.2, 0.3]), np.array([11.0, 1.0, 0.0]))
    assert found[0] == pytest.approx(0.1)
    assert np.isnan(found[1:]).all()


def test_service_level_is_met_request_by_request() -> None:
    ttft, tpot = np.array([0.5, 0.51, 0.1, 0.1]), np.array([0.04, 0.01, 0.041, np.nan])
    assert meets_slo(ttft, tpot, Slo(ttft_p95_s=0.5, tpot_p95_s=0.04)).tolist() == [True, False, False, True]
    assert meets_slo(ttft, tpot, Slo(tpot_p95_s=0.04)).tolist() == [True, True, False, True]
    assert meets_slo(ttft, tpot, Slo()).all()
