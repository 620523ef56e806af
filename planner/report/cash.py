"""Cash-flow statements: monthly rows gathered into a start, years and a total, down to the present value."""

import math

from planner.report.blocks import Row, Table, slug
from planner.report.figures import cents, money, quantity
from planner.schema.plan import Option, Plan
from planner.units import MONTHS_PER_YEAR

_TOLERANCE_USD = 0.005
"""Half a cent: what the statement and the plan may differ by."""

_TIMING_NOTE = (
    "Money that comes in is negative. Month 0 is the start; year 1 holds months 1 to 12, and so on. Running costs "
    "stand at the end of their month. A purchase is paid at the start of its month, which is the end of the month "
    "before: one for month 13 is in year 1."
)


def cash_flow_tables(plan: Plan, anchors: dict[str, str]) -> tuple[Table, ...]:
    """A statement for every option, the chosen one first and unfolded."""
    chosen = plan.verdict.option
    options = sorted(plan.options, key=lambda option: option.name != chosen)
    return tuple(
        _cash_flow_table(plan, option, anchors[option.name], is_open=option.name == chosen) for option in options
    )


def cash_flow_anchors(plan: Plan) -> dict[str, str]:
    """Where each option's statement stands."""
    return {option.name: f"cash-{number}-{slug('', option.name)}" for number, option in enumerate(plan.options, 1)}


def _cash_flow_table(plan: Plan, option: Option, anchor: str, is_open: bool) -> Table:
    rate = plan.scenario.discount_rate_fraction_per_year
    years = math.ceil(plan.scenario.horizon_months / MONTHS_PER_YEAR)
    lines = list(dict.fromkeys(line for row in option.cash_flow for line in row.lines))
    periods = range(years + 1)

    rows = []
    for line in lines:
        amounts = [(row.month, row.lines.get(line, 0.0)) for row in option.cash_flow]
        rows.append(Row((_line_label(line), *_by_period(amounts, periods))))
    totals = [(row.month, row.total_usd) for row in option.cash_flow]
    rows.append(Row(("Total", *_by_period(totals, periods)), style="total"))
    present = [(month, amount * (1 + rate) ** (-month / MONTHS_PER_YEAR)) for month, amount in totals]
    at_rate = quantity(rate, "fraction/year", plan.scenario.currency)
    rows.append(Row((f"Present value at {at_rate}", *_by_period(present, periods))))

    return Table(
        anchor=anchor,
        caption=f"Cash flow of {option.name} [{plan.scenario.currency}, nominal]",
        columns=(
            "Line",
            "Start (month 0)",
            *(_year(year, plan.scenario.horizon_months) for year in periods[1:]),
            "Total",
        ),
        align="l" + "r" * (len(periods) + 1),
        rows=tuple(rows),
        notes=(_headline(plan, option), _check(option, math.fsum(amount for _, amount in present)), _TIMING_NOTE),
        is_open=is_open,
    )


def _year(year: int, horizon_months: int) -> str:
    """A year's heading, which tells where the horizon cuts it short."""
    months = min(horizon_months - (year - 1) * MONTHS_PER_YEAR, MONTHS_PER_YEAR)
    if months == MONTHS_PER_YEAR:
        return f"Year {year}"
    return f"Year {year} ({months} month{'' if months == 1 else 's'})"


def _headline(plan: Plan, option: Option) -> str:
    """How the statement leads to the figures of the answer and of the table of options."""
    currency, months = plan.scenario.currency, plan.scenario.horizon_months
    return (
        f"The present value of {money(option.npv_cost_usd.mean, currency)}, paid in {months} equal "
        f"payment{'' if months == 1 else 's'} at the end of each month, is the level monthly cost of "
        f"{money(option.monthly_cost_usd.mean, currency)}."
    )


def _by_period(amounts: list[tuple[int, float]], periods: range) -> list[str]:
    """Sums of the start, of each year and of everything, from exact sums of unrounded amounts."""
    sums = [
        math.fsum(amount for month, amount in amounts if math.ceil(month / MONTHS_PER_YEAR) == period)
        for period in periods
    ]
    return [cents(amount) for amount in (*sums, math.fsum(amount for _, amount in amounts))]


def _check(option: Option, present_usd: float) -> str:
    """Whether the statement adds up, and to the plan's present value."""
    gaps = [abs(math.fsum(row.lines.values()) - row.total_usd) for row in option.cash_flow]
    if max(gaps, default=0.0) >= _TOLERANCE_USD:
        worst = option.cash_flow[gaps.index(max(gaps))]
        return (
            f"WARNING: the lines do not add up to the total; most of all in month {worst.month}: {max(gaps):,.2f} off."
        )
    gap = abs(present_usd - option.npv_cost_usd.mean)
    if gap >= max(_TOLERANCE_USD, 1e-9 * abs(present_usd)):
        return f"WARNING: the present value of these rows is {gap:,.2f} off that of the plan."
    return "Every month's lines add up to its total to the cent, and the present value to that of the plan."


def _line_label(line: str) -> str:
    label = line.removesuffix("_usd").replace("_", " ")
    return label[:1].upper() + label[1:]
