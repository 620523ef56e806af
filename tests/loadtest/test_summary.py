"""Figures of load points, from records whose figures can be told by hand."""

from array import array
from typing import Any

import numpy as np
import pytest

from planner.loadtest.sample import Outcome, Sample
from planner.loadtest.summary import Offered, load_point
from planner.loadtest.trends import is_backlog_growing
from planner.schema.benchmark import LoadPoint, RequestRecord, definitions
from planner.schema.scenario import Slo

OPEN = Offered(2.0)
CLOSED = Offered(None, concurrency=4)


def answered(index: int, due_s: float, first_s: float, gaps_s: list[float], **more: object) -> RequestRecord:
    told = {
        "input_tokens": 100,
        "output_tokens": len(gaps_s) + 1,
        "asked_output_tokens": len(gaps_s) + 1,
        "outcome": "ok",
        "finished_s": first_s + sum(gaps_s) + 0.5,  # the connection may end later than the last token
        **more,
    }
    return RequestRecord.model_validate(
        {"index": index, "due_s": due_s, "sent_s": due_s + 0.25, "first_token_s": first_s, "gaps_s": gaps_s}
        | {"asked_input_tokens": 100}
        | told
    )


def failed(index: int, due_s: float, kind: str, message: str = "") -> RequestRecord:
    return answered(index, due_s, due_s + 1, [], outcome=kind, message=message, output_tokens=None)


def figures(*records: RequestRecord, offered: Offered = OPEN, slo: Slo | None = None, **more: Any) -> LoadPoint:
    return load_point(offered, Outcome(sample=Sample.of(records), **more), slo or Slo())


def test_figures_of_two_answers_and_a_failure() -> None:
    point = figures(
        answered(0, 1.0, 2.0, [0.5, 0.5]),
        answered(1, 2.0, 4.0, [0.25, 0.25, 0.5]),
        failed(2, 3.0, "http_500", "out of memory"),
        slo=Slo(ttft_p95_s=1.5),
    )
    assert (point.requests.sent, point.requests.ok, point.requests.failed, point.requests.cancelled) == (3, 2, 1, 0)
    assert point.errors == {"http_500": 1}
    # From the first due, at 1 s, to the end of the later answer, at 5.5 s.
    assert point.achieved_requests_per_s == pytest.approx(2 / 4.5)
    assert point.input_tokens_per_s == pytest.approx(200 / 4.5)
    assert point.output_tokens_per_s == pytest.approx(7 / 4.5)
    # From when they were due, 0.25 s before they were sent.
    assert (point.ttft_s.mean, point.ttft_s.p50) == (1.5, 1.5)
    assert point.e2e_s.mean == pytest.approx((2.0 + 3.0) / 2)
    assert point.itl_s.mean == pytest.approx(2.0 / 5)
    assert point.tpot_s.mean == pytest.approx((0.5 + 1 / 3) / 2)
    assert point.goodput_requests_per_s == pytest.approx(1 / 4.5)
    assert point.goodput_fraction == pytest.approx(1 / 3)
    assert "1 failed with http_500; the first: out of memory" in point.warnings


def test_without_a_level_there_is_no_goodput() -> None:
    point = figures(answered(0, 0.0, 1.0, []))
    assert (point.goodput_requests_per_s, point.goodput_fraction) == (None, None)
    assert (point.tpot_s.p50, point.itl_s.p50) == (None, None)


def test_nothing_answered_is_null_and_not_zero_time() -> None:
    point = figures(failed(0, 0.0, "connect"), slo=Slo(ttft_p95_s=1.0))
    assert point.achieved_requests_per_s == 0
    assert point.ttft_s.p50 is None
    assert point.goodput_fraction == 0
    assert figures().requests.sent == 0


def test_cancelled_requests_are_sent_but_not_failed() -> None:
    point = figures(answered(0, 0.0, 1.0, []), failed(1, 0.0, "cancelled"), is_interrupted=True)
    assert (point.requests.sent, point.requests.ok, point.requests.failed, point.requests.cancelled) == (2, 1, 0, 1)
    assert point.errors == {}
    assert any("interrupted" in warning for warning in point.warnings)


