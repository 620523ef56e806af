"""Shapes of demand against the formulas of the scenario file's description."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.demand import Shape, Workload, bursty, diurnal, growth_factors, observed, steady
from planner.errors import InputError

PEAKS_OF_A_DAY = st.floats(1.0, 23.99)


def mean_of(shape: Shape) -> float:
    return sum(load * share for load, share in zip(shape.relative_load, shape.hours_fraction, strict=True))


def test_steady_is_the_mean_in_every_hour() -> None:
    assert steady().relative_load.tolist() == [1.0]
    assert steady().hours_fraction.tolist() == [1.0]


@given(PEAKS_OF_A_DAY)
def test_diurnal_peaks_at_14_as_asked(peak: float) -> None:
    shape = diurnal(peak)
    assert shape.relative_load.shape == (24,)
    assert shape.hours_fraction.tolist() == [1 / 24] * 24
    assert mean_of(shape) == pytest.approx(1.0, rel=1e-12)
    assert shape.relative_load[14] == pytest.approx(peak, rel=1e-9)
    assert shape.relative_load.max() == shape.relative_load[14]


@given(st.floats(1.01, 20.0))
def test_diurnal_is_proportional_to_the_exponential_of_a_cosine(peak: float) -> None:
    load = diurnal(peak).relative_load
    # Peak over trough is exp(2κ), which gives κ; then every hour must follow.
    kappa = math.log(load[14] / load[2]) / 2
    for hour in range(24):
        expected = load[14] * math.exp(kappa * (math.cos(2 * math.pi * (hour - 14) / 24) - 1))
        assert load[hour] == pytest.approx(expected, rel=1e-6)


def test_diurnal_with_peak_1_is_flat() -> None:
    assert diurnal(1.0).relative_load.tolist() == [1.0] * 24


@pytest.mark.parametrize("peak", [0.99, 24.0, 100.0, -1.0])
def test_diurnal_refuses_other_peaks(peak: float) -> None:
    with pytest.raises(InputError, match="peak_to_mean: must be at least 1 and below 24"):
        diurnal(peak)


@given(st.floats(0.001, 0.999), st.floats(0.0, 1.0))
def test_bursty_follows_its_formula(burst_fraction: float, position: float) -> None:
    peak = 1 + position * (1 / burst_fraction - 1) * 0.999
    shape = bursty(peak, burst_fraction)
    quiet, busy = shape.relative_load
    assert busy == peak
    assert quiet == pytest.approx((1 - peak * burst_fraction) / (1 - burst_fraction), abs=1e-12)
    assert shape.hours_fraction.tolist() == [1 - burst_fraction, burst_fraction]
    assert mean_of(shape) == pytest.approx(1.0, rel=1e-9)


def test_bursts_may_hold_everything() -> None:
    shape = bursty(4.0, 0.25)
    assert shape.relative_load.tolist() == [0.0, 4.0]


@pytest.mark.parametrize(("peak", "fraction"), [(0.5, 0.1), (5.0, 0.0), (1.0, 1.0), (5.0, 0.21), (2.0, -0.1)])
def test_bursty_refuses_what_cannot_be(peak: float, fraction: float) -> None:
    with pytest.raises(InputError, match="peak_to_mean: must be at least 1, and at most 1 when multiplied"):
        bursty(peak, fraction)


def test_observed_history_of_unequal_bins() -> None:
    # 10/h for 3 h and 30/h for 1 h: 60 requests in 4 h, so 15/h on average.
    shape = observed(np.array([10.0, 30.0]), np.array([3.0, 1.0]))
    np.testing.assert_allclose(shape.relative_load, [10 / 15, 2.0], rtol=1e-12)
    np.testing.assert_allclose(shape.hours_fraction, [0.75, 0.25], rtol=1e-12)


@given(
    st.lists(st.tuples(st.floats(0.0, 1e6), st.floats(0.1, 100.0)), min_size=1, max_size=50).filter(
        lambda bins: sum(rate for rate, _ in bins) > 1e-3
    )
)
def test_observed_keeps_the_mean_and_the_proportions(bins: list[tuple[float, float]]) -> None:
    rates, hours = (np.array(column) for column in zip(*bins, strict=True))
    shape = observed(rates, hours)
    mean_rate = sum(rate * length for rate, length in bins) / sum(length for _, length in bins)
    assert mean_of(shape) == pytest.approx(1.0, rel=1e-9)
    assert shape.hours_fraction.sum() == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(shape.relative_load * mean_rate, rates, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rates", [[], [0.0, 0.0]])
def test_observed_refuses_an_empty_history(rates: list[float]) -> None:
    with pytest.raises(InputError, match="history: must hold at least one request"):
        observed(np.array(rates), np.ones(len(rates)))


def test_a_month_has_730_5_hours() -> None:
    workload = Workload(np.array([2_629_800.0, 5_259_600.0]), steady())
    assert workload.mean_load_per_s.tolist() == [1.0, 2.0]


def test_scaling_multiplies_every_month_and_keeps_the_shape() -> None:
    workload = Workload(np.array([100.0, 150.0]), diurnal(2.0))
    assert workload.at_level(300.0).requests.tolist() == [300.0, 450.0]
    assert workload.at_level(300.0).shape is workload.shape


@pytest.mark.parametrize(
    ("growth", "periods", "expected"),
    [
        (0.02, 1, [1.0, 1.02, 1.0404, 1.061208]),
        (0.0, 1, [1.0, 1.0, 1.0, 1.0]),
        (-0.5, 1, [1.0, 0.5, 0.25, 0.125]),
        (0.331, 3, [1.0, 1.1, 1.21, 1.331]),
    ],
)
def test_growth_figures(growth: float, periods: int, expected: list[float]) -> None:
    np.testing.assert_allclose(growth_factors(growth, periods, 4), expected, rtol=1e-9)
