"""Plans whose machines are sized by a service profile."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.report.markdown import render_markdown

PROFILE: dict[str, Any] = {
    "schema": "planner.profile/1",
    "name": "one at a time",
    "basis": "emulated",
    "step_time_s": {"base": 0.05},
    "limits": {
        "max_num_seqs": 1,
        "max_num_batched_tokens": 8192,
        "kv_cache_tokens": 100_000,
        "block_tokens": 16,
        "max_model_len": 8192,
    },
}
EVIDENCE: dict[str, Any] = {
    "basis": "measured",
    "points": [{"load": "made up for this test"}],
    "engine": {"name": "vllm", "version": "0.32.0"},
    "accelerator": {"name": "GPU"},
    "provenance": ["made up for this test"],
    "validation": {"mean_absolute_error_fraction": {"ttft_p50_s": 0.05, "tpot_p50_s": 0.01}},
}
BY_PROFILE = {"hosting.0.capacity": None, "hosting.0.profile": "p.json", "traffic.output_tokens": 1}
TO_MONTH = 730.5 * 3600


def write(bench: Any, **changed: Any) -> None:
    (bench.folder / "p.json").write_text(json.dumps(PROFILE | changed))


def test_without_limits_on_latency_replicas_carry_what_they_can_do(bench: Any) -> None:
    """One request at a time, one step of 50 ms each: 20 requests/s a replica; the busiest hour has twice 35."""
    write(bench)
    plan = bench.plan(BY_PROFILE | {"traffic.requests_per_month": 35 * TO_MONTH})
    assert plan.options[0].replicas.first_month == 4
    assert plan.options[0].slo.attainment_fraction == 1


def test_a_limit_on_latency_takes_more_replicas_and_is_met(bench: Any) -> None:
    write(bench)
    slo = {"service": {"slo": {"ttft_p95_s": 0.1}, "attainment_fraction": 1}}
    plan = bench.plan(BY_PROFILE | slo | {"traffic.requests_per_month": 35 * TO_MONTH})
    host = plan.options[0]
    assert host.replicas.first_month > 4
    assert 0.05 <= host.slo.ttft_p95_s <= 0.1
    assert host.slo.tpot_p95_s == 0  # one token has no next


def test_burstier_arrivals_take_more_replicas(bench: Any) -> None:
    write(bench)
    slo = {"service": {"slo": {"ttft_p95_s": 0.2}}, "traffic.requests_per_month": 60 * TO_MONTH}
    counts = [
        bench.plan(BY_PROFILE | slo | {"traffic.burstiness": burstiness}).options[0].replicas.first_month
        for burstiness in (0.0, 1.0, 8.0)
    ]
    assert counts[0] <= counts[1] < counts[2]


def test_a_prefix_cache_saves_prefill(bench: Any) -> None:
    """Steps of 1 ms per prompt token: 1,200 of them take 1.2 s, half of them 0.6 s, so that half of the hosts do."""
    write(bench, step_time_s={"base": 1e-6, "per_prefill_token": 0.001})
    changes = BY_PROFILE | {"traffic.requests_per_month": 5 * TO_MONTH, "traffic.shape": "steady"}
    assert bench.plan(changes).options[0].replicas.first_month == 7  # 6.00 and a little
    assert bench.plan(changes | {"hosting.0.prefix_hit_fraction": 0.5}).options[0].replicas.first_month == 4


def test_a_level_that_an_idle_machine_misses_is_not_feasible(bench: Any) -> None:
    write(bench)
    plan = bench.plan(BY_PROFILE | {"service": {"slo": {"ttft_p95_s": 0.04}}})
    assert plan.verdict.choice == "api"
    assert not plan.options[0].is_feasible


@pytest.mark.parametrize("slo", [{"ttft_p95_s": 10}, {"tpot_p95_s": 10}, {}])
def test_requests_that_the_model_is_too_short_for_are_never_answered(bench: Any, slo: dict[str, float]) -> None:
    write(bench, limits=PROFILE["limits"] | {"max_model_len": 1000})
    plan = bench.plan(BY_PROFILE | {"service": {"slo": slo}, "traffic.input_tokens": {"mean": 700, "p95": 1400}})
    assert not plan.options[0].is_feasible


def test_emulated_is_said_everywhere(bench: Any) -> None:
    write(bench)
    plan = bench.plan(BY_PROFILE)
    assert plan.verdict.grade == "example"
    assert "h: capacity is emulated, from a stand-in for the real machine" in plan.verdict.grade_because
    assert "h: sized by a profile that is emulated, not measured" in plan.warnings
    rows = [row for row in plan.assumptions if row.id.startswith("hosting[0].profile.")]
    assert {row.basis for row in rows} == {"emulated"}
    assert next(row.value for row in rows if row.id.endswith("step_time_s.base")) == 0.05
    report = render_markdown(plan)
    assert "capacity is emulated" in report
    assert "Sizing by a profile takes" in report
    assert "Capacity is stated" not in report


def test_only_measured_capacity_hosts_where_the_rule_wants_it_measured(bench: Any) -> None:
    rule = BY_PROFILE | {"decision_rule": {"measured_capacity": True}}
    write(bench)
    assert bench.plan(BY_PROFILE).verdict.choice == "host"
    assert bench.plan(rule).verdict.choice == "api"
    write(bench, **EVIDENCE)
    plan = bench.plan(rule)
    assert (plan.verdict.choice, plan.verdict.grade) == ("host", "decision")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"validation": {}}, "h: its profile was not tested on load points kept out of the fit"),
        ({"validation": {"mean_absolute_error_fraction": {"ttft_p95_s": 0.4}}}, "by 40% in ttft_p95_s"),
        ({"provenance": [{"assumed_limits": ["max_num_seqs"]}]}, "h: its profile assumes max_num_seqs"),
        ({"basis": "estimated"}, "h: capacity is estimated, not measured"),
    ],
)
def test_thin_evidence_lowers_the_grade_and_not_the_choice(bench: Any, changed: dict[str, Any], told: str) -> None:
    write(bench, **(EVIDENCE | changed))
    plan = bench.plan(BY_PROFILE)
    assert (plan.verdict.choice, plan.verdict.grade) == ("host", "unverified")
    assert any(told in because for because in plan.verdict.grade_because)


@pytest.mark.parametrize("key", ["points", "engine", "accelerator", "provenance"])
def test_what_lacks_its_evidence_cannot_be_called_measured(bench: Any, key: str) -> None:
    write(bench, **{name: value for name, value in EVIDENCE.items() if name != key})
    (problem,) = bench.problems(BY_PROFILE)
    assert problem.field == "basis"
    assert key in problem.message
    assert Path(problem.file).name == "p.json"


def test_mistakes_of_scenario_and_profile_come_together(bench: Any) -> None:
    write(bench, limits={**PROFILE["limits"], "max_num_seqs": 0})
    found = bench.problems(BY_PROFILE | {"api.0.retry_fraction": -1})
    assert {problem.field for problem in found} == {"api[0].retry_fraction", "limits.max_num_seqs"}


def test_a_profile_that_is_not_there_is_told_by_its_line(bench: Any) -> None:
    (problem,) = bench.problems(BY_PROFILE)
    assert (problem.field, problem.message) == ("hosting[0].profile", "no such file: p.json")
    assert problem.line > 1