def test_tokens_are_counted_by_usage_and_chunks_stand_in() -> None:
    several = answered(0, 0.0, 1.0, [1.0], output_tokens=9, asked_output_tokens=9)
    point = figures(several)
    assert point.tpot_s.mean == pytest.approx(1 / 8)
    assert any("4.5 tokens per chunk" in warning for warning in point.warnings)
    uncounted = figures(answered(0, 0.0, 1.0, [1.0, 1.0], output_tokens=None))
    assert uncounted.output_tokens_per_s == pytest.approx(3 / 3.5)
    assert any("counted no tokens in 1 answers" in warning for warning in uncounted.warnings)


def test_lengths_other_than_asked_are_told() -> None:
    records = [answered(i, i, i + 1, [0.1] * 9, input_tokens=150, asked_output_tokens=50) for i in range(5)]
    told = figures(*records).warnings
    assert "prompts had 150 tokens on average; asked: 100" in told
    assert "answers had 10 tokens on average; asked: 50" in told


@pytest.mark.parametrize(
    ("lags_s", "loop_lags_s", "cpu", "ttft_s", "is_saturated"),
    [
        ([0.02] * 100, [], 0.5, 0.05, False),
        ([0.03] * 100, [], 0.5, 0.05, True),  # above 25 ms
        ([0.03] * 100, [], 0.5, 0.20, True),
        ([0.03] * 100, [], 0.5, 0.40, False),  # but not above a tenth of the TTFT
        ([0.0] * 98 + [0.04] * 2, [], 0.5, 0.05, True),  # two in a hundred
        ([0.0] * 100, [], 0.96, 0.05, True),
        ([0.0] * 100, [0.0] * 95 + [0.03] * 5, 0.5, 0.05, True),  # chunks were read late
        ([0.0] * 100, [0.02] * 100, 0.5, 0.05, False),
    ],
)
def test_client_that_is_late_or_busy_is_saturated(
    lags_s: list[float], loop_lags_s: list[float], cpu: float, ttft_s: float, is_saturated: bool
) -> None:
    records = [answered(i, i, i + ttft_s, [], sent_s=i + lag_s) for i, lag_s in enumerate(lags_s)]
    point = figures(*records, loop_lags_s=array("d", loop_lags_s), cpu_fraction=cpu)
    assert point.client is not None
    assert point.client.is_saturated is is_saturated
    assert any("the client did not keep up" in warning for warning in point.warnings) is is_saturated
    assert (point.client.loop_lag_p99_s is None) is (not loop_lags_s)


def test_client_that_stands_still_between_tokens_is_saturated_however_long_the_first_one_takes() -> None:
    records = [answered(i, i, i + 8.0, [0.02] * 10) for i in range(100)]
    late = figures(*records, loop_lags_s=array("d", [0.03] * 100)).client
    in_time = figures(*records, loop_lags_s=array("d", [0.015] * 100)).client
    slow = [answered(i, i, i + 8.0, [0.2] * 10) for i in range(100)]
    of_slow = figures(*slow, loop_lags_s=array("d", [0.03] * 100)).client
    assert late is not None
    assert in_time is not None
    assert of_slow is not None
    assert (late.is_saturated, in_time.is_saturated, of_slow.is_saturated) == (True, False, False)


def test_client_that_can_open_no_connection_is_the_bottleneck() -> None:
    records = [answered(i, i, i + 0.1, []) for i in range(30)]
    lost = RequestRecord(
        index=30, due_s=30.0, sent_s=30.0, asked_input_tokens=1, asked_output_tokens=1, outcome="client_limit"
    )
    point = figures(*records, lost)
    assert point.errors == {"client_limit": 1}
    assert point.client is not None
    assert point.client.is_saturated


def queue(due_s: np.ndarray, service_s: float) -> np.ndarray:
    """Ends of service at one server, first come first served."""
    ends, free_s = [], 0.0
    for due in due_s:
        free_s = max(free_s, due) + service_s
        ends.append(free_s)
    return np.array(ends)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("utilization", "is_growing"), [(0.6, False), (0.85, False), (1.5, True), (4.0, True)])
def test_server_that_falls_behind_is_known_by_its_backlog(utilization: float, is_growing: bool, seed: int) -> None:
    due_s = np.cumsum(np.random.default_rng(seed).exponential(0.1, 600))
    assert is_backlog_growing(due_s, queue(due_s, 0.1 * utilization)) is is_growing


