"""The report's tables, apart from the cash flows: gates, options, volumes, doubt, switch points, assumptions."""

import math

from planner.report import figures
from planner.report.answer import CHOICE_WORDS, spread
from planner.report.blocks import Row, Table, slug, unique
from planner.report.findings import has_doubt, is_ruled_out
from planner.schema.plan import Assumption, Curve, Flip, Option, Plan
from planner.units import unit_of

KIND_WORDS = {"host": "host", "api": "API", "hybrid": "hybrid"}
_GATE_EFFECTS = {"must_host": "rules out every API", "must_not_host": "rules out hosting", "warns": "warns"}
_GATE_RESULTS = {"pass": "is met", "fail": "is not met", "unknown": "not known", "not_asked": "not asked"}
_BASES = {
    "measured": ("Measured", "observed on the machine or the traffic itself"),
    "quoted": ("Quoted", "offered to or paid by you"),
    "list": ("List prices", "published by the seller"),
    "estimated": ("Estimated", "computed from other data, not observed"),
    "emulated": ("Emulated", "from a stand-in for the real machine"),
    "assumed": ("Assumed", "stated in the scenario without evidence"),
    "default": ("Defaults", "left out of the scenario; the program's own value"),
}
_CURVE_ROWS = 9
_API_PRICES = "api.price_change_fraction"
_FLIP_WORDS = {
    "traffic.requests_per_month": ("Requests in month 1", ""),
    _API_PRICES: ("All API prices, against today's", "fraction"),
}
"""What an input is called, and the unit that is not in its name then."""


def gates_table(plan: Plan) -> Table:
    """Requirements that can decide before any cost is looked at."""
    rows = tuple(
        Row((gate.title, _GATE_EFFECTS.get(gate.effect, _GATE_RESULTS[gate.result]), gate.because))
        for gate in plan.gates
    )
    return Table("gates", "Requirements", ("Requirement", "What it does", "Because"), "lll", rows)


def options_table(plan: Plan, cash_anchors: dict[str, str]) -> Table:
    """What is paid today and every option, in identical columns."""
    columns = (
        "Option",
        "Kind",
        "Feasible",
        "Replicas, first → last month",
        "Hosted",
        "Monthly cost, level",
        f"Present value, {plan.scenario.horizon_months} months",
        "Per 1,000 accepted answers",
        "Per million tokens",
        "Service level reached",
    )
    today = _today_row(plan, len(columns))
    rows = [_option_row(plan, option, cash_anchors[option.name]) for option in plan.options]
    notes = ["Monthly cost is the level payment of the same present value. Undefined: nothing to divide by."]
    if has_doubt(plan):
        notes.append("In brackets: from the 10th to the 90th percentile.")
    return Table("options", "All options", columns, "lllrrrrrrr", (*today, *rows), tuple(notes))


def curve_table(plan: Plan) -> Table | None:
    """The chart's numbers at a few volumes."""
    if plan.curves is None:
        return None
    volumes, now = plan.curves.requests_per_month, plan.break_even.now_requests_per_month
    rows = tuple(
        Row(
            (figures.count(volumes[at]), *(_cost_at(plan, curve, at) for curve in plan.curves.options)),
            tags=("you are here",) if volumes[at] == now else (),
            style="chosen" if volumes[at] == now else "",
        )
        for at in _spread_out(volumes, now)
    )
    names = tuple(curve.name + (" (ruled out)" if is_ruled_out(plan, curve) else "") for curve in plan.curves.options)
    caption = "Cost per 1,000 accepted answers at other volumes"
    has_gaps = any(figures.NONE in row.cells for row in rows)
    gaps = f"{figures.NONE}: no hybrid there, since the machines or the API would serve everything."
    notes = (gaps,) if has_gaps else ()
    align = "r" * (len(names) + 1)
    return Table("volume-table", caption, ("Requests/month", *names), align, rows, notes, is_open=False)


def _spread_out(volumes: list[float], now: float) -> list[int]:
    """Places of a few volumes at even ratios from the first to the last, and that of today."""
    low, high = volumes[0], volumes[-1]
    wanted = [low * (high / low) ** (step / (_CURVE_ROWS - 1)) for step in range(_CURVE_ROWS)]
    if low <= now <= high:
        wanted.append(now)
    return sorted({min(range(len(volumes)), key=lambda at: abs(volumes[at] - volume)) for volume in wanted})


def _cost_at(plan: Plan, curve: Curve, at: int) -> str:
    """Cost per 1,000 accepted answers at a volume, where the option exists there: hybrids come and go."""
    if curve.monthly_cost_usd[at] is None:
        return figures.NONE
    return figures.per_thousand(curve.cost_per_success_usd[at], plan.scenario.currency)


def doubt_table(plan: Plan) -> Table | None:
    """How likely each option is to be the cheapest; only where an input states a doubt."""
    if not has_doubt(plan):
        return None
    rows = tuple(
        Row((name, figures.percent(probability), _money_or_none(plan, plan.risk.expected_regret_usd.get(name))))
        for name, probability in plan.risk.probability_best.items()
    )
    knowing = [
        f"Knowing {name} for certain would be worth {figures.money(worth, plan.scenario.currency)}."
        for name, worth in sorted(plan.risk.evppi_usd.items(), key=lambda item: (-item[1], item[0]))
    ]
    everything = (
        f"Knowing everything for certain would be worth {figures.money(plan.risk.evpi_usd, plan.scenario.currency)}."
    )
    columns = ("Option", "Probability of being cheapest", "Expected regret, present value")
    return Table("doubt", "What the stated doubt does", columns, "lrr", rows, (everything, *knowing))


