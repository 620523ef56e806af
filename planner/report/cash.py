"""Cash-flow statements: by year for every option, by month for those that a reader compares."""

import math
from collections.abc import Sequence

from planner.report.blocks import Row, Table, slug
from planner.report.figures import cents, money, quantity
from planner.report.findings import leaders
from planner.schema.plan import Option, Plan
from planner.units import MONTHS_PER_YEAR

_TOLERANCE_USD = 0.005
"""Half a cent: what the lines and the total of a month may differ by."""

_TIMING_NOTE = (
    "Money that comes in is negative. Month 0 is the start; year 1 holds months 1 to 12, and so on. Running costs "
    "stand at the end of their month. A purchase is paid at the start of its month, which is the end of the month "
    "before: one for month 13 is in year 1."
)
_ROUNDING_NOTE = "Every figure is rounded to the cent, and every sum is that of the figures shown"


def cash_flow_tables(plan: Plan, anchors: dict[str, str]) -> tuple[Table, ...]:
    """A statement by year for every option, the chosen one first and unfolded; then those by month."""
    chosen = plan.verdict.option
    options = sorted(plan.options, key=lambda option: option.name != chosen)
    by_year = [_by_year(plan, option, anchors[option.name], is_open=option.name == chosen) for option in options]
    by_month = [_by_month(plan, option, f"{anchors[option.name]}-months") for option in leaders(plan)]
    return (*by_year, *by_month)


def cash_flow_anchors(plan: Plan) -> dict[str, str]:
    """Where each option's statement stands."""
    return {option.name: f"cash-{number}-{slug('', option.name)}" for number, option in enumerate(plan.options, 1)}


def _by_year(plan: Plan, option: Option, anchor: str, is_open: bool) -> Table:
    """Lines down, years across."""
    horizon = plan.scenario.horizon_months
    years = range(math.ceil(horizon / MONTHS_PER_YEAR) + 1)
    lines = _lines(option)
    amounts = [[_summed(option, line, year) for year in years] for line in lines]
    totals = [sum(column) for column in zip(*amounts, strict=True)] if amounts else [0.0 for _ in years]
    present = [_present_usd(plan, option, year) for year in years]
    rows = [_row(_line_label(line), values) for line, values in zip(lines, amounts, strict=True)]
    rows.append(_row("Total", totals, "total"))
    rows.append(_row(_present_label(plan), present))
    return Table(
        anchor=anchor,
        caption=f"Cash flow of {option.name} [{plan.scenario.currency}, nominal]",
        columns=("Line", "Start (month 0)", *(_year(year, horizon) for year in years[1:]), "Total"),
        align="l" + "r" * (len(years) + 1),
        rows=tuple(rows),
        notes=(_headline(plan, option), _check(plan, option, sum(present)), _TIMING_NOTE),
        is_open=is_open,
    )


def _by_month(plan: Plan, option: Option, anchor: str) -> Table:
    """Months down, lines across, as a spreadsheet takes them."""
    lines = _lines(option)
    months = [
        [*(_cent(row.lines.get(line, 0.0)) for line in lines), row.total_usd * _discount(plan, row.month)]
        for row in option.cash_flow
    ]
    rows = [
        Row((str(row.month), *map(cents, (*amounts[:-1], sum(amounts[:-1]), amounts[-1]))))
        for row, amounts in zip(option.cash_flow, months, strict=True)
    ]
    sums = [sum(_cent(amount) for amount in column) for column in zip(*months, strict=True)]
    rows.append(Row(("Total", *map(cents, (*sums[:-1], sum(sums[:-1]), sums[-1]))), style="total"))
    return Table(
        anchor=anchor,
        caption=f"Cash flow of {option.name} by month [{plan.scenario.currency}, nominal]",
        columns=("Month", *map(_line_label, lines), "Total", _present_label(plan)),
        align="r" * (len(lines) + 3),
        rows=tuple(rows),
        notes=(f"{_ROUNDING_NOTE}.",),
        is_open=False,
    )


def _lines(option: Option) -> list[str]:
    return list(dict.fromkeys(line for row in option.cash_flow for line in row.lines))


def _summed(option: Option, line: str, year: int) -> float:
    return _cent(math.fsum(row.lines.get(line, 0.0) for row in option.cash_flow if _year_of(row.month) == year))


def _present_usd(plan: Plan, option: Option, year: int) -> float:
    amounts = (row.total_usd * _discount(plan, row.month) for row in option.cash_flow if _year_of(row.month) == year)
    return _cent(math.fsum(amounts))


def _cent(amount: float) -> float:
    """As shown: sums are made of these, so that a reader can add them up."""
    return round(amount, 2)


def _discount(plan: Plan, month: int) -> float:
    return float((1 + plan.scenario.discount_rate_fraction_per_year) ** (-month / MONTHS_PER_YEAR))


def _year_of(month: int) -> int:
    return math.ceil(month / MONTHS_PER_YEAR)


def _row(label: str, amounts: Sequence[float], style: str = "") -> Row:
    return Row((label, *map(cents, (*amounts, sum(amounts)))), style=style)


def _present_label(plan: Plan) -> str:
    rate = quantity(plan.scenario.discount_rate_fraction_per_year, "fraction/year", plan.scenario.currency)
    return f"Present value at {rate}"


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


def _check(plan: Plan, option: Option, shown_usd: float) -> str:
    """Whether the statement adds up, and to the plan's present value."""
    gaps = [abs(math.fsum(row.lines.values()) - row.total_usd) for row in option.cash_flow]
    if max(gaps, default=0.0) >= _TOLERANCE_USD:
        worst = option.cash_flow[gaps.index(max(gaps))]
        return (
            f"WARNING: the lines do not add up to the total; most of all in month {worst.month}: {max(gaps):,.2f} off."
        )
    present_usd = math.fsum(row.total_usd * _discount(plan, row.month) for row in option.cash_flow)
    gap = abs(present_usd - option.npv_cost_usd.mean)
    if gap >= max(_TOLERANCE_USD, 1e-9 * abs(present_usd)):
        return f"WARNING: the present value of these rows is {gap:,.2f} off that of the plan."
    rounding = round(abs(shown_usd - option.npv_cost_usd.mean), 2)
    off = f", here {rounding:,.2f} off the plan's present value" if rounding else ""
    return f"{_ROUNDING_NOTE}{off}."


def _line_label(line: str) -> str:
    label = line.removesuffix("_usd").replace("_", " ")
    return label[:1].upper() + label[1:]
