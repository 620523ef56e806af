"""Machines of which even an idle one misses the service level: listed, priced, and never chosen."""

from dataclasses import replace

import numpy as np
import pytest

from planner.core.breakeven import api_price_change, scan_volumes
from planner.core.capacity import Capacity
from planner.core.demand import Workload, diurnal
from planner.core.question import Question, priced_api, priced_hosting
from planner.core.rules import Rules
from planner.schema.options import ApiOption, HostingOption
from planner.schema.scenario import DecisionRule, Requirements

NONE = Capacity.known_at([1, 2, 4], [0.0, 0.0, 0.0])
BECAUSE = "one idle replica already misses the service level; the costs are those of a single one"
REQUESTS_PER_MONTH = 2_629_800.0  # one per second for 730.5 hours
PRICE = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}


def question(**capacities: Capacity) -> Question:
    """Two months of one request per second; machines at 1 USD an hour, with a spare; an API at 1,000 USD a month."""
    terms = {"tenure": "on_demand", "usd_per_gpu_hour": 1.0, "spare_replicas": 1, "capacity": {"requests_per_s": 1.0}}
    power = {"idle_w": 500.0, "busy_w": 1000.0, "usd_per_kwh": 0.2}
    usd = 1000 / REQUESTS_PER_MONTH
    return Question(
        workload=Workload(np.full(2, REQUESTS_PER_MONTH), diurnal(2.0)),
        hosting=tuple(
            priced_hosting(HostingOption(name=name, power=power, **terms), capacity, 2, 0.0)
            for name, capacity in capacities.items()
        ),
        api=(priced_api(ApiOption(name="api", price=PRICE), usd, 2),),
        list_usd_per_request=(usd,),
        attainment_fraction=0.99,
        rate_fraction_per_year=0.0,
        hybrids_are_allowed=True,
    )


def rules_of(asked: Question, **requirements: object) -> Rules:
    options = [hosting.option for hosting in asked.hosting]
    return Rules.of(Requirements(**requirements), options, 0.02, DecisionRule(), 0.0)


def test_one_replica_and_its_spares_are_priced_and_serve_nothing() -> None:
    asked = question(slow=NONE)
    slow, api = asked.outcomes()  # and no hybrid
    # Two months of two replicas, idle: 2 × 2 × 730.5 × (1 + 0.5 × 0.2).
    assert slow.replicas.tolist() == [1, 1]
    assert slow.npv_cost_usd(0.0) == pytest.approx(3214.2)
    assert (slow.hosted_fraction, slow.success_fraction, slow.attainment_fraction) == (0.0, 0.0, 0.0)
    assert slow.cost_per_success_usd(0.0) is None
    assert slow.cost_per_mtok_usd(0.0, 1500.0) is None
    assert rules_of(asked).infeasible_because(slow) == [BECAUSE]
    assert rules_of(asked).infeasible_because(api) == []


def test_without_requests_they_are_still_no_choice() -> None:
    asked = question(slow=NONE).at_volume(0.0)
    slow = asked.outcomes()[0]
    assert slow.attainment_fraction is None
    assert rules_of(asked).infeasible_because(slow) == [BECAUSE]


def test_the_api_is_chosen_and_no_volume_turns_that() -> None:
    asked = question(slow=NONE)
    rules = rules_of(asked)
    decision = rules.decide(rules.candidates(asked.outcomes()))
    assert (decision.choice, decision.option) == ("api", "api")
    assert not any("ruled out" in reason for reason in decision.reasons)
    assert scan_volumes(asked, rules) is None
    assert api_price_change(asked, rules) is None


@pytest.mark.parametrize("requirements", [{"data_residency": "required"}, {"offline": True}])
def test_where_hosting_is_required_nothing_is_left(requirements: dict[str, object]) -> None:
    asked = replace(question(slow=NONE), hybrids_are_allowed=False)
    rules = rules_of(asked, **requirements)
    decision = rules.decide(rules.candidates(asked.outcomes()))
    assert (decision.choice, decision.option) == ("abstain", None)
    assert decision.reasons[-1] == "no option of the scenario is feasible"
    assert scan_volumes(asked, rules) is None
    assert api_price_change(asked, rules) is None


def test_other_machines_are_compared_as_if_they_stood_alone() -> None:
    alone, beside = question(fast=Capacity.per_replica(1.0)), question(slow=NONE, fast=Capacity.per_replica(1.0))
    assert [outcome.name for outcome in beside.outcomes()][:3] == ["slow", "fast", "api"]
    scans = [scan_volumes(asked, rules_of(asked)) for asked in (alone, beside)]
    assert scans[0].cheaper == scans[1].cheaper
    assert scans[0].requests_per_month.tolist() == scans[1].requests_per_month.tolist()
    changes = [api_price_change(asked, rules_of(asked)) for asked in (alone, beside)]
    assert changes[0] == changes[1]
