"""The answer in a few lines, for a terminal."""

from planner.report import figures
from planner.report.answer import build_answer
from planner.report.blocks import map_text, plain
from planner.report.cash import cash_flow_anchors
from planner.report.tables import assumption_anchors
from planner.schema.plan import Option, Plan


def summary(plan: Plan) -> str:
    """Choice, costs of every option, reasons, grade and warnings; ends with a line break."""
    answer = map_text(build_answer(plan, cash_flow_anchors(plan), assumption_anchors(plan)), plain)
    lines = [plain(plan.scenario.name), "", f"{answer.choice}. {answer.sentence}", ""]
    width = max(len(fact.label) for fact in answer.facts)
    lines += [f"  {fact.label:<{width}}  {fact.value}" for fact in answer.facts]
    lines += ["", "Options, level monthly cost and cost per 1,000 accepted answers:"]
    lines += _option_lines(plan)
    lines += ["", *(f"- {reason}" for reason in answer.reasons)]
    lines += ["", f"{answer.grade}.", *(f"- {because}" for because in answer.grade_because)]
    if plan.warnings:
        lines += ["", "Warnings:", *(f"- {plain(warning)}" for warning in plan.warnings)]
    return "\n".join(lines) + "\n"


def _option_lines(plan: Plan) -> list[str]:
    names = [plain(option.name) for option in plan.options]
    width = max(map(len, names), default=0)
    return [
        f"{'*' if option.name == plan.verdict.option else ' '} {name:<{width}}  {_costs(plan, option)}"
        for name, option in zip(names, plan.options, strict=True)
    ]


def _costs(plan: Plan, option: Option) -> str:
    currency = plan.scenario.currency
    monthly = figures.money(option.monthly_cost_usd.mean, currency)
    success = option.cost_per_success_usd
    each = figures.per_thousand(None if success is None else success.mean, currency)
    ruled_out = "" if option.is_feasible else "  ruled out"
    return f"{monthly:>14}  {each:>12}{ruled_out}"
