"""From a scenario file to a plan."""

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from planner.core.breakeven import api_price_change, scan_volumes
from planner.core.decide import Candidate, Decision
from planner.core.outcome import Outcome
from planner.core.rules import Rules
from planner.errors import InputError, InputFileError
from planner.schema.plan import (
    CashFlowMonth,
    CurrentCost,
    Distribution,
    Option,
    Plan,
    Replicas,
    Risk,
    ScenarioRef,
    SloResult,
    Verdict,
)
from planner.schema.scenario import Scenario
from planner.store.tables import Progress
from planner.workflows.assumptions import all_option_names, assumptions_of
from planner.workflows.caveats import decide_again_on, grade_of, warnings_of
from planner.workflows.latencies import hosted_latencies
from planner.workflows.question import LoadedScenario, ask, load_scenario
from planner.workflows.sensitivity import break_even, cost_curves, flips


def make_plan(path: Path, progress: Progress = lambda _: None) -> Plan:
    """The decision for a scenario file.

    Args:
        path: the scenario.
        progress: told the fraction done while it lasts, from 0 to 1.

    Raises:
        InputFileError: every mistake of the scenario or of a file that it names.
    """
    loaded = load_scenario(path, lambda fraction: progress(0.3 * fraction))
    planning: Progress = progress if loaded.history is None else lambda fraction: progress(0.3 + 0.7 * fraction)
    try:
        with np.errstate(over="raise"):
            return _plan(loaded, planning)
    except InputError as error:
        raise InputFileError([loaded.document.problem(error.loc, error.message)]) from error
    except (FloatingPointError, ValidationError) as error:
        if isinstance(error, ValidationError) and not _is_out_of_bounds(error):
            raise
        message = "the figures of this scenario lead to results that cannot be computed: a unit must be wrong"
        raise InputFileError([loaded.document.problem((), message)]) from error


def _is_out_of_bounds(error: ValidationError) -> bool:
    """Whether a plan is refused for the size of its figures alone; anything else is our own fault."""
    kinds = {details["type"] for details in error.errors(include_url=False)}
    return kinds <= {"less_than_equal", "greater_than_equal", "finite_number"}


def _plan(loaded: LoadedScenario, progress: Progress) -> Plan:
    scenario = loaded.scenario
    question, sample = ask(loaded)
    rate, months = scenario.discount_rate_fraction_per_year, scenario.horizon_months
    rules = Rules.of(
        scenario.requirements, scenario.hosting, scenario.materiality_fraction, scenario.decision_rule, rate
    )
    outcomes = question.outcomes()
    candidates = rules.candidates(outcomes)
    latencies = hosted_latencies(loaded, question, outcomes)
    options = [_option(outcome, rules, sample.mean_tokens, latencies.get(outcome.name)) for outcome in outcomes]
    risk = _risk(outcomes, candidates, rate)
    scan = scan_volumes(question, rules, lambda fraction: progress(0.7 * fraction))
    assumptions = assumptions_of(loaded)
    decision = rules.decide(candidates)
    warnings = warnings_of(loaded, question, rules.gates)
    return Plan(
        schema_="planner.plan/1",
        scenario=_reference(loaded),
        verdict=_verdict(loaded, decision, risk, decide_again_on(scenario.as_of, assumptions)),
        gates=list(rules.gates),
        options=options,
        current=_current(scenario, [each for each, of in zip(options, outcomes, strict=True) if of.can_hold]),
        break_even=break_even(question, scan, api_price_change(question, rules)),
        curves=None if scan is None else cost_curves(scan, all_option_names(loaded), rate, months),
        risk=risk,
        flips=flips(question, rules, scan, lambda fraction: progress(0.7 + 0.3 * fraction)),
        assumptions=assumptions,
        warnings=[warning for warning in warnings if warning not in decision.reasons],
    )


