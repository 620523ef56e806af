"""The answer box: what to do, what it saves, how sure that is and until when it holds."""

from dataclasses import dataclass

from planner.report import figures
from planner.report.blocks import Fact
from planner.report.findings import cheapest, gate_decides, has_doubt, why_none
from planner.schema.plan import Distribution, Option, Plan

_MOST_RANGES = 3
CHOICE_WORDS = {"host": "HOST", "api": "API", "hybrid": "HYBRID", "abstain": "NOT ENOUGH EVIDENCE"}
GRADE_WORDS = {
    "decision": "Grade: decision. Nothing that is checked here speaks against acting on it",
    "unverified": "Grade: unverified. A decision only once these points are checked",
    "example": "Grade: example. An illustration, not a basis for spending",
}


@dataclass(frozen=True)
class Answer:
    """What the first screen says."""

    choice: str
    option: str
    style: str
    """The choice as in the plan, for colours."""
    sentence: str
    facts: tuple[Fact, ...]
    reasons: tuple[str, ...]
    grade: str
    grade_because: tuple[str, ...]


def build_answer(plan: Plan, cash_anchors: dict[str, str], assumption_anchors: list[str]) -> Answer:
    """The answer box of a plan; anchors say where its figures come from."""
    verdict = plan.verdict
    chosen = next((option for option in plan.options if option.name == verdict.option), None)
    facts = [
        *(_cost_facts(plan, chosen, cash_anchors) if chosen else _leading_facts(plan, cash_anchors)),
        _break_even_fact(plan),
        _again_fact(plan, assumption_anchors),
        _price_age_fact(plan, assumption_anchors),
    ]
    if has_doubt(plan) and verdict.probability_best is not None:
        facts.insert(2, Fact("Probability of being cheapest", figures.percent(verdict.probability_best), link="doubt"))
    return Answer(
        choice=CHOICE_WORDS[verdict.choice],
        option=chosen.name if chosen else "",
        style=verdict.choice,
        sentence=_sentence(plan, chosen),
        facts=tuple(facts),
        reasons=tuple(verdict.reasons),
        grade=GRADE_WORDS[verdict.grade],
        grade_because=tuple(verdict.grade_because),
    )


def spread(amount: Distribution | None, currency: str, scale: float = 1.0) -> str:
    """A mean, with its P10 to P90 where there is doubt."""
    if amount is None:
        return figures.UNDEFINED
    text = figures.money(amount.mean * scale, currency)
    if amount.p10 == amount.p90:
        return text
    return f"{text} ({figures.money(amount.p10 * scale, currency)} to {figures.money(amount.p90 * scale, currency)})"


def break_even_label(plan: Plan) -> str:
    """What the ranges of volume mean: they compare costs, also of options that a requirement rules out."""
    return "Hosting or a hybrid is cheaper" + (", on cost alone" if gate_decides(plan) else "")


def volume_ranges(plan: Plan) -> str:
    """The volumes at which hosting or a hybrid is cheaper, in words."""
    even, scanned = plan.break_even, plan.break_even.scanned_requests_per_month
    if scanned is None:
        missing = "hosting" if all(option.kind == "api" for option in plan.options) else "API"
        return f"Not compared, since the scenario has no {missing}"
    ranges = [_range(low, high) for low, high in even.requests_per_month]
    if not ranges:
        return f"At no volume up to {figures.volume(scanned[1])}"
    if len(ranges) > _MOST_RANGES:
        ranges = [*ranges[: _MOST_RANGES - 1], f"{len(ranges) - _MOST_RANGES} more ranges", ranges[-1]]
    text = ", and ".join([", ".join(ranges[:-1]), ranges[-1]] if ranges[1:] else ranges) + " requests/month"
    return text[:1].upper() + text[1:]


def _range(low: float, high: float | None) -> str:
    if low == 0:
        return "any number of" if high is None else f"up to {figures.count(high)}"
    return f"{figures.count(low)} " + ("or more" if high is None else f"to {figures.count(high)}")


def _sentence(plan: Plan, chosen: Option | None) -> str:
    if chosen is None:
        return f"No option is recommended, since {why_none(plan)}."
    return {
        "host": f"Host it yourself: {chosen.name}.",
        "api": f"Pay by the token: {chosen.name}.",
        "hybrid": f"Host the base load yourself and send the peaks to an API: {chosen.name}.",
    }[chosen.kind]


