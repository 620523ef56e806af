"""Load points with a start that does not belong to them, and with drift: what counts, what is told, and what is not."""

import numpy as np
import pytest

from planner.loadtest.course import PACE, course, requests_in_flight
from planner.loadtest.sample import Outcome, Sample
from planner.loadtest.summary import Offered, load_point
from planner.schema.benchmark import LoadPoint, RequestRecord
from planner.schema.scenario import Slo

USERS, START = 8, 24
Factor = float | np.ndarray


def record(
    index: int, due_s: float, ttft_s: float, itl_s: float, tokens: int = 5, outcome: str = "ok"
) -> RequestRecord:
    return RequestRecord(
        index=index,
        due_s=due_s,
        sent_s=due_s,
        first_token_s=due_s + ttft_s,
        finished_s=due_s + ttft_s + itl_s * (tokens - 1),
        asked_input_tokens=100,
        asked_output_tokens=tokens,
        input_tokens=100,
        output_tokens=tokens if outcome == "ok" else None,
        outcome=outcome,
        gaps_s=[itl_s] * (tokens - 1),
    )


def open_loop(n: int = 400, slower: Factor = 1.0, slower_tokens: Factor = 1.0) -> list[RequestRecord]:
    """Ten requests a second, of which each takes about 0.1 s."""
    rng = np.random.default_rng(1)
    ttft_s = rng.lognormal(np.log(0.05), 0.3, n) * slower
    itl_s = rng.lognormal(np.log(0.01), 0.1, n) * slower_tokens
    tokens = rng.integers(2, 12, n)
    return [record(i, i / 10, float(ttft_s[i]), float(itl_s[i]), int(tokens[i])) for i in range(n)]


def starting_slowly(n: int = 400) -> list[RequestRecord]:
    """The same, where the first 24 waited ten times as long."""
    return open_loop(n, slower=np.where(np.arange(n) < START, 10.0, 1.0))


def figures(records: list[RequestRecord], users: int | None = None, slo: Slo | None = None) -> LoadPoint:
    offered = Offered(10.0) if users is None else Offered(None, concurrency=users)
    return load_point(offered, Outcome(Sample.of(records)), slo or Slo())


def test_steady_point_keeps_every_request() -> None:
    point = figures(open_loop())
    assert (point.settling, point.is_steady, point.warnings) == (None, True, [])
    assert point.ttft_s.n == point.requests.sent == 400


def test_start_is_in_the_counts_and_in_no_other_figure() -> None:
    records = starting_slowly()
    records[3] = record(3, 0.3, 0.5, 0.01, outcome="http_500")
    slo = Slo(ttft_p95_s=0.2)
    point = figures(records, slo=slo)
    assert point.settling is not None
    left_out = point.settling.requests
    assert START <= left_out <= 2 * START
    assert point.settling.time_s == pytest.approx(left_out / 10)
    assert (point.requests.sent, point.requests.ok, point.requests.failed) == (400, 399, 1)
    assert point.errors == {"http_500": 1}
    kept = records[left_out:]
    ttft_s = [(each.first_token_s or 0.0) - each.due_s for each in kept]
    assert (point.ttft_s.n, point.ttft_s.mean) == (len(kept), pytest.approx(np.mean(ttft_s)))
    assert point.itl_s.n == sum(len(each.gaps_s) for each in kept)
    assert point.itl_s.p95 == pytest.approx(np.quantile(np.concatenate([each.gaps_s for each in kept]), 0.95), abs=1e-6)
    assert point.tpot_s.n == point.e2e_s.n == len(kept)
    span_s = max(each.finished_s or 0.0 for each in kept) - kept[0].due_s
    assert point.achieved_requests_per_s == pytest.approx(len(kept) / span_s)
    assert point.output_tokens_per_s == pytest.approx(sum(each.output_tokens or 0 for each in kept) / span_s)
    good = sum(each <= 0.2 for each in ttft_s)
    assert point.goodput_fraction == pytest.approx(good / len(kept))
    assert point.goodput_requests_per_s == pytest.approx(good / span_s)
    assert point.is_steady is True
    assert not any("steady" in warning for warning in point.warnings), "a start that is cut is no reason to warn"


def test_order_of_records_makes_no_difference() -> None:
    records = starting_slowly()
    shuffled = [records[place] for place in np.random.default_rng(0).permutation(len(records))]
    assert figures(shuffled) == figures(records)


def test_slow_tokens_at_the_start_are_cut_as_well() -> None:
    point = figures(open_loop(slower_tokens=np.where(np.arange(400) < 50, 2.0, 1.0)))
    assert point.settling is not None
    assert 50 <= point.settling.requests <= 60


