"""`planner.scenario/1`: the question. Traffic, service level, options, requirements."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from planner.schema.base import (
    Change,
    Currency,
    Day,
    FileModel,
    Fraction,
    Name,
    NonNegative,
    Positive,
    RuledFileModel,
    number_in,
)
from planner.schema.options import ApiOption, HostingOption

LOGNORMAL_P95_TO_MEAN_MAX = 3.868
"""exp(z²/2) with z the 95th normal percentile, rounded down: the largest p95 / mean of any lognormal."""

DEFAULT_BURST_HOURS_FRACTION = 0.05
LEAST_REQUESTS_PER_MONTH = 1e-3
MOST_OPTIONS = 50
"""Of hosting, and of APIs: each pair of them is a hybrid to be priced."""


class TokenLengths(RuledFileModel):
    """Tokens per request: a number where all are alike, or a mean and p95 of a lognormal spread."""

    mean: Annotated[float, Field(ge=0, le=1e9)]
    """Mean tokens per request [tokens]."""
    p95: Positive | None = None
    """95th percentile across requests [tokens]; between the mean and 3.868 times the mean. Left out: all alike."""

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A p95 that a lognormal with this mean can have."""
        mean, p95 = number_in(data, "mean"), number_in(data, "p95")
        if mean is not None and p95 is not None and not mean <= p95 <= LOGNORMAL_P95_TO_MEAN_MAX * mean * (1 + 1e-9):
            yield (
                "p95",
                f"must lie between the mean and {LOGNORMAL_P95_TO_MEAN_MAX} times the mean, "
                f"as in every lognormal; the mean is {mean:g}",
            )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1e9}, handler(core_schema)]}


def _number_as_mean(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"mean": value} if is_number else value


Lengths = Annotated[TokenLengths, BeforeValidator(_number_as_mean)]


class Traffic(RuledFileModel):
    """What will be asked: the level of month 1, its growth, its shape in time, the lengths of requests."""

    requests_per_month: Annotated[float, Field(ge=0, le=1e15)] | None = None
    """Requests in month 1 [requests/month], 0 or at least 0.001; or `history`, or `forecast`."""
    history: Name | None = None
    """Trace or counts CSV that gives level, shape and, where it has them, token lengths; relative to this file."""
    forecast: Name | None = None
    """Forecast file; relative to this file."""
    growth_fraction_per_month: Change = 0.0
    """Growth from each month to the next [fraction/month]."""
    shape: Literal["steady", "diurnal", "bursty", "history"] | None = None
    """How hourly load spreads around its mean; `history` where a history is given, else `steady`."""
    peak_to_mean: Annotated[float, Field(ge=1, le=1000)] = 1.0
    """Load of the busiest hour over the mean hour; used by `diurnal` (below 24) and `bursty`."""
    burst_hours_fraction: Annotated[float, Field(gt=0, lt=1)] = DEFAULT_BURST_HOURS_FRACTION
    """Share of the hours that are at the peak; used by `bursty`."""
    burstiness: NonNegative = 1.0
    """Squared coefficient of variation of the gaps between arrivals within an hour; 1 is Poisson."""
    input_tokens: Lengths | None = None
    """Prompt tokens per request [tokens]; required unless the history has them."""
    output_tokens: Lengths | None = None
    """Generated tokens per request [tokens]; required unless the history has them."""
    cached_input_fraction: Fraction = 0.0
    """Share of prompt tokens that an API bills at its cached price."""

    @property
    def shape_name(self) -> str:
        """The shape in force."""
        return self.shape or ("history" if self.history else "steady")

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """One level, a shape that is possible, lengths unless a history may have them."""
        levels = [key for key in ("requests_per_month", "history", "forecast") if data.get(key) is not None]
        if len(levels) != 1:
            given = " and ".join(levels) or "none"
            yield (
                "",
                f"needs exactly one of requests_per_month, history, forecast; given: {given}",
            )
        requests = number_in(data, "requests_per_month", 0.0)
        if requests is not None and 0 < requests < LEAST_REQUESTS_PER_MONTH:
            yield "requests_per_month", f"must be 0 or at least {LEAST_REQUESTS_PER_MONTH:g}; given: {requests:g}"
        shape = data.get("shape")
        peak_to_mean = number_in(data, "peak_to_mean", 1.0)
        burst_hours_fraction = number_in(data, "burst_hours_fraction", DEFAULT_BURST_HOURS_FRACTION)
        if shape == "history" and data.get("history") is None:
            yield "shape", "history needs `history: FILE`"
        if shape == "diurnal" and peak_to_mean is not None and peak_to_mean >= 24:
            yield "peak_to_mean", "must be below 24 with shape: diurnal"
        if shape == "bursty" and peak_to_mean and burst_hours_fraction and peak_to_mean * burst_hours_fraction > 1:
            yield (
                "peak_to_mean",
                f"times burst_hours_fraction ({burst_hours_fraction:g}) must be at most 1 with shape: bursty, "
                "or the bursts alone would exceed the mean",
            )
        if data.get("history") is None:
            for key in ("input_tokens", "output_tokens"):
                if data.get(key) is None:
                    yield "", f"{key} is missing; allowed: a number, or {{mean: , p95: }}"


