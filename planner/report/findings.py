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


def cheapest(options: list[Option]) -> Option | None:
    """The feasible option whose accepted answers cost least; by present value where there are none."""
    feasible = [option for option in options if option.is_feasible]
    return min(feasible, key=_rank, default=None)


def _rank(option: Option) -> tuple[float, float]:
    success = option.cost_per_success_usd
    return (float("inf") if success is None else success.mean, option.npv_cost_usd.mean)