def test_growing_time_per_token_is_drift_whatever_ttft_does() -> None:
    point = figures(open_loop(slower_tokens=np.linspace(1, 1.5, 400)))
    assert (point.is_steady, point.settling) == (False, None)
    assert point.warnings[0].startswith("not steady: from start to end TPOT rose by ")
    assert "TTFT" not in point.warnings[0]


def test_length_of_answers_is_no_drift() -> None:
    records = [record(i, i / 10, 0.05 + 0.001 * (i % 7), 0.01, tokens=5 + i // 40) for i in range(400)]
    assert figures(records).is_steady is True


def closed_loop(n: int, growth: float = 0.0) -> list[RequestRecord]:
    """Eight users, whose first requests wait for each other, the first one not at all; others take 0.2 s on average."""
    rng, free_s, records = np.random.default_rng(2), np.zeros(USERS), []
    for index in range(n):
        user = int(np.argmin(free_s))
        ttft_s = 0.02 + 0.1 * index if index < USERS else float(rng.lognormal(np.log(0.02), 0.3))
        itl_s = float(rng.lognormal(np.log(0.02), 0.1)) * (1 + growth * index / n)
        entry = record(index, float(free_s[user]), ttft_s, itl_s, tokens=int(rng.integers(5, 15)))
        free_s[user] = entry.finished_s
        records.append(entry)
    return records


def test_users_that_ask_at_once_are_the_start_of_a_closed_loop() -> None:
    point = figures(closed_loop(400), USERS)
    assert point.settling is not None
    assert USERS <= point.settling.requests <= 2 * USERS
    assert point.is_steady is True
    low, high = point.ci95_achieved_requests_per_s or (np.inf, -np.inf)
    # Eight users, of which each takes 0.02 + 0.02 · 8.5 s on average, but for what is lost at the end.
    assert low < USERS / 0.19 < high * 1.05
    assert high / low < 1.3


def test_closed_loop_that_slows_down_loses_its_pace() -> None:
    records = closed_loop(800, growth=1.0)
    sent = Sample.of(records).columns()
    went = course(sent, np.ones(800, dtype=bool), USERS)
    assert went.is_steady is False
    assert went.drifts[PACE].is_found
    assert went.drifts[PACE].change_fraction == pytest.approx(1.0, abs=0.25)
    assert f"{PACE} rose by" in figures(records, USERS).warnings[0]


def test_too_little_cannot_be_told() -> None:
    few = figures(open_loop(49))
    assert (few.is_steady, few.settling, few.warnings) == (None, None, [])
    at_once = [record(i, 0.0, 0.1, 0.01) for i in range(60)]
    assert figures(at_once, 60).is_steady is None
    long = [record(i, i / 10, 5.0, 0.01) for i in range(100)]  # fifty in flight, replaced twice
    assert figures(long).is_steady is None
    assert figures([]).is_steady is None
    lost = [record(i, i / 10, 0.1, 0.01, outcome="http_500") for i in range(60)]
    assert figures(lost).is_steady is None


def test_requests_in_flight_are_those_of_littles_law() -> None:
    due_s, e2e_s = np.arange(101) / 10, np.full(101, 2.0)
    assert requests_in_flight(due_s, e2e_s) == pytest.approx(2.0 * 101 / 10)
    assert requests_in_flight(due_s, e2e_s, users=20) == pytest.approx(101 / 10)
    assert requests_in_flight(np.zeros(50), np.ones(50)) is None
    assert requests_in_flight(due_s[:9], e2e_s[:9]) is None


def test_rates_and_goodput_have_intervals() -> None:
    point = figures(open_loop(1000), slo=Slo(ttft_p95_s=0.08))
    share = point.goodput_fraction or 0.0
    low, high = point.ci95_goodput_fraction or (1.0, 0.0)
    assert low < share < high
    # Of 1,000 independent requests: 1.96 · √(p (1 − p) / n) to either side.
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 1000), rel=0.1)
    low, high = point.ci95_output_tokens_per_s or (np.inf, -np.inf)
    assert low < point.output_tokens_per_s < high
    # Constant arrivals, and answers of 2 to 11 tokens: √(99/12) over the mean of 6.5.
    assert (high - low) / point.output_tokens_per_s == pytest.approx(
        2 * 1.96 * np.sqrt(99 / 12) / 6.5 / np.sqrt(1000), rel=0.4
    )
    assert figures(open_loop(20)).ci95_output_tokens_per_s is not None
    assert figures(open_loop(9)).ci95_output_tokens_per_s is None
