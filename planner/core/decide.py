"""Gates first, then cost per accepted answer, then whether the gap is large enough to act on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from planner.core.gates import because_of
from planner.schema.plan import Choice, Gate, VerdictChoice
from planner.schema.scenario import DecisionRule


@dataclass(frozen=True)
class Candidate:
    """What the decision needs to know of an option.

    `cost_per_success_usd` is None where it is undefined; `npv_cost_usd` breaks ties between undefined ones.
    """

    name: str
    kind: Choice
    is_feasible: bool
    cost_per_success_usd: float | None
    npv_cost_usd: float
    capacity_is_measured: bool = False

    @property
    def rank(self) -> tuple[float, float]:
        """Sorts candidates from the cheapest; an undefined cost per success comes last."""
        return (math.inf if self.cost_per_success_usd is None else self.cost_per_success_usd, self.npv_cost_usd)


@dataclass(frozen=True)
class Decision:
    """A choice, the option to take, and the reasons in the order they were found."""

    choice: VerdictChoice
    option: str | None
    reasons: tuple[str, ...]


def decide(
    candidates: Sequence[Candidate], gates: Sequence[Gate], materiality_fraction: float, rule: DecisionRule
) -> Decision:
    """The verdict.

    Args:
        candidates: all options, those that gates rule out marked infeasible.
        gates: all gates.
        materiality_fraction: gap in cost per success below which two choices count as equal [fraction].
        rule: the user's stricter rule, which can only turn host or hybrid into api.

    Example:
        >>> host = Candidate("H100", "host", True, 0.0010, 1e5)
        >>> api = Candidate("API", "api", True, 0.0012, 1.2e5)
        >>> decide([host, api], [], 0.02, DecisionRule()).choice
        'host'
        >>> decide([host, api], [], 0.25, DecisionRule()).choice
        'abstain'
    """
    must_host = [gate.name for gate in gates if gate.effect == "must_host"]
    must_not_host = [gate.name for gate in gates if gate.effect == "must_not_host"]
    if must_host and must_not_host:
        return _abstain(
            f"the requirements contradict each other: {' and '.join(must_host)} ask for hosting, "
            f"{' and '.join(must_not_host)} rule it out"
        )
    reasons = [because_of(gate) for gate in gates if gate.effect in ("must_host", "must_not_host")]
    feasible = sorted((candidate for candidate in candidates if candidate.is_feasible), key=lambda c: c.rank)
    if not feasible:
        return _abstain(*reasons, "no option of the scenario is feasible")

    best = feasible[0]
    rival = next((candidate for candidate in feasible if candidate.kind != best.kind), None)
    if rival is not None and best.cost_per_success_usd is None:
        return _abstain(
            *reasons, "cost per accepted answer is undefined for every option: there are no accepted answers"
        )
    if rival is None:
        reasons.append(f"{best.name} is the cheapest feasible option, and none of another kind is")
    elif _is_within(best, rival, materiality_fraction):
        return _abstain(
            f"{best.name} ({best.kind}) and {rival.name} ({rival.kind}) cost the same "
            f"within {materiality_fraction * 100:g}%"
        )
    else:
        reasons.append(_gap(best, rival))
    reasons += [because_of(gate) for gate in gates if gate.name == "data_residency" and _is_conceded(gate, best)]
    reasons += _price_of_gates(best, candidates)
    return _apply_rule(best, feasible, reasons, rule)


def _is_within(best: Candidate, rival: Candidate, materiality_fraction: float) -> bool:
    if best.cost_per_success_usd is None or rival.cost_per_success_usd is None:
        return False
    return rival.cost_per_success_usd - best.cost_per_success_usd <= materiality_fraction * best.cost_per_success_usd


def _gap(best: Candidate, rival: Candidate) -> str:
    text = f"{best.name} ({best.kind}) has the lowest cost per accepted answer"
    if not best.cost_per_success_usd or rival.cost_per_success_usd is None:
        return f"{text}, before {rival.name} ({rival.kind})"
    ratio = rival.cost_per_success_usd / best.cost_per_success_usd
    more = f"{ratio - 1:.1%} more" if ratio < 2 else f"{ratio:.1f} times as much"
    return f"{text}; the best of another kind, {rival.name} ({rival.kind}), costs {more}"


def _is_conceded(gate: Gate, best: Candidate) -> bool:
    """Whether the choice lets data out that should stay; whoever signs must see it beside the answer."""
    return gate.effect == "warns" and best.kind != "host"


def _price_of_gates(best: Candidate, candidates: Sequence[Candidate]) -> list[str]:
    """What the requirements cost: the cheapest option that they rule out, where it is cheaper."""
    cheapest = min(candidates, key=lambda candidate: candidate.rank)
    if cheapest.is_feasible or cheapest.cost_per_success_usd is None or not best.cost_per_success_usd:
        return []
    less = 1 - cheapest.cost_per_success_usd / best.cost_per_success_usd
    if less < 0.0005:
        return []
    return [f"ruled out, {cheapest.name} ({cheapest.kind}) would have cost {less:.1%} less per accepted answer"]


def _apply_rule(best: Candidate, feasible: Sequence[Candidate], reasons: list[str], rule: DecisionRule) -> Decision:
    if best.kind == "api" or not rule.measured_capacity or best.capacity_is_measured:
        return Decision(best.kind, best.name, tuple(reasons))
    api = next((candidate for candidate in feasible if candidate.kind == "api"), None)
    if api is None:
        reasons.append("the decision rule asks for measured capacity, but no API option is feasible to fall back on")
        return Decision(best.kind, best.name, tuple(reasons))
    reasons.append(f"the decision rule asks for measured capacity, and that of {best.name} is not: {api.name} instead")
    return Decision("api", api.name, tuple(reasons))


def _abstain(*reasons: str) -> Decision:
    return Decision("abstain", None, reasons)
