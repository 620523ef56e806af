"""What /metrics says, against what was sent."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from planner.engines.counters import parse_counters, restart
from planner.engines.emulator.metrics import Histogram
from planner.engines.emulator.process import emulating
from tests.engines.emulator.conftest import Client

REQUESTS = ((70, 4), (3, 1), (10, 2))
"""Prompt tokens, which take two steps in the first, and output tokens."""


def samples(client: Client) -> dict[tuple[str, str], float]:
    """Values by name and the one label that tells samples of a name apart."""
    found = {}
    for family in text_string_to_metric_families(client.ask("/metrics").text):
        for sample in family.samples:
            if sample.name.startswith("process_"):
                continue
            labels = dict(sample.labels)
            assert (labels.pop("model_name"), labels.pop("engine")) == ("toy", "0")
            found[sample.name, labels.get("le") or labels.get("finished_reason") or ""] = sample.value
    return found


def test_a_restart_can_be_seen(write_profile: Callable[..., Path]) -> None:
    pages = []
    for _ in range(2):
        began_s = time.time()
        with emulating(write_profile()) as url:
            client = Client(url)
            client.ask("/v1/completions", {"prompt": [7] * 9, "max_tokens": 4})
            counters = parse_counters(client.ask("/metrics").text)
        assert counters is not None
        assert counters.started_s is not None
        assert abs(counters.started_s - began_s) < 60
        assert counters.generated_tokens == 4
        pages.append(counters)
    assert "later than the one before" in restart(*pages)


def test_metrics_agree_with_what_was_sent(write_profile: Callable[..., Path]) -> None:
    with emulating(write_profile()) as url:
        client = Client(url)
        before = samples(client)
        for prompt, output in REQUESTS:
            client.ask("/v1/completions", {"prompt": [7] * prompt, "max_tokens": output, "stream": True})
        after = samples(client)
    assert before.keys() == after.keys()
    grown = {name: after[name] - before[name] for name in after}
    expected = {
        "vllm:prompt_tokens_total": 83,
        "vllm:generation_tokens_total": 7,
        "vllm:num_preemptions_total": 0,
        "vllm:prefix_cache_queries_total": 0,
        "vllm:prefix_cache_hits_total": 0,
        "vllm:time_to_first_token_seconds_count": 3,
        "vllm:inter_token_latency_seconds_count": 4,
        "vllm:e2e_request_latency_seconds_count": 3,
        "vllm:request_queue_time_seconds_count": 3,
        "vllm:iteration_tokens_total_count": 7,
        "vllm:iteration_tokens_total_sum": 90,
        "planner_emulator_lateness_seconds_count": 7,
        "vllm:num_requests_running": 0,
        "vllm:num_requests_waiting": 0,
        "vllm:kv_cache_usage_perc": 0,
    }
    assert {name: grown[name, ""] for name in expected} == expected
    assert grown["vllm:request_success_total", "length"] == 3
    assert grown["vllm:request_success_total", "abort"] == 0
    # Two steps of 2 ms before the first token, then three; one; one and then one. The server is never early.
    assert grown["vllm:time_to_first_token_seconds_sum", ""] >= 4 * 0.002
    assert grown["vllm:e2e_request_latency_seconds_sum", ""] >= 8 * 0.002
    # A prompt counts in the step that completes it: 71, 4 and 11 tokens there, 1 in each of the rest.
    buckets = {le: grown["vllm:iteration_tokens_total_bucket", le] for le in ("1.0", "8.0", "16.0", "64.0", "128.0")}
    assert buckets == {"1.0": 4, "8.0": 5, "16.0": 6, "64.0": 6, "128.0": 7}


def test_the_shape_of_the_memory_is_told(client: Client) -> None:
    (config,) = [
        sample.labels
        for family in text_string_to_metric_families(client.ask("/metrics").text)
        for sample in family.samples
        if sample.name == "vllm:cache_config_info"
    ]
    assert (config["block_size"], config["num_gpu_blocks"], config["engine"]) == ("16", "100", "0")


def test_a_histogram_counts_a_value_at_an_edge_below_it() -> None:
    histogram = Histogram([1.0, 2.0])
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    values = [(sample.labels.get("le"), sample.value) for sample in histogram.family("x", "an x", {}).samples]
    assert values == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0), (None, 4.0), (None, 12.0)]
    assert [histogram.edge(fraction) for fraction in (0.5, 0.75)] == [1.0, 2.0]
    assert histogram.edge(1.0) == pytest.approx(float("inf"))
