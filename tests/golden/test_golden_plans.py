"""The shipped scenarios' plans, number by number: a change here is explained in its commit."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from planner.schema.plan import Plan
from planner.store.plans import plan_json
from planner.workflows.plan import make_plan

HERE = Path(__file__).parent
SCENARIOS = sorted((HERE.parents[1] / "scenarios").glob("*.yaml"))

VERDICTS = {
    "air-gapped": ("host", "owned servers"),
    "bursty-campaigns": ("hybrid", "rented 2×H100 + GPT-5 mini"),
    "frontier-needed": ("api", "GPT-5.1"),
    "low-volume": ("api", "GPT-5 mini"),
    "no-gpu-team": ("api", "GPT-5 mini"),
    "steady-high-volume": ("host", "rented 2×H100"),
    "toss-up": ("abstain", None),
}


def differences(now: Any, then: Any, where: str = "") -> list[str]:
    """Where two JSON documents differ; numbers may differ by a millionth, as between versions of numpy."""
    if isinstance(now, dict) and isinstance(then, dict):
        keys = [*now, *(key for key in then if key not in now)]
        return [line for key in keys for line in differences(now.get(key), then.get(key), f"{where}.{key}")]
    if isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        return [
            line for at, pair in enumerate(zip(now, then, strict=True)) for line in differences(*pair, f"{where}[{at}]")
        ]
    if isinstance(now, float) and isinstance(then, float | int):
        return [] if now == pytest.approx(then, rel=1e-6, abs=1e-9) else [f"{where}: {then} is now {now}"]
    return [] if now == then else [f"{where}: {then} is now {now}"]


@functools.cache
def plan_of(scenario: Path) -> Plan:
    return make_plan(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_plan_is_the_one_on_record(scenario: Path) -> None:
    plan = plan_of(scenario)
    record = HERE / f"{scenario.stem}.plan.json"
    changed = differences(json.loads(plan_json(plan)), json.loads(record.read_text(encoding="utf-8")))
    how = f"if they are meant: planner plan scenarios/{scenario.name} -o tests/golden/{record.name}"
    assert not changed, "\n".join([*changed[:20], f"{len(changed)} numbers changed; {how}"])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_scenario_teaches_what_it_says(scenario: Path) -> None:
    plan = plan_of(scenario)
    assert (plan.verdict.choice, plan.verdict.option) == VERDICTS[scenario.stem]
    assert plan.verdict.grade == "example", "no shipped scenario may look like a decision"
    assert scenario.read_text(encoding="utf-8").startswith("#")


def test_every_record_has_its_scenario() -> None:
    assert {path.name.removesuffix(".plan.json") for path in HERE.glob("*.plan.json")} == {p.stem for p in SCENARIOS}
