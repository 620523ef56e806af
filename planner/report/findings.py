"""What several parts of the report read off a plan."""

from planner.schema.plan import Curve, Option, Plan


def has_doubt(plan: Plan) -> bool:
    """Whether any input states a doubt: without one, all quantiles of a cost are the same."""
    return any(option.npv_cost_usd.p10 != option.npv_cost_usd.p90 for option in plan.options)


def gate_decides(plan: Plan) -> bool:
    """Whether a requirement rules out hosting or the API, whatever either costs."""
    return any(gate.effect in ("must_host", "must_not_host") for gate in plan.gates)


def is_ruled_out(plan: Plan, curve: Curve) -> bool:
    """Whether a curve shows what is not feasible; a hybrid that only exists at other volumes needs hosting too."""
    option = next((option for option in plan.options if option.name == curve.name), None)
    if option is not None:
        return not option.is_feasible
    return curve.kind != "api" and any(gate.effect == "must_not_host" for gate in plan.gates)


def why_none(plan: Plan) -> str:
    """Why a plan recommends no option."""
    if {"must_host", "must_not_host"} <= {gate.effect for gate in plan.gates}:
        return "the requirements contradict each other"
    if not any(option.is_feasible for option in plan.options):
        return "none is feasible"
    if plan.break_even.now_requests_per_month == 0:
        return "there are no requests"
    return "the best options cost too nearly the same"


def leaders(plan: Plan) -> list[Option]:
    """The option chosen and the best of each kind, cheapest first: those that a reader compares."""
    best = [cheapest([option for option in plan.options if option.kind == kind]) for kind in ("host", "hybrid", "api")]
    chosen = [option for option in plan.options if option.name == plan.verdict.option]
    found = {option.name: option for option in (*chosen, *best) if option is not None}
    return sorted(found.values(), key=_rank)


def cheapest(options: list[Option], only_feasible: bool = True) -> Option | None:
    """The option whose accepted answers cost least; by present value where there are none."""
    return min((option for option in options if option.is_feasible or not only_feasible), key=_rank, default=None)


def _rank(option: Option) -> tuple[float, float]:
    success = option.cost_per_success_usd
    return (float("inf") if success is None else success.mean, option.npv_cost_usd.mean)
