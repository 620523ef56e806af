"""Break-evens against algebra: a rental with people to pay, and an API whose bill is linear in the volume."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.core.breakeven import VolumeScan, hosting_advantage_usd
from planner.core.breakeven import api_price_change as api_price_change_by
from planner.core.breakeven import scan_volumes as scan_volumes_by
from planner.core.capacity import MOST_REPLICAS, Capacity
from planner.core.demand import Shape, Workload, bursty, diurnal, growth_factors, steady
from planner.core.question import Question, priced_api, priced_hosting
from planner.core.rules import Rules
from planner.schema.options import ApiOption, HostingOption
from planner.schema.scenario import DecisionRule, Requirements

RENT_USD = 730.5  # 1 USD an hour for a month
REQUESTS_PER_REPLICA_MONTH = 2_629_800.0  # one per second
FREE = Rules.of(Requirements(), [], 0.02, DecisionRule(), 0.0)
PRICE = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}


def question(
    now: float,
    people_usd: float,
    usd_per_request: float,
    *,
    requests_per_s: float = 1.0,
    growth: float = 0.0,
    months: int = 1,
    hybrids: bool = False,
    hosting_success: float = 1.0,
    spares: int = 0,
    shape: Shape | None = None,
    **api: object,
) -> Question:
    """A replica for 730.50 a month, people for `people_usd` a month, an API at `usd_per_request`."""
    hosting = HostingOption(
        name="own",
        tenure="on_demand",
        capacity={"requests_per_s": requests_per_s},
        usd_per_gpu_hour=1.0,
        operations={"engineer_fraction": 1.0, "engineer_usd_per_year": people_usd * 12},
        success_fraction=hosting_success,
        spare_replicas=spares,
    )
    option = ApiOption(name="api", price=PRICE, **api)
    return Question(
        workload=Workload(
            now * growth_factors(growth, 1, months), shape or steady(), growth_factors(growth, 1, months)
        ),
        hosting=(priced_hosting(hosting, Capacity.per_replica(requests_per_s), months, 0.0),),
        api=(priced_api(option, usd_per_request, months),),
        list_usd_per_request=(usd_per_request,),
        attainment_fraction=0.99,
        rate_fraction_per_year=0.0,
        hybrids_are_allowed=hybrids,
    )


def in_replicas(people: float, api_price: float, **terms: object) -> Question:
    """Money in rents, volumes in full replicas: u requests cost api_price·u at the API, people + ⌈u⌉ when hosted."""
    now = 3.3 * REQUESTS_PER_REPLICA_MONTH
    return question(now, people * RENT_USD, api_price * RENT_USD / REQUESTS_PER_REPLICA_MONTH, **terms)  # type: ignore[arg-type]


def scan_volumes(of: Question, *progress: Callable[[float], None]) -> VolumeScan | None:
    return scan_volumes_by(of, FREE, *progress)


def api_price_change(of: Question) -> float | None:
    return api_price_change_by(of, FREE)


def advantage_usd(of: Question) -> float:
    return hosting_advantage_usd(FREE.candidates(of.outcomes()))


def found(of: Question) -> list[tuple[float, float]]:
    scan = scan_volumes(of)
    return scan.cheaper


@pytest.mark.parametrize("now", [20_000.0, 500_000.0, 3_000_000.0, 50_000_000.0, 0.0])
@pytest.mark.parametrize("hybrids", [False, True])
def test_one_large_machine_has_one_break_even(now: float, hybrids: bool) -> None:
    # 730.50 + 365.25 = 1 095.75 a month against 0.001 a request.
    ((low, high),) = found(question(now, 365.25, 0.001, requests_per_s=1000.0, hybrids=hybrids))
    assert low == pytest.approx(1_095_750, rel=1e-5)
    assert math.isinf(high) or high > 1e9


def test_break_even_under_growth_is_of_month_1() -> None:
    # Three months of 1 095.75 against 0.001 × v × (1 + 1.1 + 1.21): v = 3 287.25 / 0.00331 = 993 126.888.
    ((low, high),) = found(question(500_000.0, 365.25, 0.001, requests_per_s=1000.0, growth=0.1, months=3))
    assert low == pytest.approx(993_126.888, rel=1e-5)
    assert math.isinf(high)


def test_rejected_answers_shift_the_break_even() -> None:
    # Only 80 % of the hosted answers are accepted: 1 095.75 / 0.8 v against 0.001.
    ((low, _),) = found(question(500_000.0, 365.25, 0.001, requests_per_s=1000.0, hosting_success=0.8))
    assert low == pytest.approx(1_369_687.5, rel=1e-5)


def test_whole_replicas_make_several_intervals() -> None:
    # Hosting is cheaper where 1.25 u > 0.45 + k for u in (k - 1, k], so above 0.36 + 0.8 k: 1.96, 2.76, 3.56, 4.36,
    # 5.16, and 5.96 < 6, from where on every step begins in the black.
    intervals = found(in_replicas(0.45, 1.25))
    in_full_replicas = np.array(intervals) / REQUESTS_PER_REPLICA_MONTH
    expected = [(1.96, 2.0), (2.76, 3.0), (3.56, 4.0), (4.36, 5.0), (5.16, math.inf)]
    np.testing.assert_allclose(in_full_replicas, expected, rtol=1e-5)


def test_intervals_of_replicas_that_share_a_queue() -> None:
    # Two carry 2.5, three 3.75, four 5. Hosting is cheaper above 0.36 + 0.8 k as before: 1.16 > 1, 1.96 < 2.5,
    # 2.76 < 3.75, and 3.56 < 3.75, from where on every step begins in the black.
    of = in_replicas(0.45, 1.25)
    pooled = replace(of.hosting[0], capacity=Capacity.known_at([1, 2], [1.0, 2.5]))
    in_full_replicas = np.array(found(replace(of, hosting=(pooled,)))) / REQUESTS_PER_REPLICA_MONTH
    np.testing.assert_allclose(in_full_replicas, [(1.96, 2.5), (2.76, math.inf)], rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "attainment", "sizing"),
    # `sizing`: the busiest hour that must hold, over the mean. The hour at the peak of a day has 8.3 % of its
    # requests, so that 99 % need it to hold and 90 % don't; the next hours are at 1.941 times the mean.
    [(bursty(4.0, 0.1), 0.99, 4.0), (diurnal(2.0), 0.99, 2.0), (diurnal(2.0), 0.9, 1.9411285142612236)],
    ids=["bursts", "peak of a day", "below the peak of a day"],
)
def test_intervals_of_a_load_that_varies(shape: Shape, attainment: float, sizing: float) -> None:
    # So many times the replicas of a steady load, and an API that is as many times as dear.
    of = replace(in_replicas(0.45, sizing * 1.25, shape=shape), attainment_fraction=attainment)
    in_full_replicas = np.array(found(of)) / REQUESTS_PER_REPLICA_MONTH * sizing
    expected = [(1.96, 2.0), (2.76, 3.0), (3.56, 4.0), (4.36, 5.0), (5.16, math.inf)]
    assert in_full_replicas.tolist() == [pytest.approx(interval, rel=1e-5) for interval in expected]


@pytest.mark.parametrize("hybrids", [False, True])
def test_hosting_whose_answers_are_never_accepted_is_never_cheaper(hybrids: bool) -> None:
    assert found(in_replicas(0.45, 1.25, hybrids=hybrids, hosting_success=0.0)) == []


def test_a_hybrid_bridges_the_gaps() -> None:
    # Two full replicas save 2 × 0.25 - 0.45 = 0.05, and the API takes what is above them.
    ((low, high),) = found(in_replicas(0.45, 1.25, hybrids=True))
    assert low / REQUESTS_PER_REPLICA_MONTH == pytest.approx(1.96, rel=1e-5)
    assert math.isinf(high)


def test_a_hybrid_that_ends_leaves_a_gap() -> None:
    # With one spare hosting costs ⌈u⌉ + 1.25, the API 1.3 u. The API takes what is above k full replicas while that
    # costs less than a replica: k + 0.25 + 1.3 (u - k) for u from k to k + 1/1.3 = k + 0.76923, below the API's from
    # k = 1 on. From there to k + 1 the best split hosts everything, which is no hybrid, and hosting is cheaper than
    # the API only above (k + 2.25) / 1.3: never for k to 3, from 4.80769 for k = 4, always for k = 5.
    intervals = found(in_replicas(0.25, 1.3, hybrids=True, spares=1))
    in_full_replicas = np.array(intervals) / REQUESTS_PER_REPLICA_MONTH
    end = 1 / 1.3
    expected = [(1, 1 + end), (2, 2 + end), (3, 3 + end), (4, 4 + end), (6.25 / 1.3, math.inf)]
    np.testing.assert_allclose(in_full_replicas, expected, rtol=1e-5)


@pytest.mark.parametrize("months", [1, 3])
def test_the_volume_of_now_moves_no_break_even(months: int) -> None:
    of = in_replicas(0.25, 1.3, hybrids=True, spares=1, growth=0.002, months=months)
    expected = found(of)
    assert len(expected) > 3
    for replicas_now in (0.0, 1e-6, 4.79, 80.0):
        now = replicas_now * REQUESTS_PER_REPLICA_MONTH
        np.testing.assert_allclose(found(of.at_volume(now)), expected, rtol=1e-6)


@settings(max_examples=60)
@given(people=st.integers(1, 3000), price=st.integers(0, 500), looked_at=st.lists(st.floats(0.01, 19.9), max_size=20))
def test_intervals_against_the_saw_tooth(people: int, price: int, looked_at: list[float]) -> None:
    # Prime denominators, so that no step ends in an exact draw.
    fixed, api_price = people / 1013, 1 + (2 * price + 1) / 1009
    intervals = [(low, high) for low, high in found(in_replicas(fixed, api_price))]
    edges = [edge / REQUESTS_PER_REPLICA_MONTH for interval in intervals for edge in interval]
    for replicas in looked_at:
        if any(abs(replicas - edge) < 1e-3 for edge in edges) or abs(replicas - round(replicas)) < 1e-3:
            continue
        volume = replicas * REQUESTS_PER_REPLICA_MONTH
        is_within = any(low < volume < high for low, high in intervals)
        assert is_within == (api_price * replicas > fixed + math.ceil(replicas))


@pytest.mark.parametrize("hybrids", [False, True])
def test_an_api_that_is_cheaper_than_a_full_replica_is_never_beaten(hybrids: bool) -> None:
    assert found(in_replicas(0.0, 0.9, hybrids=hybrids)) == []


def test_hosting_that_is_always_cheaper_starts_at_the_lowest_volume() -> None:
    of = question(1e6, 0.0, 0.001, requests_per_s=1000.0, commitment={"usd_per_month": 5000.0})
    scan = scan_volumes(of)
    assert scan.cheaper == [(0.0, math.inf)]


def test_the_scan_covers_the_volume_of_now() -> None:
    scan = scan_volumes(in_replicas(0.45, 1.25))
    assert np.all(np.diff(scan.requests_per_month) > 0)
    assert 3.3 * REQUESTS_PER_REPLICA_MONTH in scan.requests_per_month
    assert len(scan.candidates) == scan.requests_per_month.size


@pytest.mark.parametrize("now", [100_000.0, 730_500.0, 1_000_000.0, 1_461_000.0, 2_000_000.0])
def test_a_draw_at_the_volume_of_now_is_a_break_even(now: float) -> None:
    # 730.50 a month against exactly as much at the API.
    ((low, high),) = found(question(now, 0.0, 730.5 / now, requests_per_s=10.0))
    assert low == pytest.approx(now, rel=1e-5)
    assert high > low


def test_a_scan_of_a_machine_of_next_to_no_capacity_has_volumes() -> None:
    scan = scan_volumes(question(0.0, 0.0, 0.001, requests_per_s=1e-6))
    assert scan.requests_per_month.size > 0


@pytest.mark.parametrize("share_of_most", [0.8, 0.995, 1.0])
def test_what_can_be_sized_now_can_be_scanned(share_of_most: float) -> None:
    # Half as much again would be too many replicas, and nobody asked for them.
    replicas = int(MOST_REPLICAS * share_of_most)
    of = question(replicas * REQUESTS_PER_REPLICA_MONTH, 0.0, 0.001)
    assert of.outcomes()[0].replicas.tolist() == [replicas]
    scan = scan_volumes(of)
    assert scan.cheaper


def test_a_scan_tells_how_far_it_is() -> None:
    told: list[float] = []
    scan_volumes(in_replicas(0.45, 1.25), told.append)
    assert told == sorted(told)
    assert (told[0], len(told) > 100) == (0.0, True)
    assert 0.7 < told[-1] <= 1.0


def test_nothing_to_compare() -> None:
    of = question(1e6, 365.25, 0.001)
    hosting_alone = Question(of.workload, of.hosting, (), (), 0.99, 0.0, True)
    api_alone = Question(of.workload, (), of.api, of.list_usd_per_request, 0.99, 0.0, True)
    for alone in (hosting_alone, api_alone):
        assert scan_volumes(alone) is None
        assert api_price_change(alone) is None


@pytest.mark.parametrize(
    ("now", "terms", "expected"),
    [
        (2_191_500.0, {}, -0.5),  # 1 095.75 / 2 191.50
        (1_217_500.0, {}, -0.1),
        (547_875.0, {}, 1.0),
        (2_191_500.0, {"hosting_success": 0.5}, 0.0),
        (2_191_500.0, {"success_fraction": 0.5}, -0.75),
        (2_191_500.0, {"retry_fraction": 0.25}, -0.6),
        (2_191_500.0, {"months": 3, "growth": 0.1}, 3 / 6.62 - 1),
        (500.0, {}, None),  # 2 000-fold prices would be needed
        (0.0, {}, None),
        (2_191_500.0, {"commitment": {"usd_per_month": 2000.0}}, None),  # paid at any price, and above hosting
    ],
)
def test_api_price_change(now: float, terms: dict[str, object], expected: float | None) -> None:
    change = api_price_change(question(now, 365.25, 0.001, requests_per_s=1000.0, hybrids=True, **terms))  # type: ignore[arg-type]
    assert change == (None if expected is None else pytest.approx(expected, abs=1e-5))


def test_advantage_is_per_accepted_answer() -> None:
    # 1 095.75 over 1 095 750 requests is the API's 0.001; at twice the volume half of it.
    of = question(2_191_500.0, 365.25, 0.001, requests_per_s=1000.0)
    assert advantage_usd(of) == pytest.approx(0.0005, rel=1e-9)
    assert advantage_usd(of.at_volume(0.0)) == -math.inf
    rejected = question(2_191_500.0, 365.25, 0.001, requests_per_s=1000.0, hosting_success=0.0)
    assert advantage_usd(rejected) == -math.inf
    api_rejected = question(2_191_500.0, 365.25, 0.001, requests_per_s=1000.0, success_fraction=0.0)
    assert advantage_usd(api_rejected) == math.inf