def flips_table(plan: Plan, links: dict[str, str]) -> Table:
    """Inputs whose change would make the verdict another one, the nearest first."""
    units = {assumption.id: assumption.unit for assumption in plan.assumptions}
    currency = plan.scenario.currency
    rows = []
    for flip in sorted(plan.flips, key=lambda flip: (_distance(flip), flip.input)):
        unit = units.get(flip.input, unit_of(flip.input, currency))
        moved = _move(flip)
        words, shown_unit = _FLIP_WORDS.get(flip.input, (flip.input, unit))
        cells = (
            words,
            CHOICE_WORDS[flip.to],
            figures.quantity(flip.flips_at, shown_unit, currency),
            figures.NONE if moved is None else figures.change(moved),
            figures.quantity(flip.now, shown_unit, currency),
        )
        rows.append(Row(cells, link=links.get(flip.input, "")))
    columns = ("Input", "The answer would be", "From", "Change", "Now")
    notes = (
        "One input at a time, all others as in the scenario; for each answer the nearest place found, up and down. "
        "Only the volume and the API prices are varied here, not rents, capacity or people.",
    )
    return Table("flips", "Switch points", columns, "llrrr", tuple(rows), notes)


def assumption_anchors(plan: Plan) -> list[str]:
    """One anchor for each assumption, in their order."""
    return unique([slug("a", assumption.id) for assumption in plan.assumptions])


def assumption_tables(plan: Plan, anchors: list[str]) -> tuple[Table, ...]:
    """The register, a table for each basis so that what is measured and what is assumed stay apart."""
    columns = ("Assumption", "Value", "Basis", "Source", "As of", "Age", "Expires", "Used by")
    tables = []
    for basis, (label, meaning) in _BASES.items():
        rows = tuple(
            _assumption_row(plan, assumption, anchor)
            for assumption, anchor in zip(plan.assumptions, anchors, strict=True)
            if assumption.basis == basis
        )
        if rows:
            caption = f"{label} ({len(rows)}): {meaning}"
            tables.append(Table(f"basis-{basis}", caption, columns, "lrllnrnl", rows, is_open=False))
    return tuple(tables)


def _today_row(plan: Plan, columns: int) -> list[Row]:
    if plan.current is None:
        return []
    cells = [figures.NONE] * columns
    cells[0] = "What is paid today"
    cells[5] = figures.money(plan.current.monthly_cost_usd, plan.scenario.currency)
    tags = (plan.current.option,) if plan.current.option else ()
    return [Row(tuple(cells), anchor="paid-today", tags=tags, style="muted")]


def _option_row(plan: Plan, option: Option, anchor: str) -> Row:
    currency, is_chosen = plan.scenario.currency, option.name == plan.verdict.option
    is_current = plan.current is not None and plan.current.option == option.name
    per_mtok = option.cost_per_mtok_usd
    cells = (
        option.name,
        KIND_WORDS[option.kind],
        "yes" if option.is_feasible else "no: " + ("; ".join(option.infeasible_because) or "no reason given"),
        _replicas(option),
        figures.percent(option.hosted_fraction),
        spread(option.monthly_cost_usd, currency),
        spread(option.npv_cost_usd, currency),
        spread(option.cost_per_success_usd, currency, scale=1000),
        figures.money(per_mtok, currency),
        _service_level(option),
    )
    tags = tuple(tag for tag, applies in (("chosen", is_chosen), ("paid today", is_current)) if applies)
    style = "chosen" if is_chosen else "" if option.is_feasible else "muted"
    return Row(cells, link=anchor, tags=tags, style=style)


def _replicas(option: Option) -> str:
    first, last, spare = option.replicas.first_month, option.replicas.last_month, option.replicas.spare
    if option.kind == "api":
        return figures.NONE
    return f"{first:,} → {last:,}" + (f" + {spare:,} spare" if spare else "")


def _service_level(option: Option) -> str:
    slo = option.slo
    if slo.attainment_fraction is None:
        return "not known"
    latencies = [
        f"{label} p95 {value:.3g} s"
        for label, value in (("TTFT", slo.ttft_p95_s), ("TPOT", slo.tpot_p95_s))
        if value is not None
    ]
    return figures.percent(slo.attainment_fraction) + (f" ({', '.join(latencies)})" if latencies else "")


def _assumption_row(plan: Plan, assumption: Assumption, anchor: str) -> Row:
    users = assumption.used_by
    is_for_all = {option.name for option in plan.options} <= set(users)
    cells = (
        assumption.id,
        figures.quantity(assumption.value, assumption.unit, plan.scenario.currency),
        assumption.basis,
        assumption.source or figures.NONE,
        figures.day(assumption.as_of),
        figures.days(assumption.age_days),
        figures.day(assumption.expires_on),
        "all options" if is_for_all else ", ".join(users) or figures.NONE,
    )
    return Row(cells, anchor=anchor)


def _money_or_none(plan: Plan, value: float | None) -> str:
    return figures.NONE if value is None else figures.money(value, plan.scenario.currency)


def _move(flip: Flip) -> float | None:
    """How far an input moves until the choice switches, as a fraction of what it is now."""
    if flip.input == _API_PRICES:
        return flip.flips_at
    return flip.flips_at / flip.now - 1 if flip.now else None


def _distance(flip: Flip) -> float:
    moved = _move(flip)
    return math.inf if moved is None else abs(moved)
