"""`planner simulate`: where requests go, and what was used to serve them."""

import json
from pathlib import Path

import pytest
from commands import planner

LOAD = ("--rate", "5", "--input-tokens", "300", "--output-tokens", "lognormal:p50=50,p95=200", "--requests", "2000")


def profile(folder: Path, kv_cache_tokens: int) -> None:
    limits = {"max_num_seqs": 8, "max_num_batched_tokens": 512, "block_tokens": 16, "max_model_len": 2000}
    steps = {"base": 0.01, "per_prefill_token": 2e-5}
    told = {"schema": "planner.profile/1", "name": "p", "basis": "estimated", "step_time_s": steps}
    (folder / "p.json").write_text(json.dumps(told | {"limits": limits | {"kv_cache_tokens": kv_cache_tokens}}))


@pytest.mark.parametrize(("kv_cache_tokens", "method"), [(100_000, "jump"), (2_400, "stepper")])
def test_the_result_says_which_method_was_used(tmp_path: Path, kv_cache_tokens: int, method: str) -> None:
    profile(tmp_path, kv_cache_tokens)
    done = planner(tmp_path, "simulate", "--profile", "p.json", *LOAD, "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert (found["method"], found["routing"]) == (method, "least-outstanding")
    assert (found["kv_peak_fraction"] > 0.9) == (method == "stepper")


def test_requests_that_go_to_the_next_replica_wait_longer_than_those_that_go_to_the_emptier_one(tmp_path: Path) -> None:
    profile(tmp_path, 100_000)
    command = ("simulate", "--profile", "p.json", "--replicas", "3", "--rate", "20", *LOAD[2:], "--json")
    found = {
        routing: json.loads(planner(tmp_path, *command, "--routing", routing).stdout)
        for routing in ("least-outstanding", "round-robin")
    }
    assert found["round-robin"]["routing"] == "round-robin"
    assert found["round-robin"]["queue_s"]["mean"] > 1.2 * found["least-outstanding"]["queue_s"]["mean"]


def test_a_routing_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    profile(tmp_path, 100_000)
    done = planner(tmp_path, "simulate", "--profile", "p.json", *LOAD, "--routing", "random")
    assert done.returncode == 2
    assert "--routing: must be one of least-outstanding, round-robin; given: random" in done.stderr
