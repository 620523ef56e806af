"""Sweeps of servers whose throughput and latency follow from the load by a formula."""

from collections.abc import Callable

import numpy as np
import pytest

from planner.loadtest.sweep import MOST_USERS, NextLoad, next_load, result_of
from planner.loadtest.within_slo import RATES, vague_end
from planner.report.sweeps import sweep_lines
from planner.schema.benchmark import ArrivalFigures, ClientHealth, LoadPoint, RequestCounts, Statistics
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
    is_closed: bool = False,
) -> list[LoadPoint]:
    """All loads of a sweep; throughput by users [tokens/s], TTFT by rate, or by users where there are no rates [s]."""
    points: list[LoadPoint] = []
    while (load := next_load(points, slo, most_users, is_closed)) is not None:
        assert len(points) < 60, "the sweep comes to no end"
        if load.users is not None:
            points.append(measured(load.users, None, throughput(load.users), ttft_s(load.users) if is_closed else 0.1))
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
    assert len(points) <= 30, "nine of them of users, four for the fit, and up to three at each rate near the limit"
    rates = [point.offered_requests_per_s for point in points]
    assert rates.count(found.met_requests_per_s) > 1
    assert rates.count(found.missed_requests_per_s) > 1


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
    points = [measured(1, None, 30.0, 0.1), full]
    assert next_load(points, Slo()) == NextLoad(users=2), "it may have been chance"
    assert next_load([*points, measured(2, None, 60.0, 0.1)], Slo()) == NextLoad(users=4), "and was"
    points.append(full)
    assert next_load(points, Slo()) == NextLoad(users=1), "the best that can be trusted, once more"
    after = next_load([*points, measured(1, None, 30.0, 0.1)], Slo())
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
    for users in (6, 3):
        assert next_load(points, NO_SLO) == NextLoad(users=users), "between it and the best, and below"
        points.append(measured(users, None, 100.0, 0.1))
    assert next_load(points, NO_SLO) == NextLoad(users=4), "the best that can be trusted, once more"
    points.append(measured(4, None, 120.0, 0.1))
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


def test_the_best_of_users_is_measured_again_and_averaged() -> None:
    """One lucky load, which no other comes near."""
    lucky = iter([2000.0])
    points = swept(lambda users: next(lucky, 1440.0) if users == 64 else capped(users), lambda _: 0.1)
    users = [point.concurrency for point in points if point.concurrency is not None]
    found = result_of(points, NO_SLO).saturation
    assert found is not None
    assert users.count(64) == 2
    assert found.output_tokens_per_s == pytest.approx((2000.0 + 1440.0) / 2)


def test_noise_repeats_no_more_than_three_closed_loops() -> None:
    noise = np.random.default_rng(1)
    points = swept(lambda users: capped(users) * noise.normal(1, 0.05), lambda _: 0.1)
    users = [point.concurrency for point in points if point.concurrency is not None]
    assert len(users) - len(set(users)) <= 3


def test_a_single_miss_far_below_is_looked_at_again_and_given_up() -> None:
    slo = Slo(ttft_p95_s=0.5)
    hiccup = iter([True])

    def ttft_s(rate_per_s: float) -> float:
        return 0.6 if 7 < rate_per_s < 8 and next(hiccup, False) else queueing(rate_per_s)

    points = swept(capped, ttft_s, slo)
    found = result_of(points, slo).rate_within_slo
    assert found is not None
    assert found.met_requests_per_s == pytest.approx(25.92, rel=0.05)
    again = [point.offered_requests_per_s for point in points if point.offered_requests_per_s == pytest.approx(7.2)]
    assert len(again) > 1


def test_a_rate_that_misses_each_time_bounds_those_above_that_met_it() -> None:
    slo = Slo(ttft_p95_s=0.5)
    found = result_of(swept(capped, lambda rate: 0.9 if 7 < rate < 8 else queueing(rate), slo), slo).rate_within_slo
    assert found is not None
    assert found.missed_requests_per_s is not None
    assert found.missed_requests_per_s < 8


def test_an_end_that_still_grew_is_not_clear_though_its_interval_is() -> None:
    slo = Slo(ttft_p95_s=0.5)
    met, missed = measured(None, 10.0, 500.0, 0.1), measured(None, 10.4, 520.0, 0.9)
    assert vague_end([met, met, missed, missed], slo, RATES) is None
    growing = met.model_copy(update={"is_steady": False})
    assert vague_end([growing, growing, missed, missed], slo, RATES) == 10.0
    assert vague_end([growing, growing, growing, missed, missed], slo, RATES) is None