def _reference(loaded: LoadedScenario) -> ScenarioRef:
    scenario = loaded.scenario
    return ScenarioRef(
        name=scenario.name,
        sha256=loaded.document.sha256,
        as_of=scenario.as_of,
        currency=scenario.currency,
        horizon_months=scenario.horizon_months,
        discount_rate_fraction_per_year=scenario.discount_rate_fraction_per_year,
        history=list(loaded.history.notes) if loaded.history else [],
    )


def _option(outcome: Outcome, rules: Rules, mean_tokens: float, p95_s: tuple[float, float] | None) -> Option:
    rate = rules.rate_fraction_per_year
    infeasible_because = rules.infeasible_because(outcome)
    cost_per_success = outcome.cost_per_success_usd(rate)
    return Option(
        name=outcome.name,
        kind=outcome.kind,
        is_feasible=not infeasible_because,
        infeasible_because=infeasible_because,
        replicas=Replicas(
            first_month=int(outcome.replicas[0]), last_month=int(outcome.replicas[-1]), spare=outcome.spare_replicas
        ),
        hosted_fraction=outcome.hosted_fraction,
        success_fraction=outcome.success_fraction,
        monthly_cost_usd=_certain(outcome.monthly_cost_usd(rate)),
        npv_cost_usd=_certain(outcome.npv_cost_usd(rate)),
        cost_per_mtok_usd=outcome.cost_per_mtok_usd(rate, mean_tokens),
        cost_per_success_usd=None if cost_per_success is None else _certain(cost_per_success),
        slo=SloResult(
            attainment_fraction=outcome.attainment_fraction,
            ttft_p95_s=p95_s[0] if p95_s else None,
            tpot_p95_s=p95_s[1] if p95_s else None,
        ),
        cash_flow=_cash_flow(outcome),
    )


def _certain(value: float) -> Distribution:
    return Distribution(mean=value, p10=value, p50=value, p90=value)


def _cash_flow(outcome: Outcome) -> list[CashFlowMonth]:
    lines = {name: line for name, line in outcome.ledger.items() if np.any(line != 0)}
    return [
        CashFlowMonth(
            month=month,
            lines={name: float(line[month]) for name, line in lines.items()},
            total_usd=float(outcome.cash_usd[month]),
        )
        for month in range(outcome.cash_usd.size)
    ]


def _verdict(loaded: LoadedScenario, decision: Decision, risk: Risk, again_on: datetime.date) -> Verdict:
    grade, grade_because = grade_of(loaded)
    return Verdict(
        choice=decision.choice,
        option=decision.option,
        probability_best=None if decision.option is None else risk.probability_best.get(decision.option),
        grade=grade,
        grade_because=grade_because,
        reasons=list(decision.reasons),
        decide_again_on=again_on,
    )


def _current(scenario: Scenario, options: Sequence[Option]) -> CurrentCost | None:
    current = scenario.current
    if current is None:
        return None
    if current.usd_per_month is not None:
        return CurrentCost(option=None, monthly_cost_usd=current.usd_per_month)
    for option in options:
        if option.name == current.option:
            return CurrentCost(option=option.name, monthly_cost_usd=option.monthly_cost_usd.mean)
    return None  # a hybrid whose best split leaves one side without requests, or machines that carry no load


def _risk(outcomes: Sequence[Outcome], candidates: Sequence[Candidate], rate_fraction_per_year: float) -> Risk:
    """Without stated doubt the best option is best for certain, and regret is its lead, at equal accepted answers."""
    priced = {
        candidate.name: candidate.cost_per_success_usd
        for candidate in candidates
        if candidate.is_feasible and candidate.cost_per_success_usd is not None
    }
    if not priced:
        return Risk(probability_best={}, expected_regret_usd={}, evpi_usd=0.0, evppi_usd={})
    best = min(priced, key=priced.__getitem__)
    answers = next(each.present_answers(rate_fraction_per_year) for each in outcomes if each.name == best)
    return Risk(
        probability_best={name: float(name == best) for name in priced},
        expected_regret_usd={name: (cost - priced[best]) * answers for name, cost in priced.items()},
        evpi_usd=0.0,
        evppi_usd={},
    )
