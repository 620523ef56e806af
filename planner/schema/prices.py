"""`planner.prices/1`: the price book. Every price has a basis, a source and the day it was checked."""

import datetime
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from planner.schema.base import Currency, Day, FileModel, Name, NonNegative, RuledFileModel, day_from_iso
from planner.schema.options import PriceBasis


class DatedPrice(RuledFileModel):
    """What every price must tell about itself."""

    basis: PriceBasis
    source: Annotated[str, Field(min_length=1)]
    """Page, document or person."""
    checked_on: Day
    """The day on which somebody looked."""
    expires_on: Day | None = None
    """The day from which the price no longer holds."""

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A price that expires after it was checked."""
        checked_on, expires_on = (day_from_iso(data.get(key)) for key in ("checked_on", "expires_on"))
        if not isinstance(checked_on, datetime.date) or not isinstance(expires_on, datetime.date):
            return
        if expires_on <= checked_on:
            yield "expires_on", f"must be after checked_on ({checked_on})"


class ApiPriceRow(DatedPrice):
    """Price of one model at one provider, per million tokens."""

    provider: Name
    model: Name
    input_usd_per_mtok: NonNegative
    cached_input_usd_per_mtok: NonNegative | None = None
    output_usd_per_mtok: NonNegative


class AcceleratorPriceRow(DatedPrice):
    """Rent or purchase price of one accelerator."""

    accelerator: Name
    provider: Name
    tenure: Literal["purchase", "reserved", "on_demand", "spot"]
    usd_per_gpu_hour: NonNegative | None = None
    purchase_usd_per_gpu: NonNegative | None = None

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The price that the tenure is paid by."""
        yield from super().rules(data)
        needed, other = "usd_per_gpu_hour", "purchase_usd_per_gpu"
        if data.get("tenure") == "purchase":
            needed, other = other, needed
        if data.get(needed) is None or data.get(other) is not None:
            yield "", f"needs {needed} and not {other} with tenure: {data.get('tenure')}"


class PriceBook(FileModel):
    """Dated prices of APIs and accelerators in one currency."""

    schema_: Literal["planner.prices/1"] = Field(alias="schema")
    name: Name
    currency: Currency
    api: list[ApiPriceRow] = []
    accelerators: list[AcceleratorPriceRow] = []
