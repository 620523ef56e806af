"""What an API costs: priced per request, then discounts, retries and commitments."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.core.demand import growth_factors
from planner.core.requests import RequestSample
from planner.schema.options import ApiOption
from planner.units import MONTHS_PER_YEAR, TOKENS_PER_MTOK

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TieredPrice:
    """Price per million tokens, which may depend on the length of the request's prompt.

    Attributes:
        base_usd_per_mtok: price of requests below every tier.
        tiers: (start, price): prompts longer than `start` tokens pay `price` for every token; ascending.
    """

    base_usd_per_mtok: float
    tiers: Sequence[tuple[float, float]] = ()

    def usd_per_mtok(self, input_tokens: Array) -> Array:
        """Price that each request pays, shape (sample,), from its whole prompt length [tokens].

        Example:
            >>> TieredPrice(3.0, [(200_000, 6.0)]).usd_per_mtok(np.array([200_000.0, 200_001.0])).tolist()
            [3.0, 6.0]
        """
        price = np.full(input_tokens.shape, self.base_usd_per_mtok)
        for start, tier_price in self.tiers:
            price[input_tokens > start] = tier_price
        return price


@dataclass(frozen=True)
class TokenPrices:
    """Prices of one model at one provider."""

    input: TieredPrice
    cached_input: TieredPrice
    output: TieredPrice
    usd_per_request: float = 0.0


def request_usd(prices: TokenPrices, sample: RequestSample) -> Array:
    """List price of each request [USD], shape (sample,).

    Example:
        900 uncached, 300 cached and 300 generated tokens:

        >>> prices = TokenPrices(TieredPrice(0.15), TieredPrice(0.075), TieredPrice(0.60))
        >>> sample = RequestSample.of(np.array([1200.0]), np.array([300.0]), 0.25)
        >>> [round(usd, 9) for usd in request_usd(prices, sample).tolist()]
        [0.0003375]
    """
    prompt = sample.input_tokens
    return np.asarray(
        (
            (prompt - sample.cached_input_tokens) * prices.input.usd_per_mtok(prompt)
            + sample.cached_input_tokens * prices.cached_input.usd_per_mtok(prompt)
            + sample.output_tokens * prices.output.usd_per_mtok(prompt)
        )
        / TOKENS_PER_MTOK
        + prices.usd_per_request
    )


@dataclass(frozen=True)
class ApiBill:
    """How an API charges for a month's requests.

    Attributes:
        usd_per_request: what one request costs in months 1…H, retries and discounts included [USD], shape (months,).
        commitment_usd: the least that a month costs [USD/month].
    """

    usd_per_request: Array
    commitment_usd: float

    def usage_usd(self, requests: Array) -> Array:
        """What the requests of months 1…H cost [USD]; shape (months,) or (months, counts), as the requests."""
        price = self.usd_per_request.reshape(-1, *(1,) * (requests.ndim - 1))
        return np.asarray(price * requests)

    def shortfall_usd(self, requests: Array) -> Array:
        """What is paid on top because a commitment is not used up [USD], shaped as the requests."""
        return np.maximum(self.commitment_usd - self.usage_usd(requests), 0.0)

    def total_usd(self, requests: Array) -> Array:
        """The month's bill [USD], shaped as the requests."""
        return self.usage_usd(requests) + self.shortfall_usd(requests)


def api_bill(option: ApiOption, list_usd_per_request: float, months: int, price_factor: float = 1.0) -> ApiBill:
    """The bill of an option over a horizon.

    Args:
        option: retries, batch, commitment and price change.
        list_usd_per_request: list price of the mean request in month 1 [USD].
        months: the horizon H [months].
        price_factor: multiplies the token prices, for what-if questions; a commitment stays as agreed.

    Example:
        Two percent retries; a quarter of the bill at half price; ten percent off for a commitment:

        >>> option = ApiOption(
        ...     name="a", price={"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}, retry_fraction=0.02,
        ...     batch={"share_fraction": 0.25, "discount_fraction": 0.5},
        ...     commitment={"usd_per_month": 100.0, "discount_fraction": 0.1},
        ... )
        >>> bill = api_bill(option, 0.001, 2)
        >>> bill.usd_per_request.round(9).tolist(), bill.total_usd(np.array([1000.0, 1e6])).round(4).tolist()
        ([0.00080325, 0.00080325], [100.0, 803.25])
    """
    discounted = (1 - option.batch.share_fraction * option.batch.discount_fraction) * (
        1 - option.commitment.discount_fraction
    )
    usd_per_request = list_usd_per_request * price_factor * (1 + option.retry_fraction) * discounted
    return ApiBill(
        usd_per_request * growth_factors(option.price_change_fraction_per_year, MONTHS_PER_YEAR, months),
        option.commitment.usd_per_month,
    )
