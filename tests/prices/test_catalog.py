"""Prices of the catalogue against the catalogue's own bill of single requests."""

import datetime

import numpy as np
import pytest
from genai_prices import Usage, calc_price

from planner.core.api import TieredPrice, TokenPrices, request_usd
from planner.core.requests import RequestSample
from planner.errors import InputError
from planner.prices.catalog import catalog_version, token_prices
from planner.schema.options import ApiPrice

DAY = datetime.date(2026, 11, 24)

# Prompt, cached part of it, generated: short ones, and both sides of tiers at 200 000 and 272 000 prompt tokens.
REQUESTS = [
    (1_200, 0, 300),
    (1_200, 400, 300),
    (8_000, 8_000, 1),
    (0, 0, 500),
    (200_000, 0, 1_000),
    (200_001, 0, 1_000),
    (272_000, 50_000, 1_000),
    (272_001, 50_000, 1_000),
    (600_000, 500_000, 4_000),
]


def from_catalog(provider: str, model: str, day: datetime.date = DAY) -> TokenPrices:
    return token_prices(ApiPrice(catalog="genai-prices", provider=provider, model=model), day)


def our_usd(prices: TokenPrices, prompt: int, cached: int, output: int) -> float:
    sample = RequestSample.of(np.array([float(prompt)]), np.array([float(output)]), np.array([float(cached)]))
    return float(request_usd(prices, sample)[0])


def their_usd(provider: str, model: str, day: datetime.date, prompt: int, cached: int, output: int) -> float:
    usage = Usage(input_tokens=prompt, cache_read_tokens=cached, output_tokens=output)
    at = datetime.datetime.combine(day, datetime.time(12), tzinfo=datetime.UTC)
    return float(calc_price(usage, model, provider_id=provider, genai_request_timestamp=at).total_price)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("openai", "o3"),
        ("openai", "gpt-5.6-sol"),  # two tiers, at 272 000
        ("anthropic", "claude-sonnet-4-5"),  # two tiers, at 200 000
        ("google", "gemini-2.5-pro"),  # two tiers, at 200 000
        ("groq", "llama-3.3-70b-versatile"),  # no price of its own for cached tokens
        ("mistral", "mistral-large-latest"),  # another name of mistral-large
        ("perplexity", "sonar-pro"),  # a fee for each request
    ],
)
@pytest.mark.parametrize("day", [DAY, datetime.date(2025, 10, 1)])
def test_single_requests_cost_what_the_catalogue_bills(provider: str, model: str, day: datetime.date) -> None:
    prices = from_catalog(provider, model, day)
    ours = [our_usd(prices, *request) for request in REQUESTS]
    theirs = [their_usd(provider, model, day, *request) for request in REQUESTS]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert min(theirs) > 0


def test_figures_of_a_well_known_model() -> None:
    prices = from_catalog("openai", "gpt-4o-mini")
    assert prices == TokenPrices(TieredPrice(0.15), TieredPrice(0.075), TieredPrice(0.6))
    # 800 × 0.15 + 400 × 0.075 + 300 × 0.6 = 330 per million.
    assert our_usd(prices, 1_200, 400, 300) == pytest.approx(0.00033, rel=1e-12)


def test_a_tiered_model_is_dearer_above_its_edge() -> None:
    prices = from_catalog("anthropic", "claude-sonnet-4-5")
    assert prices.input == TieredPrice(3.0, ((200_000.0, 6.0),))
    assert our_usd(prices, 200_000, 0, 0) == pytest.approx(0.6, rel=1e-12)
    assert our_usd(prices, 200_001, 0, 0) == pytest.approx(1.200006, rel=1e-12)


def test_a_fee_for_each_request() -> None:
    prices = from_catalog("perplexity", "sonar-pro")
    assert prices.usd_per_request == pytest.approx(0.014, rel=1e-12)
    assert our_usd(prices, 0, 0, 0) == pytest.approx(0.014, rel=1e-12)


def test_cached_tokens_without_a_price_cost_as_much_as_others() -> None:
    prices = from_catalog("groq", "llama-3.3-70b-versatile")
    assert prices.cached_input == prices.input


@pytest.mark.parametrize(
    ("day", "input_usd", "output_usd"),
    [
        (datetime.date(2025, 6, 9), 10.0, 40.0),
        (datetime.date(2025, 6, 10), 2.0, 8.0),  # the day of the price cut
        (DAY, 2.0, 8.0),
    ],
)
def test_prices_are_those_of_the_day(day: datetime.date, input_usd: float, output_usd: float) -> None:
    prices = from_catalog("openai", "o3", day)
    assert (prices.input.base_usd_per_mtok, prices.output.base_usd_per_mtok) == (input_usd, output_usd)


@pytest.mark.parametrize(
    ("cached", "expected"), [(None, 0.15), (0.075, 0.075), (0.0, 0.0)], ids=["left out", "given", "free"]
)
def test_figures_need_no_catalogue(cached: float | None, expected: float) -> None:
    price = ApiPrice(input_usd_per_mtok=0.15, cached_input_usd_per_mtok=cached, output_usd_per_mtok=0.6)
    assert token_prices(price, DAY) == TokenPrices(TieredPrice(0.15), TieredPrice(expected), TieredPrice(0.6))


@pytest.mark.parametrize(
    ("provider", "model", "field", "nearest"),
    [
        ("opnai", "gpt-4o-mini", "provider", "openai"),
        ("Anthropic", "claude-sonnet-4-5", "provider", "anthropic"),
        ("openai", "gpt4o-mni", "model", "gpt-4o-mini"),
        ("anthropic", "claude-sonet-4-5", "model", "claude-sonnet-4-5"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(provider: str, model: str, field: str, nearest: str) -> None:
    with pytest.raises(InputError) as raised:
        from_catalog(provider, model)
    assert raised.value.field == field
    assert catalog_version() in raised.value.message
    assert nearest in raised.value.message.partition("nearest: ")[2].split(", ")


def test_a_name_like_no_other_is_refused_with_some_that_exist() -> None:
    with pytest.raises(InputError) as raised:
        from_catalog("openai", "zzzzzz")
    named = raised.value.message.partition("nearest: ")[2].split(", ")
    assert len(named) == 10


def refusal(provider: str, model: str) -> str:
    """Why the catalogue has no price; empty where it has one."""
    try:
        from_catalog(provider, model)
    except InputError as error:
        return error.message
    return ""


def test_names_that_are_recommended_are_known() -> None:
    recommended = refusal("mistral", "codestrall").partition("nearest: ")[2].split(", ")
    assert len(recommended) > 1
    # A price may be lacking, never the model.
    assert [name for name in recommended if "no such model" in refusal("mistral", name)] == []


def test_a_model_without_a_price_per_token_is_refused() -> None:
    with pytest.raises(
        InputError, match="has no price per token for text-embedding-3-small; state the figures"
    ) as raised:
        from_catalog("openai", "text-embedding-3-small")
    assert raised.value.field == "model"


def test_the_catalogue_names_its_version() -> None:
    assert catalog_version().startswith("genai-prices 0.2.")
