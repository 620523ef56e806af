"""Identities of capital and discounting that any text on engineering economics states."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.capacity import Capacity
from planner.core.demand import Workload, growth_factors, steady
from planner.core.finance import discount_factors, level_payment_usd, present_value_usd
from planner.core.outcome import hosting_outcome
from planner.core.question import priced_hosting
from planner.schema.options import HostingOption

RATES = st.floats(0.001, 1.0)
PERIODS = st.integers(1, 240)
MONEY = st.floats(1.0, 1e7)


def capital_recovery_factor(rate: float, periods: int) -> float:
    """What the textbooks call it: r(1 + r)^n / ((1 + r)^n - 1)."""
    growth = (1 + rate) ** periods
    return rate * growth / (growth - 1)


@given(MONEY, st.floats(0.0, 1.0), RATES, st.integers(1, 60))
def test_a_purchase_costs_what_capital_recovery_says(price: float, residual: float, rate: float, months: int) -> None:
    # The monthly cost of a machine kept to the end of its life: (P - S)·CRF + S·r, at the monthly rate.
    option = HostingOption(
        name="owned",
        tenure="purchase",
        capacity={"requests_per_s": 1.0},
        purchase_usd_per_replica=price,
        lifetime_months=months,
        residual_fraction=residual,
    )
    workload = Workload(np.full(months, 1_000.0), steady())
    outcome = hosting_outcome(priced_hosting(option, Capacity.per_replica(1.0), months, 0.0), workload, 0.99)
    monthly_rate = (1 + rate) ** (1 / 12) - 1
    crf = capital_recovery_factor(monthly_rate, months)
    expected = price * (1 - residual) * crf + price * residual * monthly_rate
    assert outcome.monthly_cost_usd(rate) == pytest.approx(expected, rel=1e-9)


@given(MONEY, st.floats(-0.5, 1.0), PERIODS)
def test_level_payment_has_the_present_value_it_was_made_from(present: float, rate: float, months: int) -> None:
    payment = level_payment_usd(present, rate, months)
    by_hand = sum(payment * (1 + rate) ** (-month / 12) for month in range(1, months + 1))
    assert by_hand == pytest.approx(present, rel=1e-9)
    cash = np.concatenate(([0.0], np.full(months, payment)))
    assert present_value_usd(cash, rate) == pytest.approx(present, rel=1e-9)


@given(MONEY, PERIODS)
def test_level_payment_without_interest_is_an_equal_share(present: float, months: int) -> None:
    assert level_payment_usd(present, 0.0, months) == pytest.approx(present / months, rel=1e-12)


@given(MONEY, RATES, PERIODS)
def test_level_payment_is_capital_recovery_at_the_monthly_rate(present: float, rate: float, months: int) -> None:
    monthly_rate = (1 + rate) ** (1 / 12) - 1
    expected = present * capital_recovery_factor(monthly_rate, months)
    assert level_payment_usd(present, rate, months) == pytest.approx(expected, rel=1e-9)


@given(st.floats(-0.5, 2.0), st.integers(0, 100), st.integers(0, 100))
def test_discount_factors_multiply(rate: float, first: int, second: int) -> None:
    factors = discount_factors(rate, first + second)
    assert factors[first] * factors[second] == pytest.approx(factors[first + second], rel=1e-12)


@pytest.mark.parametrize(
    ("rate", "month", "expected"),
    [
        (0.0, 7, 1.0),
        (0.21, 0, 1.0),
        (0.21, 12, 1 / 1.21),
        (0.21, 6, 1 / 1.1),
        (0.21, 24, 1 / 1.4641),
        (-0.19, 6, 1 / 0.9),
    ],
)
def test_discount_factor_figures(rate: float, month: int, expected: float) -> None:
    factors = discount_factors(rate, 24)
    assert factors.shape == (25,)
    assert factors[month] == pytest.approx(expected, rel=1e-12)


def test_rate_near_zero_is_continuous() -> None:
    cash = np.array([100.0, -30.0, 20.0, 55.0])
    assert present_value_usd(cash, 0.0) == 145.0
    assert present_value_usd(cash, 1e-10) == pytest.approx(145.0, rel=1e-9)


@given(st.floats(-0.9, 2.0), st.integers(0, 60), st.integers(0, 60))
def test_growth_factors_compose(growth: float, first: int, second: int) -> None:
    factors = growth_factors(growth, 1, first + second + 1)
    assert factors[0] == 1.0
    assert factors[first] * factors[second] == pytest.approx(factors[first + second], rel=1e-9)


@given(st.floats(-0.5, 1.0), st.integers(1, 60))
def test_yearly_growth_compounds_monthly(growth: float, months: int) -> None:
    yearly = growth_factors(growth, 12, months)
    monthly = growth_factors((1 + growth) ** (1 / 12) - 1, 1, months)
    np.testing.assert_allclose(yearly, monthly, rtol=1e-9)


@pytest.mark.parametrize("month", [1, 2, 7, 13, 25])
@pytest.mark.parametrize("rate", [0.0, 0.08, 0.5])
def test_a_purchase_at_the_start_of_a_month_is_discounted_from_there(month: int, rate: float) -> None:
    # The first request comes in the last month, and the machine is worth nothing after it.
    option = HostingOption(
        name="owned",
        tenure="purchase",
        capacity={"requests_per_s": 1.0},
        purchase_usd_per_replica=1_000.0,
        lifetime_months=1,
        residual_fraction=0.0,
    )
    workload = Workload(np.array([0.0] * (month - 1) + [1_000.0]), steady())
    outcome = hosting_outcome(priced_hosting(option, Capacity.per_replica(1.0), month, 0.0), workload, 0.99)
    assert outcome.npv_cost_usd(rate) == pytest.approx(1_000 * (1 + rate) ** (-(month - 1) / 12), rel=1e-12)


@pytest.mark.parametrize(("month", "factor"), [(1, 1.0), (7, 1.1), (13, 1.21)])
def test_a_purchase_pays_the_price_of_its_month(month: int, factor: float) -> None:
    option = HostingOption(
        name="owned",
        tenure="purchase",
        capacity={"requests_per_s": 1.0},
        purchase_usd_per_replica=1_000.0,
        lifetime_months=1,
        price_change_fraction_per_year={"purchase": 0.21},
    )
    workload = Workload(np.array([0.0] * (month - 1) + [1_000.0]), steady())
    outcome = hosting_outcome(priced_hosting(option, Capacity.per_replica(1.0), month, 0.0), workload, 0.99)
    assert outcome.npv_cost_usd(0.0) == pytest.approx(1_000 * factor, rel=1e-12)
