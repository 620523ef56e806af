"""Sweeps of servers whose throughput and latency follow from the load by a formula."""

from collections.abc import Callable

import pytest

from planner.loadtest.sweep import MOST_USERS, next_load, result_of
from planner.schema.benchmark import ClientHealth, LoadPoint, RequestCounts, Statistics
from planner.schema.scenario import Slo

NO_SLO = Slo()
TOKENS = 50.0
"""Of each answer."""


def measured(
    users: int | None, rate_per_s: float | None, tokens_per_s: float, ttft_s: float, spread: float = 0.02
) -> LoadPoint:
    p95 = Statistics(n=500, p95=ttft_s, ci95_p95=(ttft_s * (1 - spread), ttft_s * (1 + spread)))
    return LoadPoint(
        offered_requests_per_s=rate_per_s,
        concurrency=users,
        achieved_requests_per_s=tokens_per_s / TOKENS,
        requests=RequestCounts(sent=500, ok=500, failed=0),
        input_tokens_per_s=0.0,
        output_tokens_per_s=tokens_per_s,
        busy_output_tokens_per_s=tokens_per_s if users else None,
        ttft_s=p95,
        itl_s=Statistics(),
        tpot_s=Statistics(),
        e2e_s=Statistics(),
        client=ClientHealth(),
    )


def swept(
    throughput: Callable[[int], float],
    ttft_s: Callable[[float], float],
    slo: Slo = NO_SLO,
    most_users: int = MOST_USERS,
) -> list[LoadPoint]:
    """All loads of a sweep; throughput by users [tokens/s], TTFT by rate [s]."""
    points: list[LoadPoint] = []
    while (load := next_load(points, slo, most_users)) is not None:
        assert len(points) < 60, "the sweep comes to no end"
        if load.users is not None:
            points.append(measured(load.users, None, throughput(load.users), 0.1))
        else:
            rate = load.rate_per_s or 0.0
            points.append(measured(None, rate, TOKENS * rate, ttft_s(rate)))
    return points


def capped(users: int) -> float:
    return min(users, 48) * 30.0


def bending(users: int) -> float:
    """Half of 4,000 tokens/s at 40 users."""
    return 4000.0 * users / (users + 40)


def peaking(users: int) -> float:
    """The most at 90 users; more of them get in each other's way."""
    return 3000.0 * users / (1 + 0.01 * users + users**2 / 8100)


@pytest.mark.parametrize("throughput", [capped, bending, peaking])
def test_saturation_is_within_5_percent_of_a_fine_grid_in_a_third_of_its_loads(
    throughput: Callable[[int], float],
) -> None:
    grid = range(1, MOST_USERS + 1, 16)
    points = [point for point in swept(throughput, lambda _: 0.1) if point.concurrency is not None]
    found = result_of(points, Slo()).saturation
    assert found is not None
    assert found.output_tokens_per_s == pytest.approx(max(map(throughput, grid)), rel=0.05)
    assert found.requests_per_s == pytest.approx(found.output_tokens_per_s / TOKENS)
    assert 3 * len(points) < len(grid)


def queueing(rate_per_s: float) -> float:
    """Of a queue that grows without end at 28.8 requests/s, which is what `capped` saturates at."""
    return 0.05 / max(1e-6, 1 - rate_per_s / 28.8)


@pytest.mark.parametrize(("limit_s", "truth_per_s"), [(0.1, 14.4), (0.5, 25.92), (0.055, 2.618), (0.07, 8.229)])
def test_rate_within_the_service_level_is_found_to_5_percent(limit_s: float, truth_per_s: float) -> None:
    slo = Slo(ttft_p95_s=limit_s)
    points = swept(capped, queueing, slo)
    found = result_of(points, slo).rate_within_slo
    assert found is not None
    assert found.met_requests_per_s is not None
    assert found.missed_requests_per_s is not None
    # A rate whose percentile is within its interval of the limit may be taken for either.
    assert found.met_requests_per_s <= 1.03 * truth_per_s
    assert found.missed_requests_per_s >= 0.97 * truth_per_s
    assert found.missed_requests_per_s <= 1.06 * found.met_requests_per_s
    assert len(points) <= 28, "eight of them of users, four for the fit, and up to three at each rate near the limit"


