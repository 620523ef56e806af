"""A server's own counters before and after a load."""

import asyncio
from math import inf
from pathlib import Path

import pytest
from known_server import KnownServer
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from planner.engines.counters import Buckets, Counters, parse_counters, read_counters, restart
from planner.engines.exchange import Timeouts
from planner.engines.metric_names import COUNTS, GAUGES, TIMES
from planner.engines.openai_http import OpenAIClient
from planner.engines.target import Target


def page(tokens: dict[str, int], requests: int) -> str:
    """As the library writes it that servers in Python use."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    generated = Counter("vllm:generation_tokens", "Tokens.", ["engine"], registry=registry)
    for engine, count in tokens.items():
        generated.labels(engine).inc(count)
    Counter("vllm:request_success", "Requests.", registry=registry).inc(requests)
    Histogram("vllm:time_to_first_token_seconds", "A time.", registry=registry).observe(1.0)
    return generate_latest(registry).decode()


def test_counters_of_a_page_as_it_is_served() -> None:
    found = parse_counters(page({"0": 5, "1": 7}, 3))
    assert found is not None
    assert found.generated_tokens == 12
    assert found.totals["vllm:request_success_total{}"] == 3
    assert found.started_s is not None
    assert not any("created" in name or "seconds" in name for name in found.totals if name.startswith("vllm"))


def test_growth_is_no_restart() -> None:
    before, after = parse_counters(page({"0": 5}, 3)), parse_counters(page({"0": 5, "1": 4}, 8))
    assert before is not None
    assert after is not None
    assert restart(before, after) == ""
    assert restart(before, before) == ""


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (Counters(200.0, {"a": 9.0}), "its process started 100.0 s later than the one before"),
        (Counters(100.2, {"a": 4.0}), "a went back from 5 to 4"),
        (Counters(None, {"b": 9.0}), "a went back from 5 to 0"),
    ],
)
def test_restart_is_seen(after: Counters, told: str) -> None:
    assert restart(Counters(100.0, {"a": 5.0}), after) == told


@pytest.mark.parametrize("text", ["", "<html>", "a{b", "# TYPE a gauge\na 1\n", '{"x": 1}', "a 1 2 3 4\n"])
def test_other_pages_hold_no_counters(text: str) -> None:
    assert parse_counters(text) is None


OLDER = """# TYPE vllm:gpu_cache_usage_perc gauge
vllm:gpu_cache_usage_perc{engine="0"} 0.25
vllm:gpu_cache_usage_perc{engine="1"} 0.75
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0"} 3.0
vllm:num_requests_running{engine="1"} 4.0
# TYPE vllm:gpu_prefix_cache_hits_total counter
vllm:gpu_prefix_cache_hits_total{engine="0"} 7.0
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop"} 5.0
vllm:request_success_total{engine="1",finished_reason="length"} 6.0
vllm:request_success_total{engine="1",finished_reason="abort"} 100.0
# TYPE vllm:time_per_output_token_seconds histogram
vllm:time_per_output_token_seconds_bucket{engine="0",le="0.01"} 2.0
vllm:time_per_output_token_seconds_bucket{engine="0",le="+Inf"} 3.0
vllm:time_per_output_token_seconds_sum{engine="0"} 0.5
vllm:time_per_output_token_seconds_bucket{engine="1",le="0.01"} 10.0
vllm:time_per_output_token_seconds_bucket{engine="1",le="+Inf"} 20.0
vllm:time_per_output_token_seconds_sum{engine="1"} 1.5
"""
NEWER = """# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0"} 0.5
# TYPE vllm:inter_token_latency_seconds histogram
vllm:inter_token_latency_seconds_bucket{engine="0",le="+Inf"} 9.0
vllm:inter_token_latency_seconds_sum{engine="0"} 0.25
"""


def test_older_names_are_read_and_newer_ones_go_before_them() -> None:
    older, both = parse_counters(OLDER), parse_counters(OLDER + NEWER)
    assert older is not None
    assert both is not None
    assert (older.gauge("kv_used_fraction"), both.gauge("kv_used_fraction")) == ((0.25, 0.75), (0.5,))
    assert (older.times("itl_s"), both.times("itl_s")) == (
        Buckets({0.01: 12.0, inf: 23.0}, 2.0),
        Buckets({inf: 9.0}, 0.25),
    )
    assert older.count("prefix_cache_hits_tokens") == 7
    assert (older.gauge("waiting"), older.count("output_tokens"), older.times("ttft_s")) == ((), None, None)


def test_requests_that_were_broken_off_are_none_that_ended_whole() -> None:
    found = parse_counters(OLDER)
    assert found is not None
    assert (found.count("requests"), found.total("vllm:request_success_total")) == (11, 111)
    assert found.busy_with == 7


@pytest.fixture
def real_page(repository: Path) -> str:
    path = repository.parent / "shared" / "vllm" / "fixtures" / "metrics_0.32.txt"
    if not path.is_file():
        pytest.skip("needs ../shared/vllm/fixtures/metrics_0.32.txt, a page of vLLM 0.32")
    return path.read_text()


def test_a_page_of_vllm_0_32_has_all_that_we_look_at(real_page: str) -> None:
    found = parse_counters(real_page)
    assert found is not None
    assert {term: found.count(term) for term in COUNTS} == {
        "requests": 176,
        "prompt_tokens": 11281,
        "output_tokens": 11264,
        "preemptions": 0,
        "prefix_cache_queries_tokens": 11281,
        "prefix_cache_hits_tokens": 0,
    }
    assert {found.gauge(term) for term in GAUGES} == {(0.0,)}
    times = {term: found.times(term) for term in TIMES}
    assert all(each is not None and list(each.counts)[-1] == inf for each in times.values())
    itl = times["itl_s"]
    assert itl is not None
    assert (itl.counts[inf], itl.sum) == (11088, 121.80894063099936)


def test_what_is_read_during_a_load_is_what_stands_on_the_whole_page(real_page: str) -> None:
    async def read(*, is_latest: bool) -> Counters | None:
        with KnownServer() as server:
            server.pages["/metrics"] = (200, real_page)
            async with OpenAIClient(Target(server.url), "chat", Timeouts(5.0)) as client:
                return await read_counters(client, is_latest)

    latest, whole = asyncio.run(read(is_latest=True)), asyncio.run(read(is_latest=False))
    assert latest is not None
    assert whole is not None
    assert latest.started_s == whole.started_s
    assert {term: latest.count(term) for term in COUNTS} == {term: whole.count(term) for term in COUNTS}
    assert {term: latest.gauge(term) for term in GAUGES} == {term: whole.gauge(term) for term in GAUGES}
    assert (latest.histograms, len(latest.totals) < len(whole.totals)) == ({}, True)


def test_a_page_of_numbers_that_cannot_be_is_read_as_far_as_they_can() -> None:
    found = parse_counters("# TYPE a_total counter\na_total 1\n# TYPE vllm:kv_cache_usage_perc gauge\n"
                           "vllm:kv_cache_usage_perc NaN\n")  # fmt: skip
    assert found is not None
    assert found.gauge("kv_used_fraction") == ()
