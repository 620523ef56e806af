"""Hybrids against brute force: every number of replicas in every month, priced hour by hour."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.core.capacity import Capacity
from planner.core.demand import Shape, Workload
from planner.core.hybrid import hybrid_outcome
from planner.core.outcome import Outcome
from planner.core.question import priced_api, priced_hosting
from planner.schema.options import ApiOption, HostingOption

REQUESTS_PER_MONTH = 2_629_800.0  # one per second for 730.5 hours


@dataclass(frozen=True)
class Case:
    """A small question whose hybrid can be found by trying everything."""

    loads: tuple[float, ...]
    """Mean load of each month, before retries [requests/s]."""
    hours: tuple[int, ...]
    """Load of each hour, in any unit."""
    hosting: HostingOption
    api: ApiOption
    usd_per_request: float
    model_changes_per_year: float = 0.0
    rate: float = 0.0
    carried: tuple[float, ...] = (1.0,)
    """Load that 1, 2, … replicas carry; more do in proportion to the last [requests/s]."""

    def carried_by(self, replicas: int) -> float:
        last = len(self.carried)
        return (0.0, *self.carried)[replicas] if replicas <= last else replicas * self.carried[-1] / last


def solved(case: Case) -> Outcome:
    months = len(case.loads)
    relative = np.array(case.hours) / np.mean(case.hours)
    shape = Shape(relative, np.full(relative.size, 1 / relative.size))
    capacity = Capacity.known_at(range(1, len(case.carried) + 1), case.carried)
    hosting = priced_hosting(case.hosting, capacity, months, case.model_changes_per_year)
    api = priced_api(case.api, case.usd_per_request, months)
    workload = Workload(np.array(case.loads) * REQUESTS_PER_MONTH, shape)
    return hybrid_outcome(hosting, api, workload, case.rate)


def priced(case: Case, path: tuple[int, ...]) -> tuple[float, float, float]:
    """Present value of cost and of accepted answers, and the hosted share, of one path, by plain loops."""
    hosting, api, months = case.hosting, case.api, len(path)
    change = hosting.price_change_fraction_per_year
    cost = hosting.one_off_usd
    accepted = hosted_in_all = 0.0
    for month, replicas in enumerate(path):
        years, later = month / 12, (1 + case.rate) ** (-(month + 1) / 12)
        kwh_usd = hosting.power.usd_per_kwh * hosting.power.pue * (1 + change.power) ** years
        api_usd = 0.0
        for hour in case.hours:
            # Each kind of hour stands for an equal part of the month's 730.5 hours.
            requests = case.loads[month] * hour / sum(case.hours) * REQUESTS_PER_MONTH
            load = case.loads[month] * hour / (sum(case.hours) / len(case.hours)) * (1 + hosting.retry_fraction)
            carried = min(load, case.carried_by(replicas))
            busy = replicas * carried / case.carried_by(replicas) if replicas else 0.0
            hosted = requests * (carried / load if load else 1.0)
            hosted_in_all += hosted
            api_usd += (requests - hosted) * case.usd_per_request * (1 + api.retry_fraction)
            accepted += (hosted * hosting.success_fraction + (requests - hosted) * api.success_fraction) * later
            watts = replicas * hosting.power.idle_w + busy * (hosting.power.busy_w - hosting.power.idle_w)
            cost += watts / 1000 * 730.5 / len(case.hours) * kwh_usd * later
        api_usd *= (1 + api.price_change_fraction_per_year) ** years * (1 - api.commitment.discount_fraction)
        cost += max(api_usd, api.commitment.usd_per_month) * later
        people = hosting.operations.engineer_fraction * hosting.operations.engineer_usd_per_year / 12
        cost += people * (1 + change.people) ** years * later
        cost += hosting.requalification_usd_per_model_change * case.model_changes_per_year / 12 * later
        cost += replicas * hosting.colocation_usd_per_month_per_replica * later
        if hosting.is_bought:
            bought = replicas - (path[month - 1] if month else 0)
            cost += bought * owned_usd(hosting, month, months, case.rate)
        else:
            rent = (hosting.usd_per_gpu_hour or 0.0) * hosting.gpus_per_replica * 730.5
            cost += replicas * rent * (1 + change.rent) ** years * later
    return cost, accepted, hosted_in_all / (sum(case.loads) * REQUESTS_PER_MONTH)


def owned_usd(hosting: HostingOption, month: int, months: int, rate: float) -> float:
    """Present value of one replica bought at the start of a month (counted from 0) and kept to the end."""
    cost, age, price = 0.0, 0, 0.0
    for now in range(month, months + 1):
        discount = (1 + rate) ** (-now / 12)
        if now > month:
            cost += price * hosting.maintenance_fraction_per_year / 12 * discount
        if now > month and (age == hosting.lifetime_months or now == months):
            lost = (1 - hosting.residual_fraction) * age / hosting.lifetime_months
            cost -= price * (1 - lost) * discount
            age = 0
        if now < months and age == 0:
            change = hosting.price_change_fraction_per_year.purchase
            price = (hosting.purchase_usd_per_replica or 0.0) * (1 + change) ** (now / 12)
            cost += price * discount
        age += 1
    return cost


def all_paths(case: Case) -> Iterator[tuple[int, ...]]:
    peak = max(case.hours) / (sum(case.hours) / len(case.hours)) * (1 + case.hosting.retry_fraction)
    most = 0
    while case.carried_by(most) < max(case.loads) * peak:
        most += 1
    for path in itertools.product(range(most + 1), repeat=len(case.loads)):
        if not case.hosting.is_bought or list(path) == sorted(path):
            yield path


def least_cost_per_answer(case: Case) -> float:
    pairs = [priced(case, path)[:2] for path in all_paths(case)]
    return min(cost / accepted for cost, accepted in pairs if accepted > 0)


@st.composite
def hosting_options(draw: st.DrawFn, tenure: str) -> HostingOption:
    shares = st.floats(-0.3, 0.3)
    terms = {
        "name": "own",
        "capacity": {"requests_per_s": 1.0},
        "power": {"idle_w": 300.0, "busy_w": draw(st.floats(300.0, 3000.0)), "pue": 1.3, "usd_per_kwh": 0.2},
        "colocation_usd_per_month_per_replica": draw(st.floats(0.0, 200.0)),
        "one_off_usd": draw(st.floats(0.0, 2000.0)),
        "operations": {"engineer_fraction": 0.1, "engineer_usd_per_year": draw(st.floats(0.0, 20_000.0))},
        "requalification_usd_per_model_change": draw(st.floats(0.0, 300.0)),
        "price_change_fraction_per_year": {
            "rent": draw(shares),
            "purchase": draw(shares),
            "people": draw(shares),
            "power": draw(shares),
        },
        "retry_fraction": draw(st.sampled_from([0.0, 0.25])),
        "success_fraction": draw(st.floats(0.3, 1.0)),
        "spare_replicas": 2,  # without effect, since the API is the failover
    }
    if tenure == "purchase":
        terms |= {
            "tenure": "purchase",
            "purchase_usd_per_replica": draw(st.floats(1000.0, 20_000.0)),
            "lifetime_months": draw(st.integers(1, 5)),
            "residual_fraction": draw(st.floats(0.0, 1.0)),
            "maintenance_fraction_per_year": draw(st.floats(0.0, 0.3)),
        }
    else:
        terms |= {"tenure": "on_demand", "usd_per_gpu_hour": draw(st.floats(0.4, 2.0)), "gpus_per_replica": 2}
    return HostingOption(**terms)


# Loads of the hours: bursty, a day, mostly idle, flat.
SHAPES = [(1, 1, 1, 1, 6), (1, 2, 4, 6, 4, 2), (0, 0, 0, 5, 1), (1,)]


@st.composite
def cases(draw: st.DrawFn, tenure: str) -> Case:
    hours = draw(st.one_of(st.sampled_from(SHAPES), st.lists(st.integers(0, 6), min_size=4, max_size=6).filter(any)))
    months = draw(st.sampled_from([2, 3, 1]))
    commitment = {"usd_per_month": draw(st.sampled_from([0.0, 500.0, 3000.0])), "discount_fraction": 0.1}
    api = ApiOption(
        name="api",
        price={"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0},
        retry_fraction=draw(st.sampled_from([0.0, 0.1])),
        success_fraction=draw(st.floats(0.5, 1.0)),
        commitment=commitment,
        price_change_fraction_per_year=draw(st.floats(-0.5, 0.5)),
    )
    return Case(
        loads=tuple(draw(st.lists(st.floats(0.3, 1.6), min_size=months, max_size=months))),
        hours=tuple(hours),
        hosting=draw(hosting_options(tenure)),
        api=api,
        usd_per_request=draw(st.floats(0.0006, 0.004)),
        model_changes_per_year=draw(st.sampled_from([0.0, 4.0])),
        rate=draw(st.sampled_from([0.0, 0.1, 0.5])),
        carried=draw(st.sampled_from([(1.0,), (1.0, 2.3, 3.9), (0.8, 2.4), (1.0, 1.5), (1.0, 1.0, 3.0)])),
    )


@pytest.mark.parametrize("tenure", ["purchase", "on_demand"])
@settings(max_examples=400)
@given(data=st.data())
def test_no_number_of_replicas_is_cheaper_per_answer(tenure: str, data: st.DataObject) -> None:
    case = data.draw(cases(tenure))
    least = least_cost_per_answer(case)
    outcome = solved(case)
    if not outcome.is_split:
        # Then one of the two serves everything in the best case.
        one_sided = [priced(case, path) for path in all_paths(case)]
        costs = [cost / accepted for cost, accepted, share in one_sided if share < 1e-9 or share > 1 - 1e-9]
        assert min(costs) == pytest.approx(least, rel=1e-9)
        return
    assert outcome.cost_per_success_usd(case.rate) == pytest.approx(least, rel=1e-9)
    # The ledger of the outcome is priced as the loops price its path.
    cost, accepted, share = priced(case, tuple(int(replicas) for replicas in outcome.replicas))
    assert outcome.npv_cost_usd(case.rate) == pytest.approx(cost, rel=1e-9)
    assert outcome.cost_per_success_usd(case.rate) == pytest.approx(cost / accepted, rel=1e-9)
    assert outcome.hosted_fraction == pytest.approx(share, rel=1e-9)
    assert 0 < share < 1
    assert outcome.spare_replicas == 0
    if case.hosting.is_bought:
        assert np.all(np.diff(outcome.replicas) >= 0)


@settings(max_examples=200)
@given(cases("on_demand"))
def test_rented_months_are_each_best_alone_where_answers_are_alike(case: Case) -> None:
    hosting = case.hosting.model_copy(update={"success_fraction": case.api.success_fraction})
    case = replace(case, hosting=hosting)
    outcome = solved(case)
    if not outcome.is_split:
        return
    best = tuple(int(replicas) for replicas in outcome.replicas)
    cost = priced(case, best)[0]
    most = max(max(path) for path in all_paths(case))
    for month, replicas in itertools.product(range(len(best)), range(most + 1)):
        other = (*best[:month], replicas, *best[month + 1 :])
        assert priced(case, other)[0] >= cost * (1 - 1e-12)