def test_rates_for_the_fit_are_measured_with_and_without_a_service_level() -> None:
    for slo in (Slo(), Slo(ttft_p95_s=0.1)):
        rates = [point.offered_requests_per_s for point in swept(capped, queueing, slo) if point.concurrency is None]
        assert rates[:4] == pytest.approx([7.2, 14.4, 21.6, 25.9], rel=0.01)
        assert (len(rates) > 4) == (slo.ttft_p95_s is not None)


def test_a_rate_on_the_edge_is_measured_again_three_times_at_most() -> None:
    slo = Slo(ttft_p95_s=0.1)
    points = swept(capped, lambda rate: 0.1 if rate > 1 else 0.01, slo)
    rates = [point.offered_requests_per_s for point in points if point.offered_requests_per_s is not None]
    assert max(map(rates.count, rates)) == 3


def test_service_level_that_nothing_meets_ends_and_says_so() -> None:
    slo = Slo(ttft_p95_s=0.01)
    found = result_of(swept(capped, queueing, slo), slo).rate_within_slo
    assert found is not None
    assert found.met_requests_per_s is None
    assert found.missed_requests_per_s is not None
    assert found.missed_requests_per_s < 1.2


def test_service_level_that_all_meet_is_tried_beyond_saturation() -> None:
    slo = Slo(ttft_p95_s=10.0)
    found = result_of(swept(capped, lambda _: 0.1, slo), slo).rate_within_slo
    assert found is not None
    assert found.met_requests_per_s == pytest.approx(28.8 * 1.05, rel=0.01)
    assert found.missed_requests_per_s is None


def test_users_end_at_the_most_and_where_the_client_is_full() -> None:
    users = [point.concurrency for point in swept(lambda count: 30.0 * count, lambda _: 0.1, most_users=12)]
    assert users[:5] == [1, 2, 4, 8, 12]
    full = measured(2, None, 60.0, 0.1).model_copy(update={"client": ClientHealth(is_saturated=True)})
    after = next_load([measured(1, None, 30.0, 0.1), full], Slo())
    assert after is not None
    assert after.users is None


def test_one_doubling_without_a_gain_is_no_end() -> None:
    by_users = {1: 100.0, 2: 200.0, 4: 300.0, 8: 304.0, 16: 500.0, 32: 900.0, 64: 905.0, 128: 906.0}
    points = swept(lambda users: by_users.get(users, 906.0), lambda _: 0.1)
    found = result_of(points, NO_SLO).saturation
    assert found is not None
    assert found.output_tokens_per_s == 906.0
    assert not found.is_lower_bound


def test_saturation_that_was_not_reached_is_a_lower_bound() -> None:
    found = result_of(swept(lambda users: 30.0 * users, lambda _: 0.1, most_users=16), NO_SLO).saturation
    assert found is not None
    assert (found.users, found.is_lower_bound) == (16, True)


def test_a_load_that_failed_is_no_saturation_and_ends_the_climb() -> None:
    points = [measured(users, None, 30.0 * users, 0.1) for users in (1, 2, 4)]
    nothing = RequestCounts(sent=0, ok=0, failed=0)
    points.append(measured(8, None, 500.0, 0.1).model_copy(update={"requests": nothing}))
    after = next_load(points, NO_SLO)
    assert after is not None
    assert after.users is None
    found = result_of(points, NO_SLO).saturation
    assert found is not None
    assert (found.users, found.is_lower_bound) == (4, True)


def test_the_same_loads_give_the_same_next_one() -> None:
    slo = Slo(ttft_p95_s=0.5)
    points = swept(peaking, queueing, slo)
    for count in range(len(points)):
        load = next_load(points[:count], slo)
        assert load is not None
        assert (load.users, load.rate_per_s) == (points[count].concurrency, points[count].offered_requests_per_s)


def test_a_server_that_answers_nothing_has_no_saturation() -> None:
    nothing = measured(1, None, 0.0, 0.1)
    assert result_of([nothing], Slo()).saturation is None
    assert next_load([nothing], Slo(), most_users=1) is None
