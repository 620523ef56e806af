"""The report as text and tables, the same for HTML and Markdown."""

from collections.abc import Iterator
from dataclasses import dataclass

from planner.report import figures
from planner.report.answer import Answer, break_even_label, build_answer, volume_ranges
from planner.report.blocks import Fact, Table, map_text, plain
from planner.report.cash import cash_flow_anchors, cash_flow_tables
from planner.report.charts import drawn_curves
from planner.report.findings import gate_decides, is_ruled_out
from planner.report.tables import (
    assumption_anchors,
    assumption_tables,
    curve_table,
    doubt_table,
    flips_table,
    gates_table,
    options_table,
)
from planner.schema.plan import Plan

_LIMITS = (
    "Taxes, and what depreciation saves of them, are not modelled; costs are cash before tax.",
    "Lead times of hardware and contracts are not modelled: a replica bought for a month is there at its start.",
    "An API's rate limits and latency are not looked at: whether it takes the peaks, and how fast, is to be checked.",
    "Reserved and spot machines, and machines that follow the load, are not among the options of this version.",
    "Failures beyond the stated spares, staff turnover and a change of the model's quality are not modelled.",
    "Costs that the scenario leaves out count as 0 and stand under the defaults of the assumptions.",
)
_OF_STATED_CAPACITY = "Capacity is stated, and hours are taken as even inside: bursts within an hour are not looked at."
_OF_PROFILES = (
    "Sizing by a profile takes an hour's load as even but for its burstiness; replicas neither fail nor start in it."
)


@dataclass(frozen=True)
class View:
    """Everything that a report shows, in its order."""

    title: str
    scenario: tuple[Fact, ...]
    answer: Answer
    limits: tuple[str, ...]
    warnings: tuple[str, ...]
    gates: Table
    options: Table
    volume_text: tuple[str, ...]
    chart_alt: str
    chart_key: str
    curve: Table | None
    cash_flows: tuple[Table, ...]
    flips: Table
    change_text: tuple[str, ...]
    doubt: Table | None
    assumptions: tuple[Table, ...]
    history: tuple[str, ...]


def _limits(plan: Plan) -> Iterator[str]:
    """What the plan does not look at."""
    yield from _LIMITS
    if any(row.id.endswith(".capacity.requests_per_s") for row in plan.assumptions):
        yield _OF_STATED_CAPACITY
    if any(".profile." in row.id for row in plan.assumptions):
        yield _OF_PROFILES


def build_view(plan: Plan) -> View:
    """The report of a plan. The same plan gives the same text."""
    cash_anchors, anchors = cash_flow_anchors(plan), assumption_anchors(plan)
    links = dict(zip((assumption.id for assumption in plan.assumptions), anchors, strict=True))
    view = View(
        title=plan.scenario.name,
        scenario=_scenario_facts(plan),
        answer=build_answer(plan, cash_anchors, anchors),
        limits=tuple(_limits(plan)),
        warnings=tuple(plan.warnings),
        gates=gates_table(plan),
        options=options_table(plan, cash_anchors),
        volume_text=_volume_text(plan),
        chart_alt=_chart_alt(plan),
        chart_key=_chart_key(plan),
        curve=curve_table(plan),
        cash_flows=cash_flow_tables(plan, cash_anchors),
        flips=flips_table(plan, links),
        change_text=_change_text(plan),
        doubt=doubt_table(plan),
        assumptions=assumption_tables(plan, anchors),
        history=tuple(plan.scenario.history),
    )
    return map_text(view, plain)


def _scenario_facts(plan: Plan) -> tuple[Fact, ...]:
    scenario = plan.scenario
    return (
        Fact("As of", figures.day(scenario.as_of)),
        Fact("Horizon", f"{scenario.horizon_months} months"),
        Fact(
            "Discount rate",
            figures.quantity(scenario.discount_rate_fraction_per_year, "fraction/year", scenario.currency),
        ),
        Fact("Currency", scenario.currency),
        Fact("Scenario file (SHA-256)", scenario.sha256),
    )


def _volume_text(plan: Plan) -> tuple[str, ...]:
    even = plan.break_even
    text = [f"{break_even_label(plan)}: {_lower(volume_ranges(plan))}."]
    text.append(f"You are at {figures.volume(even.now_requests_per_month)}, the volume of month 1.")
    if even.scanned_requests_per_month is not None:
        low, high = even.scanned_requests_per_month
        text.append(f"Looked at: {figures.count(low)} to {figures.volume(high)}.")
    return tuple(text)


def _chart_alt(plan: Plan) -> str:
    if plan.curves is None:
        return ""
    names = ", ".join(
        curve.name + (" (ruled out)" if is_ruled_out(plan, curve) else "") for curve in drawn_curves(plan, plan.curves)
    )
    return f"Chart of cost per 1,000 accepted answers against requests per month: {names}. " + " ".join(
        _volume_text(plan)
    )


def _chart_key(plan: Plan) -> str:
    """What the chart's marks mean, apart from the lines that it names itself."""
    if plan.curves is None:
        return ""
    curves = drawn_curves(plan, plan.curves)
    marks = ["Both scales are logarithmic."]
    left_out = len(plan.curves.options) - len(curves)
    if left_out:
        marks.append(f"Drawn are {len(curves)} of {left_out + len(curves)} options; the table below has them all.")
    if plan.break_even.requests_per_month:
        marks.append(f"Shaded: {_lower(break_even_label(plan))}.")
    if any(curve.name == plan.verdict.option for curve in curves):
        marks.append("Broad line: the option chosen.")
    if any(None in curve.monthly_cost_usd for curve in curves):
        marks.append(
            "A hybrid exists, and is drawn, only where its best split leaves something to both the machines and the "
            "API; between two of its pieces the machines alone, without a spare, would serve everything."
        )
    if any(is_ruled_out(plan, curve) for curve in curves):
        marks.append("Pale lines: ruled out.")
    return " ".join(marks)


def _change_text(plan: Plan) -> tuple[str, ...]:
    """What the switch points mean here, or why there are none."""
    if plan.break_even.scanned_requests_per_month is None:
        return (f"{volume_ranges(plan)}.",)
    if gate_decides(plan):
        decides = "Requirements decide, so no price and no volume changes the choice."
        return (decides, f"On cost alone, {_lower(_api_price(plan))}")
    if plan.break_even.now_requests_per_month == 0:
        return ("Without requests there is no cost per accepted answer, and so no answer that could switch.",)
    if not plan.flips:
        return (_api_price(plan), "No volume that was looked at changes the answer.")
    return (_api_price(plan),)


def _api_price(plan: Plan) -> str:
    fraction = plan.break_even.api_price_change_fraction
    if fraction is None:
        return "No change of the API prices makes the best API option cost as much as the best other option."
    if fraction == 0:
        return "At today's API prices the best API option costs as much as the best other option."
    verb = "fall" if fraction < 0 else "rise"
    return (
        f"All API prices would have to {verb} by {figures.percent(abs(fraction))} "
        "for the best API option to cost as much as the best other option."
    )


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
