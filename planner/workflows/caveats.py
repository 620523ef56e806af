"""What a reader must know before relying on a plan: warnings, and the grade that they add up to."""

import datetime
from collections.abc import Iterator, Sequence
from typing import Literal

from planner.core.gates import because_of
from planner.core.question import Question
from planner.schema.options import ApiPrice, HostingOption, PriceSource
from planner.schema.plan import Assumption, Gate
from planner.schema.profile import Profile
from planner.schema.scenario import Scenario, hybrid_name
from planner.workflows.assumptions import PRICE_MAX_AGE_DAYS, price_is_stale
from planner.workflows.evidence import doubts_of, unmeasured
from planner.workflows.question import LoadedScenario

Grade = Literal["decision", "unverified", "example"]

REVIEW_AFTER_DAYS = 91
"""A quarter: markets move, so every verdict is looked at again."""

_COST_LINES = ("one_off_usd", "operations")
_COST_LINES_OF_OWNERS = ("power", "colocation_usd_per_month_per_replica", "maintenance_fraction_per_year")
_ONLY_FOR_OWNERS = ("purchase_usd_per_replica", "lifetime_months", "residual_fraction", "maintenance_fraction_per_year")


def warnings_of(loaded: LoadedScenario, question: Question, gates: Sequence[Gate]) -> list[str]:
    """Everything that was left out, has no effect, or stands on thin evidence; in a fixed order."""
    return [
        *(because_of(gate) for gate in gates if gate.effect == "warns"),
        *_traffic(loaded),
        *_hosting(loaded),
        *_api(loaded),
        *_rule(loaded.scenario),
        *_carries_nothing(loaded.scenario, question),
        *_not_split(loaded.scenario, question),
        *_doubt(),
    ]


def grade_of(loaded: LoadedScenario) -> tuple[Grade, list[str]]:
    """The grade, and every reason that lowers it from "decision".

    Capacity that was not measured, example prices and prices that are old or undated lower the grade, never the choice.
    """
    as_of = loaded.scenario.as_of
    examples = [f"{name}: the price is an example" for name, price in _prices(loaded) if _is_example(price)]
    unverified = []
    for option, profile in zip(loaded.scenario.hosting, loaded.profiles, strict=True):
        if profile is None:
            unverified.append(f"{option.name}: capacity is stated, not measured")
        elif profile.basis == "emulated":
            examples.append(f"{option.name}: capacity is emulated, from a stand-in for the real machine")
        else:
            unverified += [f"{option.name}: {doubt}" for doubt in doubts_of(profile)]
    for name, price in _prices(loaded):
        if price is None or price.checked_on is None:
            unverified.append(f"{name}: nobody says when the price was checked")
        elif price_is_stale(price.checked_on, as_of):
            age_days = (as_of - price.checked_on).days
            unverified.append(f"{name}: the price was checked {age_days} days ago; {PRICE_MAX_AGE_DAYS} are allowed")
        elif price.checked_on > as_of:
            unverified.append(f"{name}: the price was checked after the day of the plan")
    grade: Grade = "example" if examples else "unverified" if unverified else "decision"
    return grade, examples + unverified


def decide_again_on(as_of: datetime.date, assumptions: Sequence[Assumption]) -> datetime.date:
    """A quarter from now, or when the first price expires; today where one has expired."""
    expiries = [row.expires_on for row in assumptions if row.expires_on is not None]
    return max(as_of, min([as_of + datetime.timedelta(REVIEW_AFTER_DAYS), *expiries]))


def _prices(loaded: LoadedScenario) -> Iterator[tuple[str, PriceSource | ApiPrice | None]]:
    for hosting in loaded.scenario.hosting:
        yield hosting.name, hosting.price_source
    for api in loaded.scenario.api:
        yield api.name, api.price


def _is_example(price: PriceSource | ApiPrice | None) -> bool:
    return price is not None and price.basis == "example"


def _traffic(loaded: LoadedScenario) -> Iterator[str]:
    traffic, history = loaded.scenario.traffic, loaded.history
    given = traffic.model_fields_set
    if history is not None:
        # The first note says what the history is; the others what is wrong with it.
        yield from (f"traffic.history: {note}" for note in history.notes[1:])
        for key in ("input_tokens", "output_tokens"):
            if key in given and getattr(history, key) is not None:
                yield f"traffic.{key}: not used, since {traffic.history} has the lengths of its own requests"
        if "cached_input_fraction" in given and history.cached_input_tokens is not None:
            yield f"traffic.cached_input_fraction: not used, since {traffic.history} has cached tokens"
    if "peak_to_mean" in given and traffic.peak_to_mean != 1 and traffic.shape_name not in ("diurnal", "bursty"):
        yield f"traffic.peak_to_mean: not used by shape: {traffic.shape_name}"
    if "burst_hours_fraction" in given and traffic.shape_name != "bursty":
        yield f"traffic.burst_hours_fraction: not used by shape: {traffic.shape_name}"
    if traffic.shape_name in ("diurnal", "bursty") and traffic.peak_to_mean == 1:
        yield f"traffic.peak_to_mean: 1, so that shape: {traffic.shape_name} is flat"
    if traffic.burstiness != 1 and None in loaded.profiles:
        yield "traffic.burstiness: has no effect on stated capacity, which is sized by hourly means"


