"""Hybrids at the critical fractile, and at the edges where one of the two would serve nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.capacity import MOST_REPLICAS, Capacity
from planner.core.demand import Shape, Workload, bursty, diurnal, observed, steady
from planner.core.hybrid import hybrid_outcome
from planner.core.outcome import Outcome
from planner.core.question import priced_api, priced_hosting
from planner.errors import InputError
from planner.schema.options import ApiOption, HostingOption

REQUESTS_PER_REPLICA_MONTH = 2_629_800.0  # one per second for 730.5 hours
# 1 USD/h of rent, 0.5 kW idle at 0.20 a kWh: 730.5 + 73.05; at work 0.5 kW more: another 73.05.
FIXED_USD, VARIABLE_USD = 803.55, 73.05


def rented(**terms: object) -> HostingOption:
    return HostingOption(
        name="own",
        tenure="on_demand",
        capacity={"requests_per_s": 1.0},
        usd_per_gpu_hour=1.0,
        power={"idle_w": 500.0, "busy_w": 1000.0, "usd_per_kwh": 0.2},
        **terms,
    )


def hybrid(
    shape: Shape, loads: list[float], usd_per_full_replica: float, hosting: HostingOption | None = None, **api: object
) -> Outcome:
    """The hybrid of a machine, one request per second, and an API that asks so much for what a replica serves."""
    option = ApiOption(name="api", price={"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}, **api)
    months = len(loads)
    return hybrid_outcome(
        priced_hosting(hosting or rented(), Capacity.per_replica(1.0), months, 0.0),
        priced_api(option, usd_per_full_replica / REQUESTS_PER_REPLICA_MONTH, months),
        Workload(np.array(loads) * REQUESTS_PER_REPLICA_MONTH, shape),
        0.0,
    )


def assert_at_the_fractile(shape: Shape, mean_load: float, usd_per_full_replica: float) -> None:
    outcome = hybrid(shape, [mean_load], usd_per_full_replica)
    best = int(outcome.replicas[0])
    fractile = FIXED_USD / (usd_per_full_replica - VARIABLE_USD)

    hours = list(zip(shape.relative_load * mean_load, shape.hours_fraction, strict=True))

    def share_above(replicas: float) -> float:
        return sum(share for load, share in hours if load > replicas)

    def work_of_one_more(replicas: int) -> float:
        return sum(share * min(1.0, max(load - replicas, 0.0)) for load, share in hours)

    # P(load > K) passes the fractile within one step of the best K.
    assert share_above(best + 1) <= fractile + 1e-9
    assert share_above(best - 1) >= fractile - 1e-9
    # For whole replicas: one more would not earn its fixed cost, and the last one does.
    assert work_of_one_more(best) <= fractile + 1e-9
    assert work_of_one_more(best - 1) >= fractile - 1e-9


@given(st.integers(0, 2**32 - 1), st.floats(50.0, 500.0), st.floats(1.2, 12.0))
def test_critical_fractile_of_an_observed_month(seed: int, mean_load: float, price_ratio: float) -> None:
    rates = np.random.default_rng(seed).lognormal(0.0, 0.7, size=730)
    shape = observed(rates, np.ones(730))
    assert_at_the_fractile(shape, mean_load, VARIABLE_USD + price_ratio * FIXED_USD)


@pytest.mark.parametrize("price_ratio", [1.3, 2.0, 3.7, 8.0, 20.0])
@pytest.mark.parametrize("mean_load", [40.0, 333.3])
def test_critical_fractile_of_a_day(price_ratio: float, mean_load: float) -> None:
    assert_at_the_fractile(diurnal(2.5), mean_load, VARIABLE_USD + price_ratio * FIXED_USD)


@pytest.mark.parametrize(
    ("price_ratio", "replicas"),
    # Nine tenths of the hours at 50 replicas, a tenth at 550: a replica of the bursts works a tenth of the time,
    # which pays only where the API asks more than ten times the fixed cost. Then nothing is left to the API.
    [(1.2, 50), (5.0, 50), (9.9, 50), (10.1, None)],
)
def test_bursts_go_to_the_api_until_it_is_too_dear(price_ratio: float, replicas: int | None) -> None:
    outcome = hybrid(bursty(5.5, 0.1), [100.0], VARIABLE_USD + price_ratio * FIXED_USD)
    assert (int(outcome.replicas[0]) if outcome.is_split else None) == replicas


def test_a_hybrid_worked_by_hand() -> None:
    # Half of the hours at 1 replica, half at 3. The API asks 1 600 for what a replica serves in a month.
    # K = 0: 3 200. K = 1: 803.55 + 73.05 + 1 × 1 600 = 2 476.60. K = 2: 1 607.10 + 1.5 × 73.05 + 0.5 × 1 600
    # = 2 516.675. K = 3: 2 410.65 + 2 × 73.05 = 2 556.75. At 2 000 they are 2 876.60, 2 716.675 and 2 556.75.
    shape = Shape(np.array([0.5, 1.5]), np.array([0.5, 0.5]))
    assert not hybrid(shape, [2.0], 2000.0).is_split
    outcome = hybrid(shape, [2.0], 1600.0, rented(spare_replicas=3, one_off_usd=100.0))
    assert (outcome.name, outcome.kind) == ("own + api", "hybrid")
    assert outcome.replicas.tolist() == [1]
    assert outcome.spare_replicas == 0
    assert outcome.npv_cost_usd(0.0) == pytest.approx(2576.60, abs=0.005)
    assert outcome.hosted_fraction == pytest.approx(0.5)
    assert outcome.ledger["API usage"].tolist() == pytest.approx([0.0, 1600.0])
    assert outcome.ledger["rent"].tolist() == pytest.approx([0.0, 730.5])
    assert outcome.ledger["power"].tolist() == pytest.approx([0.0, 146.1])
    assert outcome.ledger["one-off"].tolist() == [100.0, 0.0]


def test_a_commitment_that_is_paid_anyway_is_used_first() -> None:
    # The first 1 600 USD of the API are paid whether used or not: at 1 600 for a replica's month, one replica's
    # worth of overflow is free, so K = 1 in hours of 1 and 3; at twice the price K = 2 leaves 0.5 × 3 200 = 1 600.
    shape = Shape(np.array([0.5, 1.5]), np.array([0.5, 0.5]))
    commitment = {"usd_per_month": 1600.0}
    for usd, expected in ((1600.0, [1]), (3200.0, [2])):
        outcome = hybrid(shape, [2.0], usd, commitment=commitment)
        assert outcome.replicas.tolist() == expected
        assert outcome.ledger["API commitment not used"].tolist() == pytest.approx([0.0, 0.0])


def test_without_requests_there_is_no_hybrid() -> None:
    assert not hybrid(steady(), [0.0, 0.0], 2000.0).is_split


def test_a_flat_load_that_fits_is_never_split() -> None:
    assert not hybrid(steady(), [3.0], 5000.0).is_split


def test_a_dear_machine_gets_nothing_to_do() -> None:
    assert not hybrid(diurnal(2.0), [3.0], 100.0).is_split


def test_more_replicas_than_anybody_has_are_refused() -> None:
    # A tenth of the hours at ten times the mean.
    with pytest.raises(InputError, match=f"replicas: 10,010 would be needed, and {MOST_REPLICAS:,} are the most"):
        hybrid(bursty(10.0, 0.1), [MOST_REPLICAS / 10 + 1], 2000.0)


def test_a_month_without_requests_has_no_replicas() -> None:
    # Volumes that fall by 99 % a month underflow to zero within the 240 months that a scenario may have.
    outcome = hybrid(bursty(5.5, 0.1), [100.0, 0.0], VARIABLE_USD + 5 * FIXED_USD)
    assert outcome.replicas.tolist() == [50, 0]


def test_an_api_that_never_succeeds_still_leaves_the_best_split_to_be_found() -> None:
    # Nine tenths of the hours at 1 replica, a tenth at 11; the API asks 600 for what a replica serves in a month.
    # K = 0 costs least, 1 200, and has no accepted answer. K = 1 costs 876.60 + 600 = 1 476.60 for the answers of
    # one replica's month. Each of K = 2 … 11 adds 803.55 + 7.305 - 60 = 750.855 for a tenth of that, so is dearer.
    shape = Shape(np.array([0.5, 5.5]), np.array([0.9, 0.1]))
    outcome = hybrid(shape, [2.0], 600.0, success_fraction=0.0)
    assert outcome.replicas.tolist() == [1]
    assert outcome.cost_per_success_usd(0.0) == pytest.approx(1476.60 / REQUESTS_PER_REPLICA_MONTH, rel=1e-9)
