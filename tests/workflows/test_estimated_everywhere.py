"""An estimate is told as one wherever a measurement might stand."""

import json
from pathlib import Path
from typing import Any

import pytest
from commands import planner

from planner.report.markdown import render_markdown
from planner.store.profiles import profile_json
from planner.workflows.estimate import estimate_profile
from planner.workflows.estimate_options import EstimateOptions

BY_PROFILE = {"hosting.0.capacity": None, "hosting.0.profile": "p.json", "traffic.requests_per_month": 20_000}
RANGE = "estimated, not measured: 128 users with requests of 1,024 + 256 tokens may get "


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "p.json"
    path.write_text(profile_json(estimate_profile(EstimateOptions("Qwen3-8B", "L40S")).profile))
    return path


def test_a_plan_on_an_estimate_is_no_decision_and_says_so_in_every_place(bench: Any, profile: Path) -> None:
    assert bench.folder == profile.parent
    plan = bench.plan(BY_PROFILE)
    assert plan.verdict.grade == "unverified"
    assert "h: capacity is estimated, not measured" in plan.verdict.grade_because
    (warning,) = [each for each in plan.warnings if "sized by a profile" in each]
    assert warning.startswith(f"h: sized by a profile that is {RANGE}")
    rows = [row for row in plan.assumptions if row.id.startswith("hosting[0].profile.")]
    assert len(rows) == 10
    assert {row.basis for row in rows} == {"estimated"}
    assert all("estimated" in row.source for row in rows)
    report = render_markdown(plan)
    assert "Grade: unverified" in report
    assert "capacity is estimated, not measured" in report
    assert RANGE in report
    assert "computed from other data, not observed" in report


def test_a_plan_on_an_estimate_never_hosts_where_capacity_must_be_measured(bench: Any, profile: Path) -> None:
    assert profile.is_file()
    plan = bench.plan(BY_PROFILE | {"decision_rule": {"measured_capacity": True}})
    assert plan.verdict.choice == "api"
    assert plan.verdict.grade != "decision"


def test_a_simulation_of_an_estimate_warns_with_the_range(tmp_path: Path, profile: Path) -> None:
    load = ("--rate", "1", "--input-tokens", "512", "--output-tokens", "16", "--requests", "50")
    done = planner(tmp_path, "simulate", "--profile", profile.name, *load)
    assert done.returncode == 0
    assert f"warning: the profile is {RANGE}" in done.stderr
    assert "profile     estimated, not measured" in done.stdout
    found = json.loads(planner(tmp_path, "simulate", "--profile", profile.name, *load, "--json").stdout)
    assert found["basis"] == "estimated"
    assert any(RANGE in warning for warning in found["warnings"])


@pytest.mark.parametrize("basis", ["emulated", "measured"])
def test_a_simulation_says_what_else_its_profile_is_and_nothing_where_it_was_measured(
    tmp_path: Path, profile: Path, basis: str
) -> None:
    evidence = {"points": [{"load": "made up"}], "provenance": ["made up"]}
    data = json.loads(profile.read_text()) | {"basis": basis, "estimate": None} | evidence
    profile.write_text(json.dumps(data))
    load = ("--rate", "1", "--input-tokens", "512", "--output-tokens", "16", "--requests", "50")
    done = planner(tmp_path, "simulate", "--profile", profile.name, *load)
    assert ("warning: the profile is emulated, not measured" in done.stderr) == (basis == "emulated")
    assert ("not measured" in done.stdout) == (basis == "emulated")


def test_a_fit_takes_no_estimate_for_a_run(tmp_path: Path, profile: Path) -> None:
    done = planner(tmp_path, "fit", profile.name, "-o", "fitted.json")
    assert done.returncode == 2
    assert done.stderr.startswith("p.json: is no result of")
    assert not (tmp_path / "fitted.json").exists()
