"""The options of a scenario: machines that one hosts, and APIs that one pays by the token."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from planner.schema.base import Change, Day, FileModel, Fraction, Name, NonNegative, Positive, RuledFileModel, number_in

PriceBasis = Literal["list", "quote", "invoice", "example"]


class Capacity(FileModel):
    """Capacity stated by the user rather than measured."""

    requests_per_s: Annotated[float, Field(ge=1e-6, le=1e6)]
    """Load that one replica carries within the service level [requests/s]."""


class Power(RuledFileModel):
    """Power drawn by one replica, and what it costs."""

    idle_w: NonNegative = 0.0
    """Power of a replica that is on and does nothing [W]."""
    busy_w: NonNegative = 0.0
    """Power of a replica at work [W]."""
    pue: Annotated[float, Field(ge=1, le=5)] = 1.0
    """Power usage effectiveness: power of the site over power of the machines."""
    usd_per_kwh: NonNegative = 0.0

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Work takes no less power than idling."""
        idle_w, busy_w = number_in(data, "idle_w", 0.0), number_in(data, "busy_w", 0.0)
        if idle_w is not None and busy_w is not None and busy_w < idle_w:
            yield "busy_w", f"must be at least idle_w ({idle_w:g})"


class Operations(FileModel):
    """People who keep the machines running, on call included."""

    engineer_fraction: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Engineers for this option, in full-time equivalents; may exceed 1."""
    engineer_usd_per_year: NonNegative = 0.0
    """Full cost of one engineer for a year."""

    @property
    def is_priced(self) -> bool:
        """Whether people are paid for at all."""
        return self.engineer_fraction > 0 and self.engineer_usd_per_year > 0


class HostingPriceChange(FileModel):
    """Yearly change of what hosting is paid for, compounded monthly."""

    rent: Change = 0.0
    purchase: Change = 0.0
    people: Change = 0.0
    power: Change = 0.0


class Scaling(FileModel):
    """Whether rented replicas follow the load within a month."""

    mode: Literal["fixed", "autoscale"] = "fixed"
    cold_start_s: NonNegative | None = None
    min_replicas: Annotated[int, Field(ge=0)] | None = None


class PriceSource(FileModel):
    """Where a price comes from, and when somebody looked."""

    basis: PriceBasis
    """list: published; quote: offered to you; invoice: paid by you; example: for illustration only."""
    source: str = ""
    """Page, document or person."""
    checked_on: Day | None = None
    """The day on which somebody looked."""


class HostingOption(RuledFileModel):
    """Machines of one kind, bought or rented, each serving one replica of the model."""

    name: Name
    profile: Name | None = None
    """Service profile; relative to this file."""
    capacity: Capacity | None = None
    """Stated capacity, in place of a profile."""
    gpus_per_replica: Annotated[int, Field(ge=1, le=1024)] = 1
    tenure: Literal["purchase", "reserved", "on_demand", "spot"]
    purchase_usd_per_replica: NonNegative | None = None
    """Server, network and installation for one replica; required with tenure: purchase."""
    lifetime_months: Annotated[int, Field(ge=1, le=240)] = 48
    """Months after which a bought replica is replaced [months]."""
    residual_fraction: Fraction = 0.0
    """What a bought replica is worth at the end of its life, over its price."""
    usd_per_gpu_hour: NonNegative | None = None
    """Rent of one GPU for one hour; required with the other tenures."""
    price_source: PriceSource | None = None
    """Where the purchase price or rent comes from."""
    term_months: Annotated[int, Field(ge=1, le=240)] | None = None
    upfront_fraction: Fraction | None = None
    interruptions_per_month: NonNegative | None = None
    restart_s: NonNegative | None = None
    scaling: Scaling = Scaling()
    power: Power = Power()
    colocation_usd_per_month_per_replica: NonNegative = 0.0
    maintenance_fraction_per_year: Fraction = 0.0
    """Yearly maintenance over the purchase price of every replica owned."""
    one_off_usd: NonNegative = 0.0
    """Migration and set-up, paid at the start."""
    operations: Operations = Operations()
    requalification_usd_per_model_change: NonNegative = 0.0
    """Testing the service again at each change of the model."""
    price_change_fraction_per_year: HostingPriceChange = HostingPriceChange()
    spare_replicas: Annotated[int, Field(ge=0, le=1000)] = 0
    """Replicas beyond those that the load needs; on, and paid."""
    prefix_hit_fraction: Fraction = 0.0
    """Share of prompt tokens served from the engine's prefix cache."""
    retry_fraction: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Extra attempts per request."""
    success_fraction: Fraction = 1.0
    """Share of requests that end in an accepted answer."""
    bakeoff: Name | None = None
    """Bake-off result directory, in place of success_fraction."""

    @property
    def is_bought(self) -> bool:
        """Whether replicas are owned, so that their number only grows."""
        return self.tenure == "purchase"

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """One capacity, and the price that the tenure is paid by."""
        if (data.get("profile") is None) == (data.get("capacity") is None):
            yield "", "needs exactly one of profile, capacity"
        tenure = data.get("tenure")
        if tenure == "purchase" and data.get("purchase_usd_per_replica") is None:
            yield "", "needs purchase_usd_per_replica with tenure: purchase"
        if tenure in ("reserved", "on_demand", "spot") and data.get("usd_per_gpu_hour") is None:
            yield "", f"needs usd_per_gpu_hour with tenure: {tenure}"


class ApiPrice(RuledFileModel):
    """Prices per million tokens, as figures or as a row of a catalogue."""

    input_usd_per_mtok: NonNegative | None = None
    """Prompt tokens that are not cached."""
    cached_input_usd_per_mtok: NonNegative | None = None
    """Cached prompt tokens; left out, they cost as much as the others."""
    output_usd_per_mtok: NonNegative | None = None
    """Generated tokens."""
    catalog: Literal["genai-prices"] | None = None
    """Take the figures as of the scenario's day from this catalogue, which works offline."""
    provider: Name | None = None
    model: Name | None = None
    basis: PriceBasis = "list"
    """list: published; quote: offered to you; invoice: paid by you; example: for illustration only."""
    source: str = ""
    """Page, document or person."""
    checked_on: Day | None = None
    """The day on which somebody looked."""

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Figures, or a row of a catalogue, never both."""
        figures = ("input_usd_per_mtok", "cached_input_usd_per_mtok", "output_usd_per_mtok")
        row = ("provider", "model")
        given = [key for key in (*figures, *row) if data.get(key) is not None]
        if data.get("catalog") is not None:
            if set(given) != set(row):
                yield "", f"a catalogue needs provider and model and no figures; given: {', '.join(given) or 'none'}"
        elif not {"input_usd_per_mtok", "output_usd_per_mtok"} <= set(given) <= set(figures):
            yield (
                "",
                "needs input_usd_per_mtok and output_usd_per_mtok, or catalog with provider and model; "
                f"given: {', '.join(given) or 'none'}",
            )


class Commitment(FileModel):
    """A monthly sum that is paid whether used or not, and the discount it buys."""

    usd_per_month: NonNegative = 0.0
    discount_fraction: Fraction = 0.0


class Batch(FileModel):
    """Share of the bill that can wait for a batch interface, and the discount it gets."""

    share_fraction: Fraction = 0.0
    discount_fraction: Fraction = 0.0


class RateLimits(FileModel):
    """What the provider's tier lets through."""

    requests_per_min: Positive | None = None
    tokens_per_min: Positive | None = None


class ApiOption(FileModel):
    """An API that is paid by the token."""

    name: Name
    price: ApiPrice
    retry_fraction: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Extra attempts per request, paid for."""
    success_fraction: Fraction = 1.0
    """Share of requests that end in an accepted answer."""
    bakeoff: Name | None = None
    """Bake-off result directory, in place of success_fraction."""
    commitment: Commitment = Commitment()
    batch: Batch = Batch()
    rate_limits: RateLimits | None = None
    price_change_fraction_per_year: Change = 0.0
    """Yearly change of the prices, compounded monthly."""
