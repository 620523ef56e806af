"""API bills against a loop over single requests."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.api import TieredPrice, TokenPrices, api_bill, request_usd
from planner.core.requests import RequestSample
from planner.schema.options import ApiOption

# As many providers charge: everything above 200 000 prompt tokens is dearer, the output too.
TIERED = TokenPrices(
    input=TieredPrice(3.0, [(200_000, 6.0), (500_000, 9.0)]),
    cached_input=TieredPrice(0.3, [(200_000, 0.6), (500_000, 0.9)]),
    output=TieredPrice(15.0, [(200_000, 22.5), (500_000, 30.0)]),
    usd_per_request=0.012,
)

Request = tuple[int, int, int]
"""Prompt tokens, cached ones among them, generated tokens."""


@st.composite
def requests(draw: st.DrawFn) -> list[Request]:
    prompts = st.one_of(st.integers(0, 700_000), st.sampled_from([200_000, 200_001, 500_000, 500_001]))
    found = []
    for prompt in draw(st.lists(prompts, min_size=1, max_size=20)):
        found.append((prompt, draw(st.integers(0, prompt)), draw(st.integers(0, 10_000))))
    return found


def sample_of(rows: list[Request]) -> RequestSample:
    prompt, cached, output = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    return RequestSample.of(prompt, output, cached)


def one_request_usd(prompt: int, cached: int, output: int) -> float:
    """The bill of one request, as the provider's price page words it."""
    if prompt > 500_000:
        per_input, per_cached, per_output = 9.0, 0.9, 30.0
    elif prompt > 200_000:
        per_input, per_cached, per_output = 6.0, 0.6, 22.5
    else:
        per_input, per_cached, per_output = 3.0, 0.3, 15.0
    return (per_input * (prompt - cached) + per_cached * cached + per_output * output) / 1_000_000 + 0.012


@given(requests())
def test_bills_with_tiers_and_a_fee_against_a_loop(rows: list[Request]) -> None:
    expected = [one_request_usd(*row) for row in rows]
    np.testing.assert_allclose(request_usd(TIERED, sample_of(rows)), expected, rtol=1e-12)


@given(requests(), st.randoms(use_true_random=False))
def test_the_order_of_requests_is_irrelevant(rows: list[Request], chance: random.Random) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)
    as_given, otherwise = (float(request_usd(TIERED, sample_of(each)).mean()) for each in (rows, shuffled))
    assert otherwise == pytest.approx(as_given, rel=1e-12)


def test_bills_are_made_per_request_and_not_from_mean_tokens() -> None:
    # Prompts of 100 000 and 300 000: 0.3 and 1.8 USD and twice the fee. The mean prompt of 200 000 would pay 0.6.
    rows = [(100_000, 0, 0), (300_000, 0, 0)]
    assert float(request_usd(TIERED, sample_of(rows)).mean()) == pytest.approx((0.3 + 1.8) / 2 + 0.012, rel=1e-12)


@pytest.mark.parametrize(
    ("row", "usd"),
    [
        ((0, 0, 0), 0.012),
        ((1000, 0, 0), 0.015),
        ((1000, 1000, 0), 0.0123),
        ((0, 0, 1000), 0.027),
        ((200_000, 0, 1000), 0.627),
        ((200_001, 0, 1000), 1.234506),
    ],
)
def test_bill_figures(row: Request, usd: float) -> None:
    assert request_usd(TIERED, sample_of([row])).tolist() == pytest.approx([usd], rel=1e-12)


def option(**terms: object) -> ApiOption:
    return ApiOption(name="api", price={"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}, **terms)


@pytest.mark.parametrize(
    ("terms", "usd"),
    [
        ({}, 0.01),
        ({"retry_fraction": 0.5}, 0.015),
        ({"batch": {"share_fraction": 0.3, "discount_fraction": 0.5}}, 0.0085),
        ({"batch": {"share_fraction": 1.0, "discount_fraction": 1.0}}, 0.0),
        ({"batch": {"share_fraction": 0.3}}, 0.01),
        ({"commitment": {"discount_fraction": 0.2}}, 0.008),
        ({"commitment": {"usd_per_month": 50.0}}, 0.01),
        ({"success_fraction": 0.5}, 0.01),
        (
            {
                "retry_fraction": 0.1,
                "batch": {"share_fraction": 0.5, "discount_fraction": 0.4},
                "commitment": {"discount_fraction": 0.25},
            },
            0.0066,  # 0.01 × 1.1 × 0.8 × 0.75
        ),
    ],
)
def test_terms_of_a_bill(terms: dict[str, object], usd: float) -> None:
    bill = api_bill(option(**terms), 0.01, 3)
    assert bill.usd_per_request.tolist() == pytest.approx([usd] * 3, rel=1e-12)


def test_price_change_compounds_monthly_and_spares_the_commitment() -> None:
    bill = api_bill(option(price_change_fraction_per_year=-0.19, commitment={"usd_per_month": 80.0}), 0.01, 13)
    assert bill.usd_per_request[[0, 6, 12]].tolist() == pytest.approx([0.01, 0.009, 0.0081], rel=1e-12)
    assert bill.commitment_usd == 80.0


def test_what_if_prices_spare_the_commitment() -> None:
    bill = api_bill(option(commitment={"usd_per_month": 80.0}), 0.01, 2, price_factor=3.0)
    assert bill.usd_per_request.tolist() == pytest.approx([0.03, 0.03], rel=1e-12)
    assert bill.commitment_usd == 80.0


@given(st.floats(0.0, 1e4), st.lists(st.floats(0.0, 1e6), min_size=1, max_size=12))
def test_a_month_costs_its_usage_and_at_least_the_commitment(commitment: float, requests_of: list[float]) -> None:
    bill = api_bill(option(commitment={"usd_per_month": commitment}), 0.01, len(requests_of))
    months = np.array(requests_of)
    expected = [max(0.01 * count, commitment) for count in requests_of]
    np.testing.assert_allclose(bill.total_usd(months), expected, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(bill.usage_usd(months) + bill.shortfall_usd(months), expected, rtol=1e-12, atol=1e-9)
    assert np.all(bill.shortfall_usd(months) >= 0)


def test_bills_of_several_counts_in_each_month() -> None:
    bill = api_bill(option(price_change_fraction_per_year=-0.5, commitment={"usd_per_month": 5.0}), 0.01, 13)
    counts = np.tile([0.0, 500.0, 2000.0], (13, 1))
    total = bill.total_usd(counts)
    assert total[0].tolist() == pytest.approx([5.0, 5.0, 20.0])
    assert total[12].tolist() == pytest.approx([5.0, 5.0, 10.0])
