"""From a scenario file to a plan."""

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from planner.core.breakeven import VolumeScan, api_price_change, scan_volumes
from planner.core.decide import Candidate, Decision, decide
from planner.core.gates import all_gates, forbidden
from planner.core.outcome import Outcome
from planner.core.question import Question
from planner.errors import InputError, InputFileError
from planner.schema.options import HostingOption
from planner.schema.plan import (
    BreakEven,
    CashFlowMonth,
    Choice,
    CostCurves,
    CurrentCost,
    Curve,
    Distribution,
    Flip,
    Gate,
    Option,
    Plan,
    Replicas,
    Risk,
    ScenarioRef,
    SloResult,
    Verdict,
)
from planner.schema.scenario import Scenario
from planner.workflows.assumptions import all_option_names, assumptions_of
from planner.workflows.caveats import decide_again_on, grade_of, warnings_of
from planner.workflows.question import LoadedScenario, ask, load_scenario

Progress = Callable[[float], None]


def make_plan(path: Path, progress: Progress = lambda _: None) -> Plan:
    """The decision for a scenario file.

    Args:
        path: the scenario.
        progress: told the fraction done while it lasts, from 0 to 1.

    Raises:
        InputFileError: every mistake of the scenario or of a file that it names.
    """
    loaded = load_scenario(path)
    try:
        return _plan(loaded, progress)
    except InputError as error:
        # A value that is right by itself and impossible with the others, so no line can be named.
        raise InputFileError([loaded.problem((), f"{error.field}: {error.message}")]) from error


def _plan(loaded: LoadedScenario, progress: Progress) -> Plan:
    scenario = loaded.scenario
    question, sample = ask(loaded)
    gates = all_gates(scenario.requirements, scenario.hosting, scenario.api)
    outcomes = question.outcomes()
    options = [_option(outcome, scenario, gates, sample.mean_tokens) for outcome in outcomes]
    decision = decide(_candidates(options), gates, scenario.materiality_fraction, scenario.decision_rule)
    scan = scan_volumes(question, progress)
    price_change = api_price_change(question)
    assumptions = assumptions_of(loaded)
    return Plan(
        schema_="planner.plan/1",
        scenario=_reference(loaded),
        verdict=_verdict(loaded, decision, decide_again_on(scenario.as_of, assumptions)),
        gates=gates,
        options=options,
        current=_current(scenario, options),
        break_even=_break_even(question, scan, price_change),
        curves=None if scan is None else _curves(scan, all_option_names(loaded), question.rate_fraction_per_year),
        risk=_risk(options),
        flips=_flips(question, scan, price_change, gates),
        assumptions=assumptions,
        warnings=warnings_of(loaded),
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


def _option(outcome: Outcome, scenario: Scenario, gates: Sequence[Gate], mean_tokens: float) -> Option:
    rate = scenario.discount_rate_fraction_per_year
    infeasible_because = forbidden(outcome.kind, gates, scenario.requirements, _machines(outcome, scenario))
    cost_per_success = outcome.cost_per_success_usd(rate)
    if cost_per_success is None and outcome.success_fraction == 0:
        infeasible_because.append("no request ends in an accepted answer")
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
        slo=SloResult(attainment_fraction=outcome.attainment_fraction),
        cash_flow=_cash_flow(outcome),
    )