def _cost_facts(plan: Plan, chosen: Option, cash_anchors: dict[str, str]) -> list[Fact]:
    currency, months = plan.scenario.currency, plan.scenario.horizon_months
    anchor = cash_anchors[chosen.name]
    per_answer = f"{_per_thousand(chosen, currency)} per 1,000 accepted answers"
    facts = [
        Fact("Monthly cost, level", spread(chosen.monthly_cost_usd, currency), per_answer, anchor),
        Fact(f"Present value over {months} months", spread(chosen.npv_cost_usd, currency), "all costs (NPV)", anchor),
    ]
    rival = cheapest([option for option in plan.options if option.kind != chosen.kind])
    if rival:
        saved_usd = rival.monthly_cost_usd.mean - chosen.monthly_cost_usd.mean
        npv_saved_usd = rival.npv_cost_usd.mean - chosen.npv_cost_usd.mean
        detail = (
            f"the best of another kind, at {_per_thousand(rival, currency)} per 1,000 accepted answers; "
            f"{_saving(npv_saved_usd, currency)} over {months} months, present value"
        )
        facts.append(Fact(f"Against {rival.name}", _saving(saved_usd, currency, "/month"), detail, "options"))
    elif any(option.kind != chosen.kind for option in plan.options):
        facts.append(Fact("Against another kind", "none is feasible", link="options"))
    facts += _gate_fact(plan, chosen)
    if plan.current:
        saved_usd = plan.current.monthly_cost_usd - chosen.monthly_cost_usd.mean
        paid = f"{figures.money(plan.current.monthly_cost_usd, currency)}/month"
        detail = f"{plan.current.option}: {paid}" if plan.current.option else f"{paid} is paid today"
        facts.append(Fact("Against what is paid today", _saving(saved_usd, currency, "/month"), detail, "paid-today"))
    return facts


def _gate_fact(plan: Plan, chosen: Option) -> list[Fact]:
    """What a requirement costs: the cheapest option that it rules out, where that is cheaper than the chosen one."""
    cheapest_of_all = cheapest(plan.options, only_feasible=False)
    if cheapest_of_all is None or cheapest_of_all.is_feasible or cheapest_of_all.cost_per_success_usd is None:
        return []
    extra_usd = chosen.monthly_cost_usd.mean - cheapest_of_all.monthly_cost_usd.mean
    label = f"Against {cheapest_of_all.name}, ruled out"
    return [Fact(label, _saving(-extra_usd, plan.scenario.currency, "/month"), "what the requirements cost", "gates")]


def _leading_facts(plan: Plan, cash_anchors: dict[str, str]) -> list[Fact]:
    """Where nothing is chosen: the best of each kind, side by side."""
    currency, facts = plan.scenario.currency, []
    for kind, label in (("host", "Best hosting"), ("hybrid", "Best hybrid"), ("api", "Best API")):
        best = cheapest([option for option in plan.options if option.kind == kind])
        if best:
            value = f"{spread(best.monthly_cost_usd, currency)}/month"
            facts.append(Fact(f"{label}, not chosen", value, best.name, cash_anchors[best.name]))
    if plan.current:
        paid = f"{figures.money(plan.current.monthly_cost_usd, currency)}/month"
        facts.append(Fact("Paid today", paid, plan.current.option or "", "paid-today"))
    return facts


def _per_thousand(option: Option, currency: str) -> str:
    success = option.cost_per_success_usd
    return figures.per_thousand(None if success is None else success.mean, currency)


def _saving(amount: float, currency: str, per: str = "") -> str:
    if round(amount, 2) == 0:
        return "costs the same"
    text = figures.money(abs(amount), currency) + per
    return f"saves {text}" if amount > 0 else f"costs {text} more"


def _break_even_fact(plan: Plan) -> Fact:
    now = plan.break_even.now_requests_per_month
    ranges = plan.break_even.requests_per_month
    where = f"You are at {figures.volume(now)}"
    if any(low <= now and (high is None or now <= high) for low, high in ranges):
        where += ", within that range"
    elif now > 0 and any(low > now for low, _ in ranges):
        above = min(low for low, _ in ranges if low > now)
        where += f"; the next range begins at {figures.times(above / now)} that"
    return Fact(break_even_label(plan), volume_ranges(plan), where, "volume")


def _again_fact(plan: Plan, assumption_anchors: list[str]) -> Fact:
    """The day, and the first price to expire where that is what sets it."""
    day = plan.verdict.decide_again_on
    link, detail = "assumptions", ""
    for assumption, anchor in zip(plan.assumptions, assumption_anchors, strict=True):
        if assumption.expires_on is not None and assumption.expires_on <= day:
            link = anchor
            detail = "prices expire then" if assumption.expires_on == day else "a price has expired already"
            break
    return Fact("Decide again on", figures.day(day), detail, link)


def _price_age_fact(plan: Plan, assumption_anchors: list[str]) -> Fact:
    """The oldest dated price, and how many amounts of money carry no date."""
    amounts = [
        (assumption, anchor)
        for assumption, anchor in zip(plan.assumptions, assumption_anchors, strict=True)
        if assumption.unit.partition("/")[0] == plan.scenario.currency and assumption.basis != "default"
    ]
    undated = sum(amount.age_days is None for amount, _ in amounts)
    detail = f"{undated} of {len(amounts)} amounts of money carry no date" if undated else ""
    dated = [
        (amount.age_days, ", ".join(amount.used_by[:1]), anchor)
        for amount, anchor in amounts
        if amount.age_days is not None
    ]
    if not dated:
        return Fact("Oldest price", "no price carries a date", detail, "assumptions")
    age_days, name, anchor = max(dated, key=lambda item: item[0])
    return Fact("Oldest price", figures.days(age_days), "; ".join(filter(None, (name, detail))), anchor)
