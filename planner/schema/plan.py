"""`planner.plan/1`: the answer, with everything that a reader needs to check it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from planner.schema.base import Currency, Day, FileModel, Fraction, RuledFileModel

_FROM_LIST = Field(strict=False)  # JSON has no tuples

Choice = Literal["host", "api", "hybrid"]
VerdictChoice = Literal["host", "api", "hybrid", "abstain"]
Amount = Annotated[float, Field(ge=-1e18, le=1e18)]
"""A figure; beyond these limits a unit must be wrong."""
Volume = Annotated[float, Field(ge=1e-9, le=1e18)]
Basis = Literal["measured", "quoted", "list", "assumed", "default", "emulated", "estimated"]


class Distribution(FileModel):
    """A figure under doubt; all four are equal where no input states a doubt."""

    mean: Amount
    p10: Amount
    p50: Amount
    p90: Amount


class ScenarioRef(FileModel):
    """The question that this plan answers."""

    name: str
    sha256: str
    """Of the scenario file's bytes."""
    as_of: Day
    currency: Currency
    horizon_months: Annotated[int, Field(ge=1, le=240)]
    discount_rate_fraction_per_year: Annotated[float, Field(ge=0, le=10)]
    history: list[str] = []
    """What was found in the traffic history, in plain words."""


class Verdict(FileModel):
    """What to do, how sure that is, and why."""

    choice: VerdictChoice
    option: str | None
    """The option to take; null where the choice is to abstain."""
    probability_best: Fraction | None
    """Of the option taken; 1 or 0 where no input states a doubt; null where no option is taken."""
    grade: Literal["decision", "unverified", "example"]
    """What the figures can carry: a decision, a decision once verified, or an illustration."""
    grade_because: list[str]
    reasons: list[str]
    decide_again_on: Day


class Gate(FileModel):
    """A requirement that can decide before any cost is looked at."""

    name: str
    result: Literal["pass", "fail", "unknown", "not_asked"]
    """fail: at least one way of serving does not meet the requirement."""
    effect: Literal["must_host", "must_not_host", "warns", "none"]
    because: str

    @property
    def title(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ").replace("gpu", "GPU")


class Replicas(FileModel):
    """Replicas over the horizon."""

    first_month: Annotated[int, Field(ge=0)]
    """Working replicas in month 1, spares not counted."""
    last_month: Annotated[int, Field(ge=0)]
    """The same in the last month."""
    spare: int
    """On and paid beside the working ones."""


class SloResult(FileModel):
    """Service level reached; latencies are null where capacity is stated rather than simulated."""

    attainment_fraction: Fraction | None
    ttft_p95_s: float | None = None
    tpot_p95_s: float | None = None


class CashFlowMonth(FileModel):
    """Nominal money that moves at the end of a month; month 0 is the start."""

    month: Annotated[int, Field(ge=0, le=240)]
    lines: dict[str, Amount]
    total_usd: Amount


class Option(FileModel):
    """One way of serving the traffic, with what it costs."""

    name: str
    kind: Choice
    is_feasible: bool
    infeasible_because: list[str]
    replicas: Replicas
    hosted_fraction: Fraction | None
    """Share of the horizon's requests served in house; null where there are none."""
    success_fraction: Fraction | None
    """Share of requests that end in an accepted answer; null where there are none."""
    monthly_cost_usd: Distribution
    """Level monthly payment of the same present value."""
    npv_cost_usd: Distribution
    """Present value of all costs over the horizon."""
    cost_per_mtok_usd: Amount | None
    """Present value of costs over that of input and output tokens, per million; null where there are none."""
    cost_per_success_usd: Distribution | None
    """Present value of costs over that of accepted answers; null (undefined) where there are none."""
    slo: SloResult
    cash_flow: Annotated[list[CashFlowMonth], Field(min_length=2)]


class Curve(FileModel):
    """One option's costs at other volumes; null where undefined."""

    name: str
    kind: Choice
    monthly_cost_usd: list[Amount | None]
    cost_per_success_usd: list[Amount | None]


class CostCurves(RuledFileModel):
    """What the chart of cost against volume shows."""

    requests_per_month: Annotated[list[Volume], Field(min_length=1)]
    """Volumes of month 1, ascending [requests/month]."""
    options: list[Curve]

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A cost for each volume."""
        volumes, options = data.get("requests_per_month"), data.get("options")
        for option in options if isinstance(options, list) else []:
            for field in ("monthly_cost_usd", "cost_per_success_usd"):
                costs = option.get(field) if isinstance(option, Mapping) else getattr(option, field, None)
                if isinstance(costs, list) and isinstance(volumes, list) and len(costs) != len(volumes):
                    yield "options", f"{field} must have {len(volumes)} values, one for each volume"


class BreakEven(FileModel):
    """Where the best hosting or hybrid option starts to beat the best API option."""

    requests_per_month: list[Annotated[tuple[float, float | None], _FROM_LIST]]
    """Volumes of month 1 at which hosting or a hybrid is cheaper, as [low, high].

    Where no end was found, low is 0 or high is null. Compared are the feasible options, or all of them where a
    requirement leaves one side only.
    """
    now_requests_per_month: Amount
    scanned_requests_per_month: Annotated[tuple[float, float], _FROM_LIST] | None
    """The volumes looked at; null where there was nothing to compare."""
    api_price_change_fraction: Amount | None
    """Change of all API prices at which the best API option costs as much as the best other; null where none does."""


class Risk(FileModel):
    """What doubt does to the decision; without stated doubt each figure follows from the plan itself."""

    probability_best: dict[str, Fraction]
    expected_regret_usd: dict[str, Amount]
    """Lead of the best option in cost per accepted answer, times its accepted answers, as a present value."""
    evpi_usd: Amount
    evppi_usd: dict[str, Amount]


class Flip(FileModel):
    """An input, and the value at which the verdict becomes another one, all other inputs as they are."""

    input: str
    now: Amount
    flips_at: Amount
    """At this value the verdict is `to`."""
    to: VerdictChoice


class Assumption(FileModel):
    """A number the plan stands on: where it comes from and how old it is."""

    id: str
    value: Amount | Annotated[int, Field(ge=-(10**18), le=10**18)] | str | bool | None
    unit: str
    basis: Basis
    source: str
    as_of: Day | None
    age_days: int | None
    expires_on: Day | None
    used_by: list[str]


class CurrentCost(FileModel):
    """What is paid today, as a level monthly payment."""

    option: str | None
    monthly_cost_usd: Amount


class Plan(FileModel):
    """The decision and everything it rests on."""

    schema_: Annotated[Literal["planner.plan/1"], Field(alias="schema")]
    scenario: ScenarioRef
    verdict: Verdict
    gates: list[Gate]
    options: list[Option]
    current: CurrentCost | None
    break_even: BreakEven
    curves: CostCurves | None
    risk: Risk
    flips: list[Flip]
    assumptions: list[Assumption]
    warnings: list[str]