def _machines(outcome: Outcome, scenario: Scenario) -> HostingOption | None:
    """The hosting option that an outcome runs on, alone or in a hybrid."""
    if outcome.kind == "api":
        return None
    return next(
        option
        for option in scenario.hosting
        if outcome.name == option.name or outcome.name.startswith(f"{option.name} + ")
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


def _candidates(options: Sequence[Option]) -> list[Candidate]:
    return [
        Candidate(
            option.name,
            option.kind,
            option.is_feasible,
            None if option.cost_per_success_usd is None else option.cost_per_success_usd.mean,
            option.npv_cost_usd.mean,
        )
        for option in options
    ]


def _verdict(loaded: LoadedScenario, decision: Decision, again_on: datetime.date) -> Verdict:
    grade, grade_because = grade_of(loaded)
    return Verdict(
        choice=decision.choice,
        option=decision.option,
        probability_best=None if decision.option is None else 1.0,
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
    return None  # a hybrid whose best split leaves one side without requests


def _break_even(question: Question, scan: VolumeScan | None, price_change: float | None) -> BreakEven:
    return BreakEven(
        requests_per_month=[(low, high if np.isfinite(high) else None) for low, high in scan.cheaper] if scan else [],
        now_requests_per_month=float(question.workload.requests[0]),
        scanned_requests_per_month=(float(scan.requests_per_month[0]), float(scan.requests_per_month[-1]))
        if scan
        else None,
        api_price_change_fraction=price_change,
    )


def _curves(scan: VolumeScan, names: Sequence[str], rate_fraction_per_year: float) -> CostCurves:
    kinds: dict[str, Choice] = {outcome.name: outcome.kind for at in scan.outcomes for outcome in at}
    found = [{outcome.name: outcome for outcome in at} for at in scan.outcomes]
    return CostCurves(
        requests_per_month=scan.requests_per_month.tolist(),
        options=[
            Curve(
                name=name,
                kind=kinds[name],
                monthly_cost_usd=[
                    at[name].monthly_cost_usd(rate_fraction_per_year) if name in at else None for at in found
                ],
                cost_per_success_usd=[
                    at[name].cost_per_success_usd(rate_fraction_per_year) if name in at else None for at in found
                ],
            )
            for name in names
            if name in kinds
        ],
    )


def _risk(options: Sequence[Option]) -> Risk:
    """Without stated doubt the best option is best for certain, and regret is its lead, at equal accepted answers."""
    priced = {
        option.name: option.cost_per_success_usd.mean
        for option in options
        if option.is_feasible and option.cost_per_success_usd is not None
    }
    if not priced:
        return Risk(probability_best={}, expected_regret_usd={}, evpi_usd=0.0, evppi_usd={})
    best = min(priced, key=priced.__getitem__)
    best_option = next(option for option in options if option.name == best)
    answers = best_option.npv_cost_usd.mean / priced[best] if priced[best] else 0.0
    return Risk(
        probability_best={name: float(name == best) for name in priced},
        expected_regret_usd={name: (cost - priced[best]) * answers for name, cost in priced.items()},
        evpi_usd=0.0,
        evppi_usd={},
    )


def _flips(
    question: Question, scan: VolumeScan | None, price_change: float | None, gates: Sequence[Gate]
) -> list[Flip]:
    """The nearest volume, and the API price, beyond which another side is the cheapest; none where gates decide."""
    if any(gate.effect in ("must_host", "must_not_host") for gate in gates) or scan is None:
        return []
    flips = []
    now = float(question.workload.requests[0])
    scanned = scan.requests_per_month
    edges = [edge for interval in scan.cheaper for edge in interval if scanned[0] < edge < scanned[-1]]
    if edges and now > 0:
        edge = min(edges, key=lambda volume: abs(np.log(volume / now)))
        beyond = edge * (1 + 1e-5 if edge > now else 1 - 1e-5)
        to = _cheapest(question.at_volume(beyond))
        flips.append(Flip(input="traffic.requests_per_month", now=now, flips_at=edge, to=to))
    if price_change is not None:
        beyond = (1 + price_change) * (1 + 1e-5 if price_change > 0 else 1 - 1e-5)
        to = _cheapest(question.at_api_prices(beyond))
        flips.append(Flip(input="api.price_change_fraction", now=0.0, flips_at=price_change, to=to))
    return flips


def _cheapest(question: Question) -> Choice:
    rate = question.rate_fraction_per_year
    return min(question.outcomes(), key=lambda outcome: outcome.cost_per_success_usd(rate) or np.inf).kind
