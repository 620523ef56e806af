"""Prices from genai-prices, which carries its data in the package and asks no network."""

import datetime
import difflib
from collections.abc import Iterable
from typing import Any

from planner.core.api import TieredPrice, TokenPrices
from planner.errors import InputError
from planner.schema.options import ApiPrice

CATALOG_CURRENCY = "USD"


def token_prices(price: ApiPrice, as_of: datetime.date) -> TokenPrices:
    """Prices per million tokens, from the figures given or from the catalogue as of a day.

    Cached prompt tokens cost as much as others where no price of their own is known.

    Raises:
        InputError: the catalogue knows no such provider or model, or has no usable price for it; the
            field is `provider`, `model` or `catalog`, within the price.

    Example:
        >>> price = ApiPrice(catalog="genai-prices", provider="openai", model="gpt-4o-mini")
        >>> token_prices(price, datetime.date(2026, 11, 24)).output.base_usd_per_mtok
        0.6
    """
    if price.catalog is not None:
        return _from_catalog(price.provider or "", price.model or "", as_of)
    listed = price.input_usd_per_mtok or 0.0
    cached = listed if price.cached_input_usd_per_mtok is None else price.cached_input_usd_per_mtok
    return TokenPrices(TieredPrice(listed), TieredPrice(cached), TieredPrice(price.output_usd_per_mtok or 0.0))


def catalog_version() -> str:
    """Name and version of the catalogue; its rows carry no dates of their own."""
    import genai_prices  # noqa: PLC0415 - a fifth of a second, and plans from figures need none of it

    return f"genai-prices {genai_prices.__version__}"


def _from_catalog(provider_id: str, model_id: str, as_of: datetime.date) -> TokenPrices:
    from genai_prices import data_snapshot  # noqa: PLC0415 - see above
    from genai_prices.types import TimeOfDateConstraint  # noqa: PLC0415

    snapshot = data_snapshot.get_snapshot()
    providers = {provider.id: provider for provider in snapshot.providers}
    if provider_id not in providers:
        raise InputError("provider", f"is not in {catalog_version()}; nearest: {_nearest(provider_id, providers)}")
    provider = providers[provider_id]
    model = provider.find_model(model_id, all_providers=snapshot.providers)
    if model is None:
        # Some rows are listed under names that the catalogue itself does not find.
        models = [row.id for row in provider.models if provider.find_model(row.id, all_providers=snapshot.providers)]
        raise InputError(
            "model", f"{provider_id} has no such model in {catalog_version()}; nearest: {_nearest(model_id, models)}"
        )
    conditional = model.prices if isinstance(model.prices, list) else []
    if any(isinstance(row.constraint, TimeOfDateConstraint) for row in conditional):
        raise InputError(
            "model", f"not in this version: prices of {model.id} by the hour of the day; state the figures"
        )
    # Noon, so that a price that starts on the day is in force wherever the day is meant.
    prices = model.get_prices(datetime.datetime.combine(as_of, datetime.time(12), tzinfo=datetime.UTC))
    listed, output = _tiered(prices.input_mtok), _tiered(prices.output_mtok)
    if listed is None or output is None or listed.base_usd_per_mtok + output.base_usd_per_mtok == 0:
        raise InputError("model", f"{catalog_version()} has no price per token for {model.id}; state the figures")
    per_thousand_requests = _tiered(prices.requests_kcount)
    return TokenPrices(
        listed,
        _tiered(prices.cache_read_mtok) or listed,
        output,
        0.0 if per_thousand_requests is None else per_thousand_requests.base_usd_per_mtok / 1000,
    )


def _tiered(price: Any) -> TieredPrice | None:
    if price is None:
        return None
    if hasattr(price, "tiers"):
        return TieredPrice(float(price.base), tuple((float(tier.start), float(tier.price)) for tier in price.tiers))
    return TieredPrice(float(price))


def _nearest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    return ", ".join(difflib.get_close_matches(name, known, n=5, cutoff=0.4) or known[:10])