@pytest.mark.parametrize("count", [5, 19, 40, 200])
def test_short_run_of_long_answers_does_not_count_as_falling_behind(count: int) -> None:
    due_s = np.arange(count) / 20
    assert not is_backlog_growing(due_s, due_s + 30.0)


def test_server_that_turns_requests_away_is_saturated() -> None:
    records = [failed(i, i / 10, "http_429") if i % 5 == 0 else answered(i, i / 10, i / 10 + 1, []) for i in range(50)]
    assert figures(*records).is_saturated
    assert not figures(*records, offered=CLOSED).is_saturated
    assert not figures(*(entry for entry in records if entry.outcome == "ok")).is_saturated


def test_load_that_did_not_settle_is_told() -> None:
    records = [answered(i, i / 10, i / 10 + 0.1 * (1 + i // 30), []) for i in range(60)]
    point = figures(*records)
    assert (point.is_steady, point.is_saturated) == (False, False)
    assert any(warning.startswith("not steady") for warning in point.warnings)


def taking(e2e_s: np.ndarray, offered: Offered = OPEN) -> LoadPoint:
    """A point of requests that are due every second and take so long, in one token."""
    return figures(*(answered(i, i, i + took_s, [], sent_s=i) for i, took_s in enumerate(e2e_s)), offered=offered)


@pytest.mark.parametrize("seed", range(5))
def test_trend_is_told_from_noise(seed: int) -> None:
    noise = np.random.default_rng(seed).lognormal(0, 0.5, 200)
    grown = taking(noise * np.linspace(1, 3, 200))
    assert (taking(noise).is_steady, grown.is_steady, taking(noise[:19]).is_steady) == (True, False, None)
    assert taking(noise).warnings == taking(noise[:19]).warnings == []
    assert grown.warnings[0].startswith("not steady: from start to end TTFT rose by ")
    assert taking(noise * np.linspace(3, 1, 200)).warnings[0].startswith("not steady: from start to end TTFT fell by ")


def test_order_of_requests_is_irrelevant() -> None:
    records = [answered(i, i / 10, i / 10 + 1 + i / 50, [0.01 * (i % 7)] * 5) for i in range(60)]
    order = np.random.default_rng(0).permutation(60)
    assert figures(*(records[i] for i in order)).ttft_s == figures(*records).ttft_s
    assert figures(*(records[i] for i in order)).is_steady == figures(*records).is_steady


def test_lag_is_the_clients_own_delay_and_closed_loops_have_none() -> None:
    records = [answered(i, i, i + 1.0, [], sent_s=i + 0.01 * (i % 2)) for i in range(10)]
    records.append(failed(10, 10, "connect").model_copy(update={"sent_s": None}))
    point = figures(*records)
    assert (point.lag_s.n, point.lag_s.mean) == (10, pytest.approx(0.005))
    assert point.client is not None
    assert point.client.lag_p99_s == point.lag_s.p99 == pytest.approx(0.01)
    assert figures(*records, offered=CLOSED).lag_s.n is None
    assert figures(*records, knows_due=False).lag_s.n is None


def test_arrivals_are_those_that_were_sent() -> None:
    due_s = np.cumsum(np.random.default_rng(3).exponential(0.5, 400)).round(6)
    records = [answered(i, due, due + 1, [], sent_s=due + 0.001) for i, due in enumerate(due_s)]
    found = figures(*records, offered=Offered(2.0, squared_cv=1.0)).arrivals
    assert found is not None
    gaps_s = np.diff(due_s)
    assert found.requests_per_s == pytest.approx(399 / gaps_s.sum())
    assert found.cv == pytest.approx(gaps_s.std(ddof=1) / gaps_s.mean())
    # 399 exponential gaps: about 1.96/√399, a tenth, to either side.
    assert found.ci95_requests_per_s == pytest.approx((1.81, 2.21), abs=0.01)
    assert found.ci95_cv == pytest.approx((0.9, 1.1), abs=0.02)
    unknown = figures(*records).arrivals
    assert unknown is not None
    assert (unknown.requests_per_s, unknown.ci95_requests_per_s) == (found.requests_per_s, None)


def test_constant_arrivals_have_no_chance_in_them() -> None:
    records = [answered(i, i / 4, i, [], sent_s=i / 4) for i in range(9)]
    found = figures(*records, offered=Offered(4.0, squared_cv=0.0)).arrivals
    assert found is not None
    assert (found.requests_per_s, found.cv) == (4.0, 0.0)
    assert found.ci95_requests_per_s is found.ci95_cv is None


@pytest.mark.parametrize(
    ("kind", "is_bound"),
    [("timeout", True), ("timeout_first_token", True), ("cancelled", True), ("http_500", False)],
)
def test_requests_without_an_end_make_percentiles_lower_bounds(kind: str, is_bound: bool) -> None:
    point = figures(answered(0, 0.0, 1.0, [0.5]), failed(1, 0.0, kind))
    assert point.is_lower_bound is is_bound
    assert any("lower bounds" in warning for warning in point.warnings) is is_bound


def test_prefix_cache_is_told_where_the_server_tells_it() -> None:
    silent = answered(0, 0.0, 1.0, [])
    cached = [answered(i, i, i + 1, [], cached_input_tokens=10 * i) for i in range(1, 3)]
    assert figures(silent).cached_input_fraction is None
    point = figures(silent, *cached)
    assert point.cached_input_fraction == pytest.approx(30 / 200)
    assert any("15% of the prompt tokens came from the server's prefix cache" in text for text in point.warnings)
    assert figures(answered(0, 0.0, 1.0, [], sent_s=0.0, cached_input_tokens=5)).warnings == []
    assert figures(answered(0, 0.0, 1.0, [], cached_input_tokens=10**6)).cached_input_fraction == 1


def test_fewer_tokens_than_chunks_cannot_be() -> None:
    point = figures(answered(0, 0.0, 1.0, [0.1] * 9), answered(1, 0.0, 1.0, [0.1] * 9, output_tokens=0))
    assert point.tokens_per_chunk == pytest.approx(10 / 20)
    assert any("fewer tokens than there were chunks with output in 1 answers" in text for text in point.warnings)


def test_other_models_are_named() -> None:
    point = figures(*(answered(i, i, i + 1, [], model="other" if i < 2 else None) for i in range(5)))
    assert point.other_models == {"other": 2}
    assert "2 answers are by another model than the one asked: other" in point.warnings


def test_gaps_of_failures_and_of_the_warm_up_count_nowhere() -> None:
    whole = answered(0, 0.0, 1.0, [0.25, 0.75])
    cut = answered(1, 0.0, 1.0, [9.0] * 5, outcome="truncated")
    before = answered(0, -1.0, 1.0, [7.0], is_warmup=True)
    point = figures(before, cut, whole)
    assert (point.requests.sent, point.itl_s.n, point.itl_s.mean) == (2, 2, 0.5)


def test_figures_know_their_definitions() -> None:
    meanings = definitions()
    told = figures(answered(0, 0.0, 1.0, [])).model_dump()
    units = {name: text for name, text in meanings.items() if name.endswith(("_s", "_per_s"))}
    assert set(meanings) <= set(told)
    assert {"ttft_s", "itl_s", "tpot_s", "e2e_s", "lag_s", "goodput_requests_per_s"} <= set(units)
    assert all(text.rstrip(".").endswith("/s]") or "[s]" in text or "/s]" in text for text in units.values()), units


def test_answers_whose_gaps_and_lengths_asked_nobody_kept_have_a_tpot_and_no_itl() -> None:
    bare = {"asked_input_tokens": None, "asked_output_tokens": None, "gaps_s": None, "output_tokens": 5}
    first = answered(0, 0.0, 0.5, []).model_copy(update=bare | {"finished_s": 0.9, "input_tokens": 70})
    second = answered(1, 1.0, 1.25, []).model_copy(update=bare | {"finished_s": 2.05, "input_tokens": None})
    point = figures(first, second, offered=CLOSED)
    assert point.tpot_s.mean == pytest.approx(0.15)  # 0.4 s and 0.8 s for four further tokens each
    assert point.e2e_s.mean == pytest.approx((0.9 + 1.05) / 2)
    assert (point.itl_s.n, point.tokens_per_chunk, point.warnings) == (0, None, [])
    assert point.input_tokens_per_s == pytest.approx(70 / 2.05)