class Slo(FileModel):
    """Service level that a request is held to."""

    ttft_p95_s: Positive | None = None
    """95th percentile of the time to the first token [s]."""
    tpot_p95_s: Positive | None = None
    """95th percentile of the time per output token after the first [s]."""


class Service(FileModel):
    """The service level, and the share of requests for which it must hold."""

    slo: Slo = Slo()
    attainment_fraction: Annotated[float, Field(gt=0, le=1)] = 0.99
    """Share of requests in hours that hold the service level."""


class Requirements(FileModel):
    """Gates. What is left out is not asked."""

    data_residency: Literal["none", "preferred", "required"] | None = None
    """Must data stay in your own network?"""
    offline: bool | None = None
    """Must the service work without a network?"""
    fine_tuning: Literal["none", "helpful", "required"] | None = None
    """Is fine-tuning needed that hosted APIs may not offer?"""
    frontier_capability: Literal["none", "some_tasks", "required"] | None = None
    """Is capability needed that open-weight models do not reach?"""
    gpu_operations_experience: Literal["none", "some", "strong"] | None = None
    """The team's experience in running GPUs."""
    growth: Literal["predictable", "uncertain"] | None = None
    """Can the growth of the volume be predicted?"""
    model_changes_per_year: Annotated[float, Field(ge=0, le=365)] = 0.0
    """Model versions taken up per year [changes/year]; each costs a re-qualification where one is priced."""


class Current(RuledFileModel):
    """What is paid today: an option of this scenario, or a sum."""

    option: Name | None = None
    """Name of an option of this scenario."""
    usd_per_month: NonNegative | None = None
    """Sum paid per month."""

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Either an option or a sum."""
        if (data.get("option") is None) == (data.get("usd_per_month") is None):
            yield "", "needs exactly one of option, usd_per_month"


class DecisionRule(FileModel):
    """A rule stricter than the default; it can only turn host or hybrid into api."""

    minimum_probability: Fraction | None = None
    """Host only where the hosting option is best with at least this probability."""
    measured_capacity: bool = False
    """Host only on measured capacity."""


class Scenario(RuledFileModel):
    """A question to decide: this traffic, these options, these requirements."""

    schema_: Literal["planner.scenario/1"] = Field(alias="schema")
    name: Name
    as_of: Day
    """The day for which the plan is made; ages of prices are counted from it."""
    currency: Currency
    """The one currency of every `_usd` field here; its ISO 4217 code."""
    horizon_months: Annotated[int, Field(ge=1, le=240)]
    """Months that the decision is for [months]."""
    discount_rate_fraction_per_year: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Price of capital [fraction/year]."""
    traffic: Traffic
    service: Service = Service()
    hosting: Annotated[list[HostingOption], Field(max_length=MOST_OPTIONS)] = []
    api: Annotated[list[ApiOption], Field(max_length=MOST_OPTIONS)] = []
    current: Current | None = None
    requirements: Requirements = Requirements()
    decision_rule: DecisionRule = DecisionRule()
    materiality_fraction: Fraction = 0.02
    """Gap in cost per success below which two choices count as equal."""

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """At least one option; names that differ; a current option that exists."""
        hosting, api = _names_in(data.get("hosting")), _names_in(data.get("api"))
        names = [*hosting, *api, *(hybrid_name(h, a) for h in hosting for a in api)]
        if not data.get("hosting") and not data.get("api"):
            yield "", "needs at least one option under hosting or api"
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield (
                "",
                f"option names must differ (hybrids are named 'HOSTING + API'); twice: {', '.join(twice)}",
            )
        current = data.get("current")
        option = current.get("option") if isinstance(current, Mapping) else None
        if isinstance(option, str) and names and option not in names:
            yield "current", f"option must be one of: {', '.join(names)}; given: {option}"


def hybrid_name(hosting: str, api: str) -> str:
    """Name of the option that hosts the base load and sends the rest to an API."""
    return f"{hosting} + {api}"


def _names_in(options: Any) -> list[str]:
    if not isinstance(options, list):
        return []
    names = [option.get("name") if isinstance(option, Mapping) else None for option in options]
    return [name for name in names if isinstance(name, str)]