def _hosting(loaded: LoadedScenario) -> Iterator[str]:
    scenario = loaded.scenario
    for option, profile in zip(scenario.hosting, loaded.profiles, strict=True):
        lines = list(_COST_LINES)
        if scenario.requirements.model_changes_per_year > 0:
            lines.append("requalification_usd_per_model_change")
        if option.is_bought:
            lines += _COST_LINES_OF_OWNERS
        left_out = [line for line in lines if line not in option.model_fields_set]
        if left_out:
            yield f"{option.name}: left out, so taken to cost 0: {', '.join(left_out)}"
        unused = _unused(option)
        if unused:
            yield f"{option.name}: not used with tenure: {option.tenure}: {', '.join(unused)}"
        if profile is not None:
            yield from _of_profile(option, profile)
        elif option.prefix_hit_fraction > 0:
            yield f"{option.name}: prefix_hit_fraction has no effect on stated capacity"
        if option.price_source is None:
            yield f"{option.name}: the price has no price_source, so nobody can tell how old it is"
    slo = scenario.service.slo
    if None in loaded.profiles and (slo.ttft_p95_s is not None or slo.tpot_p95_s is not None):
        yield "service.slo: taken to hold up to the stated capacity; nothing here checks it"


def _of_profile(option: HostingOption, profile: Profile) -> Iterator[str]:
    told = unmeasured(profile)
    if told is not None:
        yield f"{option.name}: sized by a profile that is {told}"
    if profile.accelerator is not None and profile.accelerator.count != option.gpus_per_replica:
        yield (
            f"{option.name}: gpus_per_replica is {option.gpus_per_replica}, and its profile is of "
            f"{profile.accelerator.count} × {profile.accelerator.name}"
        )


def _unused(option: HostingOption) -> list[str]:
    names = ("usd_per_gpu_hour",) if option.is_bought else _ONLY_FOR_OWNERS
    unused = [name for name in names if name in option.model_fields_set]
    change = "rent" if option.is_bought else "purchase"
    if change in option.price_change_fraction_per_year.model_fields_set:
        unused.append(f"price_change_fraction_per_year.{change}")
    return unused


def _api(loaded: LoadedScenario) -> Iterator[str]:
    for option in loaded.scenario.api:
        if "retry_fraction" not in option.model_fields_set:
            yield f"{option.name}: left out, so taken to cost 0: retry_fraction"
        price = option.price
        if price.catalog is None and price.cached_input_usd_per_mtok is None:
            yield f"{option.name}: no price for cached prompt tokens, so they cost as much as the others"
        if price.checked_on is None:
            yield f"{option.name}: the price has no checked_on, so nobody can tell how old it is"


def _rule(scenario: Scenario) -> Iterator[str]:
    if scenario.decision_rule.minimum_probability is not None:
        yield "decision_rule.minimum_probability: has no effect while no input states a doubt"


def _carries_nothing(scenario: Scenario, question: Question) -> Iterator[str]:
    """What is paid today for machines that carry no load is not known, since their number is not."""
    current = None if scenario.current is None else scenario.current.option
    for hosting in question.hosting:
        name = hosting.option.name
        if hosting.capacity.is_none and current in {name, *(hybrid_name(name, api.name) for api in scenario.api)}:
            yield f"current.option: what {current} costs today is not known: an idle {name} misses the service level"


def _not_split(scenario: Scenario, question: Question) -> Iterator[str]:
    """Why a hybrid that a reader would look for is not among the options."""
    if question.workload.requests.sum() <= 0:
        return
    in_house, at_api, has_spares = [], [], False
    for hybrid in question.hybrids():
        if hybrid.is_split:
            continue
        if scenario.current is not None and scenario.current.option == hybrid.name:
            yield f"current.option: what {hybrid.name} costs today is not known, since it is not an option here"
        if not hybrid.is_whole:
            at_api.append(hybrid.name)
        else:
            in_house.append(f"{hybrid.name} ({_counted(int(hybrid.replicas.min()), int(hybrid.replicas.max()))})")
            has_spares |= hybrid.machines is not None and hybrid.machines.spare_replicas > 0
    if in_house:
        hint = "; where an API is failover enough, state spare_replicas: 0" if has_spares else ""
        names = ", ".join(in_house)
        yield f"no hybrid, since the best split serves every request in house, without a spare: {names}{hint}"
    if at_api:
        yield f"no hybrid, since the best split sends every request to the API: {', '.join(at_api)}"


def _counted(least: int, most: int) -> str:
    if least < most:
        return f"{least:,} to {most:,} replicas"
    return "1 replica" if most == 1 else f"{most:,} replicas"


def _doubt() -> Iterator[str]:
    yield "no input states a doubt, so the plan has no spread: the option that costs least counts as best for certain"
