"""What this version does not compute is refused by name, with its place; nothing is ignored."""

from typing import Any

import pytest

TRIANGLE = {"uncertain": {"low": 1, "mode": 2, "high": 3}}


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"hosting.0.tenure": "reserved"}, "hosting[0].tenure", "tenure: reserved; allowed: purchase, on_demand"),
        ({"hosting.0.tenure": "spot"}, "hosting[0].tenure", "tenure: spot; allowed: purchase, on_demand"),
        ({"hosting.0.term_months": 12}, "hosting[0].term_months", "terms of a reservation"),
        ({"hosting.0.upfront_fraction": 0.5}, "hosting[0].upfront_fraction", "terms of a reservation"),
        ({"hosting.0.interruptions_per_month": 3}, "hosting[0].interruptions_per_month", "interruptions of spot"),
        ({"hosting.0.restart_s": 3}, "hosting[0].restart_s", "interruptions of spot"),
        ({"hosting.0.scaling": {"mode": "autoscale"}}, "hosting[0].scaling.mode", "autoscaling; allowed: fixed"),
        ({"hosting.0.scaling": {"min_replicas": 4}}, "hosting[0].scaling.min_replicas", "autoscaling"),
        ({"hosting.0.scaling": {"cold_start_s": 280}}, "hosting[0].scaling.cold_start_s", "autoscaling"),
        ({"hosting.0.bakeoff": "dir"}, "hosting[0].bakeoff", "success from a bake-off"),
        ({"api.0.bakeoff": "dir"}, "api[0].bakeoff", "success from a bake-off"),
        ({"api.0.rate_limits": {"requests_per_min": 5}}, "api[0].rate_limits", "rate limits"),
        ({"traffic.requests_per_month": TRIANGLE}, "traffic.requests_per_month", "doubt about a number"),
        ({"traffic.growth_fraction_per_month": {"p10": 0, "p50": 0.1, "p90": 0.2}},
         "traffic.growth_fraction_per_month", "doubt about a number"),
        ({"hosting.0.usd_per_gpu_hour": {"samples": "x.csv"}}, "hosting[0].usd_per_gpu_hour", "doubt about a number"),
        ({"hosting.0.operations.engineer_fraction": TRIANGLE}, "hosting[0].operations.engineer_fraction", "doubt"),
        ({"api.0.price.output_usd_per_mtok": TRIANGLE}, "api[0].price.output_usd_per_mtok", "doubt about a number"),
        ({"traffic.requests_per_month": None, "traffic.forecast": "f.yaml"}, "traffic.forecast", "forecasts"),
    ],
    ids=lambda value: value if isinstance(value, str) and "[" in value else "",
)  # fmt: skip
def test_refused_by_name(bench: Any, changes: dict[str, Any], field: str, message: str) -> None:
    (problem,) = bench.problems(changes)
    assert problem.field == field
    assert problem.message.startswith("not in this version: ")
    assert message in problem.message
    assert problem.line > 1


def test_refusals_and_mistakes_come_together(bench: Any) -> None:
    found = bench.problems({"hosting.0.tenure": "spot", "api.0.retry_fraction": -1, "traffic.pek_to_mean": 2})
    assert [problem.field for problem in found] == ["api[0].retry_fraction", "hosting[0].tenure", "traffic.pek_to_mean"]


def test_fixed_scaling_is_what_this_version_does(bench: Any) -> None:
    assert bench.plan({"hosting.0.scaling": {"mode": "fixed"}}).options == bench.plan().options
