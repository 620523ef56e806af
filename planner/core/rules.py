"""What decides between outcomes besides their costs: requirements, materiality, the user's own rule."""

from collections.abc import Sequence
from dataclasses import dataclass

from planner.core.decide import Candidate, Decision, decide
from planner.core.gates import all_gates, lacks_people, ruled_out_because
from planner.core.outcome import Hosting, Outcome
from planner.schema.options import HostingOption
from planner.schema.plan import Gate
from planner.schema.scenario import DecisionRule, Requirements


@dataclass(frozen=True)
class Rules:
    """The scenario's rules, the same for every volume and price that is asked about.

    Attributes:
        requirements: as stated.
        gates: what they mean for this scenario's options.
        materiality_fraction: gap in cost per success below which two choices count as equal [fraction].
        decision_rule: the user's own, which can only turn host or hybrid into api.
        rate_fraction_per_year: price of capital [fraction/year].
    """

    requirements: Requirements
    gates: tuple[Gate, ...]
    materiality_fraction: float
    decision_rule: DecisionRule
    rate_fraction_per_year: float

    @classmethod
    def of(
        cls,
        requirements: Requirements,
        hosting: Sequence[HostingOption],
        materiality_fraction: float,
        decision_rule: DecisionRule,
        rate_fraction_per_year: float,
    ) -> "Rules":
        """The rules of a scenario with these hosting options.

        Args:
            requirements: as stated.
            hosting: all hosting options.
            materiality_fraction: gap in cost per success below which two choices count as equal [fraction].
            decision_rule: the user's own.
            rate_fraction_per_year: price of capital [fraction/year].
        """
        gates = tuple(all_gates(requirements, hosting))
        return cls(requirements, gates, materiality_fraction, decision_rule, rate_fraction_per_year)

    @property
    def a_gate_decides(self) -> bool:
        """Whether a requirement rules out all hosting or every API, whatever either costs."""
        return any(gate.effect in ("must_host", "must_not_host") for gate in self.gates)

    def infeasible_because(self, outcome: Outcome) -> list[str]:
        """Why an outcome cannot be chosen; empty where it can."""
        reasons = ruled_out_because(outcome.kind, self.gates, self.requirements, outcome.machines)
        if not outcome.can_hold:
            reasons.append("one idle replica already misses the service level; the costs are those of a single one")
        elif outcome.success_fraction == 0:
            reasons.append("no request ends in an accepted answer")
        return reasons

    def candidates(self, outcomes: Sequence[Outcome]) -> list[Candidate]:
        """What the decision needs to know of each outcome."""
        rate = self.rate_fraction_per_year
        return [
            Candidate(
                name=outcome.name,
                kind=outcome.kind,
                is_feasible=not self.infeasible_because(outcome),
                cost_per_success_usd=outcome.cost_per_success_usd(rate),
                npv_cost_usd=outcome.npv_cost_usd(rate),
                capacity_is_measured=outcome.capacity_is_measured,
            )
            for outcome in outcomes
        ]

    def decide(self, candidates: Sequence[Candidate]) -> Decision:
        """The verdict."""
        return decide(candidates, self.gates, self.materiality_fraction, self.decision_rule)

    def compared(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those that a break-even compares: what can be chosen, or all where a requirement leaves one side only."""
        return [candidate for candidate in candidates if candidate.is_feasible or self.a_gate_decides]

    def compares_machines(self, hosting: Hosting) -> bool:
        """Whether a break-even looks at this hosting option; never where no number of its replicas would do."""
        is_choosable = self.a_gate_decides or not lacks_people(self.requirements, hosting.option)
        return is_choosable and not hosting.capacity.is_none
