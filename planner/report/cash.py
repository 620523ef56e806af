"""Cash-flow statements: monthly rows gathered into a start, years and a total."""

import math

from planner.report.blocks import Row, Table, slug
from planner.report.figures import cents
from planner.schema.plan import Option, Plan
from planner.units import MONTHS_PER_YEAR

_TOLERANCE_USD = 0.005
"""Half a cent: what statement and plan may differ by."""

_PURCHASE_NOTE = (
    "Month 0 is the start; year 1 holds the rows of months 1 to 12, year 2 those of 13 to 24, and so on. Running costs "
    "stand at the end of their month. A purchase is paid at the start of its month and so stands in the row before: "
    "one for month 13 is in year 1."
)


def cash_flow_tables(plan: Plan, anchors: dict[str, str]) -> tuple[Table, ...]:
    """A statement for every option, the chosen one first and unfolded."""
    chosen = plan.verdict.option
    options = sorted(plan.options, key=lambda option: option.name != chosen)
    return tuple(
        _cash_flow_table(option, plan.scenario.currency, anchors[option.name], option.name == chosen)
        for option in options
    )


def cash_flow_anchors(plan: Plan) -> dict[str, str]:
    """Where each option's statement stands."""
    return {option.name: f"cash-{number}-{slug('', option.name)}" for number, option in enumerate(plan.options, 1)}


def _cash_flow_table(option: Option, currency: str, anchor: str, is_chosen: bool) -> Table:
    years = math.ceil(max((row.month for row in option.cash_flow), default=0) / MONTHS_PER_YEAR)
    lines = list(dict.fromkeys(line for row in option.cash_flow for line in row.lines))
    periods = range(years + 1)

    rows = []
    for line in lines:
        amounts = [(row.month, row.lines.get(line, 0.0)) for row in option.cash_flow]
        rows.append(Row((_line_label(line), *_by_period(amounts, periods))))
    totals = [(row.month, row.total_usd) for row in option.cash_flow]
    rows.append(Row(("Total", *_by_period(totals, periods)), style="total"))

    return Table(
        anchor=anchor,
        caption=f"Cash flow of {option.name} [{currency}, nominal]",
        columns=("Line", "Start (month 0)", *(f"Year {year}" for year in periods[1:]), "Total"),
        align="l" + "r" * (len(periods) + 1),
        rows=tuple(rows),
        notes=(_PURCHASE_NOTE, _check(option)),
        is_open=is_chosen,
    )


def _by_period(amounts: list[tuple[int, float]], periods: range) -> list[str]:
    """Sums of the start, of each year and of everything, from exact sums of unrounded amounts."""
    sums = [
        math.fsum(amount for month, amount in amounts if math.ceil(month / MONTHS_PER_YEAR) == period)
        for period in periods
    ]
    return [cents(amount) for amount in (*sums, math.fsum(amount for _, amount in amounts))]


def _check(option: Option) -> str:
    gaps = [abs(math.fsum(row.lines.values()) - row.total_usd) for row in option.cash_flow]
    if max(gaps, default=0.0) < _TOLERANCE_USD:
        return "Every month's lines add up to its total to the cent; sums are taken before rounding."
    worst = option.cash_flow[gaps.index(max(gaps))]
    return (
        f"WARNING: the lines do not add up to the total; the gap is widest in month {worst.month} ({max(gaps):,.2f})."
    )


def _line_label(line: str) -> str:
    label = line.removesuffix("_usd").replace("_", " ")
    return label[:1].upper() + label[1:]
