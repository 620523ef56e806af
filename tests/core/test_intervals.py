"""Intervals against scipy, and against how often they hold what is known to be true."""

import numpy as np
import pytest
from processes import autoregressive
from scipy import stats

from planner.core.intervals import are_alike, mean_interval, rate_error_fraction, share_interval, worth_of_one


def covered(intervals: list[tuple[float, float] | None], truth: float) -> float:
    return float(np.mean([interval is not None and interval[0] <= truth <= interval[1] for interval in intervals]))


@pytest.mark.parametrize(("phi", "n"), [(0.0, 60), (0.0, 400), (0.3, 400), (0.6, 400), (0.9, 2000)])
def test_interval_of_the_mean_holds_it(phi: float, n: int) -> None:
    series = 10 + autoregressive(phi, 600, n, 2)
    assert 0.925 <= covered([mean_interval(each, 1.0) for each in series], 10.0) <= 0.985
    if phi >= 0.6:  # as if they were independent
        reach = 1.96 / np.sqrt(n)
        assert np.mean(np.abs(series.mean(axis=1) - 10) <= reach) < 0.75


def test_what_is_too_short_has_no_interval() -> None:
    values = np.random.default_rng(0).random(90)
    for found in (mean_interval(values, 20.0), worth_of_one(values, 20.0), share_interval(values, 20.0)):
        assert found is None
    assert rate_error_fraction(values, np.arange(90.0), 20.0) is None
    assert mean_interval(values, 18.0) is not None
    assert rate_error_fraction(values[:1], np.zeros(1), 1.0) is None
    assert rate_error_fraction(np.zeros(90), np.arange(90.0), 1.0) is None
    assert rate_error_fraction(np.ones(90), np.zeros(90), 1.0) is None


def test_independent_values_are_taken_for_alike_one_time_in_twenty() -> None:
    rng = np.random.default_rng(1)
    assert np.mean([are_alike(rng.lognormal(0, 0.7, 200)) for _ in range(2000)]) == pytest.approx(0.05, abs=0.015)
    assert np.mean([are_alike(series) for series in autoregressive(0.3, 200, 200, 1)]) > 0.95
    assert not are_alike(np.ones(50))


@pytest.mark.parametrize("met", [0, 1, 150, 190, 200])
def test_share_of_independent_requests_has_wilsons_interval(met: int) -> None:
    is_met = np.random.default_rng(3).permutation(np.arange(200) < met).astype(float)
    assert not are_alike(is_met)
    truth = stats.binomtest(met, 200).proportion_ci(method="wilson")
    assert share_interval(is_met, 1.0) == pytest.approx((truth.low, truth.high), abs=1e-6)


def test_neighbours_in_two_blocks_are_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    # Pairs that are alike, of which the first is always the last of a block.
    values = np.insert(np.repeat(np.random.default_rng(2).random(60), 2), 0, 0.5)
    monkeypatch.setattr("planner.core.intervals._AT_ONCE", 2)
    assert are_alike(values)
    monkeypatch.setattr("planner.core.intervals._AT_ONCE", 1)
    assert are_alike(values)
    assert not are_alike(np.random.default_rng(2).random(121))


def test_what_holds_for_each_is_worth_as_much_as_ones_and_zeros() -> None:
    holds = np.cumsum(np.random.default_rng(5).standard_normal(2000)) > 0
    assert worth_of_one(holds, 3.0) == pytest.approx(worth_of_one(holds.astype(float), 3.0), rel=1e-12)


def test_share_of_requests_that_are_alike_is_known_less_well() -> None:
    series = autoregressive(0.9, 400, 1000, 4)
    is_met = (series < stats.norm.ppf(0.9)).astype(float)
    assert covered([share_interval(each, 1.0) for each in is_met], 0.9) > 0.9
    wilson = [stats.binomtest(int(each.sum()), 1000).proportion_ci(method="wilson") for each in is_met]
    assert covered([(each.low, each.high) for each in wilson], 0.9) < 0.75


@pytest.mark.parametrize("lengths", ["one", "spread"])
def test_rate_of_poisson_arrivals_lies_in_its_interval(lengths: str) -> None:
    rng, errors, rates = np.random.default_rng(5), [], []
    for _ in range(500):
        due_s = np.cumsum(rng.exponential(0.25, 300))
        amounts = np.ones(300) if lengths == "one" else rng.lognormal(0, 1, 300)
        errors.append(rate_error_fraction(amounts, due_s, 1.0) or 0.0)
        rates.append(float(amounts[:-1].sum() / (due_s[-1] - due_s[0])))
    truth = 4.0 * (1.0 if lengths == "one" else np.exp(0.5))
    held = [rate * (1 - error) <= truth <= rate * (1 + error) for rate, error in zip(rates, errors, strict=True)]
    assert 0.92 <= np.mean(held) <= 0.985
    spread = 1.0 if lengths == "one" else np.exp(0.5)  # √(1 + squared CV of the amounts) over the gaps' 1
    # Wider by Student's quantile, and by the likeness that chance makes of 30 batches.
    assert 1.0 <= np.mean(errors) / (1.96 * spread / np.sqrt(300)) <= 1.2


def test_constant_arrivals_have_a_rate_without_doubt() -> None:
    assert rate_error_fraction(np.ones(100), np.arange(100.0), 1.0) == pytest.approx(0.0, abs=1e-9)
