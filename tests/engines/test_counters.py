"""A server's own counters before and after a load."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from planner.engines.counters import Counters, parse_counters, restart


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