def test_an_uncertain_load_away_from_the_edge_is_not_measured_again() -> None:
    slo = Slo(ttft_p95_s=0.5)
    clear = [measured(None, rate, 50.0 * rate, ttft_s) for rate, ttft_s in ((10.0, 0.1), (10.4, 0.9))]
    vague = [measured(None, rate, 50.0 * rate, ttft_s, spread=0.9) for rate, ttft_s in ((5.0, 0.45), (20.0, 0.6))]
    assert vague_end([*clear, *clear, *vague], slo, RATES) is None


@pytest.mark.parametrize("is_closed", [True, False])
def test_few_requests_without_intervals_cost_no_more_loads_than_there_is_time_for(is_closed: bool) -> None:
    """An idle server's latency near its limit, and percentiles that nobody knows the doubt of."""
    slo = Slo(ttft_p95_s=0.12)
    points: list[LoadPoint] = []
    while (load := next_load(points, slo, 64, is_closed)) is not None:
        users, rate = load.users, load.rate_per_s
        ttft_s = 0.1 + (0.002 * users if users is not None else queueing(rate or 0.0) / 10)
        point = measured(users, rate, capped(users) if users is not None else TOKENS * (rate or 0.0), ttft_s)
        points.append(point.model_copy(update={"ttft_s": Statistics(n=30, p95=ttft_s)}))
        assert len(points) <= 22


@pytest.mark.parametrize(("limit_s", "most"), [(0.5, 48), (0.1, 9), (0.0101, 1), (0.005, None)])
def test_users_within_the_service_level_are_found_where_there_are_no_rates(limit_s: float, most: int | None) -> None:
    """TTFT of 10 ms for each other user before one of them, and 0.5 s more where they wait for a place."""
    slo = Slo(ttft_p95_s=limit_s)
    points = swept(capped, lambda users: 0.01 * users + 0.5 * (users > 48), slo, is_closed=True)
    found = result_of(points, slo, is_closed=True)
    assert all(point.concurrency is not None for point in points)
    assert found.rate_within_slo is None
    within = found.users_within_slo
    assert within is not None
    if most is None:
        assert (within.met_users, within.missed_users) == (None, 1)
        return
    assert within.met_users is not None
    assert within.missed_users is not None
    assert most / 1.05 - 1 <= within.met_users <= most + 1
    assert within.missed_users <= max(1.05 * within.met_users, within.met_users + 1)


def test_what_is_met_above_saturation_is_told_to_be_too_short() -> None:
    slo = Slo(ttft_p95_s=10.0)
    lines = list(sweep_lines(result_of(swept(capped, lambda _: 0.1, slo), slo), slo))
    assert any("more than the server can do for long" in line for line in lines)
    lines = list(sweep_lines(result_of(swept(capped, queueing, Slo(ttft_p95_s=0.1)), Slo(ttft_p95_s=0.1)), slo))
    assert not any("for long" in line for line in lines)


@pytest.mark.parametrize(("reach", "known_to"), [(0.3, 0.3 / 2**0.5), (0.03, 0.03 / 2**0.5), (None, None)])
def test_how_well_short_loads_know_a_rate_is_told(reach: float | None, known_to: float | None) -> None:
    """By the interval in which chance puts a load's rate, of two loads each; constant arrivals have none."""
    slo = Slo(ttft_p95_s=0.1)

    def with_arrivals(point: LoadPoint) -> LoadPoint:
        rate = point.offered_requests_per_s
        if rate is None:
            return point
        interval = None if reach is None else ((1 - reach) * rate, (1 + reach) * rate)
        arrivals = ArrivalFigures(requests_per_s=rate, cv=1.0, ci95_requests_per_s=interval)
        return point.model_copy(update={"arrivals": arrivals})

    found = result_of([with_arrivals(point) for point in swept(capped, queueing, slo)], slo)
    assert found.rate_within_slo is not None
    assert found.rate_within_slo.known_to_fraction == (None if known_to is None else pytest.approx(known_to))
    is_told = any("know a rate to ±21%" in line for line in sweep_lines(found, slo))
    assert is_told == (reach == 0.3)
