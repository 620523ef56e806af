"""`planner compare` on runs of emulated servers whose difference is known."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Done, planner

from planner.engines.emulator.process import emulating

PROFILE: dict[str, Any] = {
    "schema": "planner.profile/1",
    "name": "truth",
    "basis": "emulated",
    "model": {"id": "m"},
    "step_time_s": {"base": 0.004, "per_prefill_token": 1e-5, "per_sequence": 1e-4},
    "limits": {
        "max_num_seqs": 32,
        "max_num_batched_tokens": 1024,
        "kv_cache_tokens": 60_000,
        "block_tokens": 16,
        "max_model_len": 4096,
    },
}
LOAD = ("--sweep", "--concurrency", "4", "--rate", "60", "--requests", "100")
LENGTHS = ("--input-tokens", "64", "--output-tokens", "12", "--warmup-s", "0.1")


def measured(folder: Path, name: str, base_s: float, seed: int, *more: str) -> None:
    profile = PROFILE | {"step_time_s": PROFILE["step_time_s"] | {"base": base_s}}
    (folder / f"{name}.json").write_text(json.dumps(profile))
    with emulating(folder / f"{name}.json") as url:
        done = planner(
            folder, "bench", "--url", url, *(more or LOAD), *LENGTHS, "--seed", f"{seed}", "--out", name, "--quiet"
        )
    assert done.returncode in (0, 4), done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server, another one with steps that take twice as long, and another load."""
    folder = tmp_path_factory.mktemp("runs")
    measured(folder, "before", 0.004, 1)
    measured(folder, "slower", 0.008, 3)
    measured(folder, "alone", 0.004, 4, "--concurrency", "3", "--requests", "20")
    for name in ("before", "slower"):  # whatever else this machine did meanwhile: doubts have their own test
        trust(folder / name)
    return folder


def drawn(folder: Path, like: str, seed: int) -> str:
    """A run whose times are drawn from one distribution, whatever this machine does meanwhile."""
    name, rng = f"drawn-{seed}", np.random.default_rng(seed)
    shutil.copytree(folder / like, folder / name)
    for path in sorted((folder / name).glob("requests-*.jsonl")):
        lines = []
        for entry in map(json.loads, path.read_text().splitlines()):
            first_s, gaps_s = 0.05 * rng.lognormal(0, 0.3), (0.005 * rng.lognormal(0, 0.2, 11)).tolist()
            sent_s = entry["due_s"] = entry["sent_s"] = 0.02 * entry["index"]
            times = {"first_token_s": sent_s + first_s, "finished_s": sent_s + first_s + sum(gaps_s), "gaps_s": gaps_s}
            lines.append(json.dumps(entry | times) + "\n")
        path.write_text("".join(lines))
    return name


def trust(run: Path, is_saturated: bool = False) -> None:
    data = json.loads((run / "run.json").read_text())
    for point in data["points"]:
        point["metrics"]["client"]["is_saturated"] = is_saturated
        point["metrics"]["doubts"] = []
    (run / "run.json").write_text(json.dumps(data))


def compared(folder: Path, first: str, second: str) -> tuple[Done, dict[tuple[str, str], dict[str, Any]]]:
    done = planner(folder, "compare", first, second, "--json")
    rows = json.loads(done.stdout)["comparisons"] if done.stdout else []
    return done, {(row["load"], row["metric"]): row for row in rows}


def test_server_with_slower_steps_is_worse_where_steps_count(folder: Path) -> None:
    done, rows = compared(folder, "before", "slower")
    assert done.returncode == 0, done.stderr
    for load in ("4 users", "60 requests/s"):
        tpot = rows[load, "TPOT p50 [s]"]
        assert tpot["verdict"] == "worse"
        # 4 ms and 0.1 ms for each of one to four sequences, and 8 ms; the client may add to both.
        assert 1.6 < tpot["ratio"]["low"] < tpot["ratio"]["value"] < tpot["ratio"]["high"] < 2.1
        itl = rows[load, "ITL p50 [s]"]
        assert itl["verdict"] == "worse"
        assert 1.6 < itl["ratio"]["low"] < itl["ratio"]["value"] < itl["ratio"]["high"] < 2.1
        assert rows[load, "E2E p50 [s]"]["verdict"] == "worse"
        assert rows[load, "failed [fraction]"]["verdict"] == "equal"
    assert rows["4 users", "output [tokens/s]"]["verdict"] == "worse"


def test_the_other_way_round_it_is_better(folder: Path) -> None:
    _, rows = compared(folder, "slower", "before")
    assert rows["4 users", "TPOT p50 [s]"]["verdict"] == "better"
    assert rows["4 users", "output [tokens/s]"]["verdict"] == "better"


def test_the_same_server_is_neither(folder: Path) -> None:
    # Two runs that are measured one after the other would differ by whatever else this machine did.
    done, rows = compared(folder, drawn(folder, "before", 1), drawn(folder, "before", 2))
    assert done.returncode == 0, done.stderr
    assert sum(row["ratio"] is not None for row in rows.values()) >= 6
    assert {row["verdict"] for row in rows.values()} <= {"equal", "unclear", "not estimable"}
    _, rows = compared(folder, "before", "before")
    assert all(row["ratio"] is None or row["ratio"]["value"] == 1 for row in rows.values())


def test_the_table_tells_what_it_means(folder: Path) -> None:
    done = planner(folder, "compare", "before", "slower")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:2] == ["load", "metric"]
    assert any(line.startswith("4 users") and "TPOT p50 [s]" in line and line.endswith("worse") for line in lines)
    assert "first: before; second: slower" in done.stdout
    assert all(len(line) <= 120 for line in lines)


def test_loads_that_only_one_has_are_told_and_none_in_common_is_a_mistake(folder: Path) -> None:
    done = planner(folder, "compare", "before", "alone")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "RUN RUN: the two have no load in common",
        "before: 4 users, 60 requests/s",
        "alone: 3 users",
        "to measure the loads of before on the server of alone: planner bench --sweep --concurrency 4 --rate 60 "
        "--requests 100 --warmup-s 0.1, and what else was asked for before",
    ]
    data = json.loads((folder / "before" / "run.json").read_text())
    shutil.copytree(folder / "before", folder / "half")
    (folder / "half" / "run.json").write_text(json.dumps(data | {"points": data["points"][:1], "name": "half"}))
    done, rows = compared(folder, "before", "half")
    assert {load for load, _ in rows} == {"4 users"}
    assert "warning: 60 requests/s: only in before" in done.stderr


def test_what_else_differs_is_told(folder: Path) -> None:
    shutil.copytree(folder / "before", folder / "other")
    data = json.loads((folder / "other" / "run.json").read_text())
    data["name"], data["server"]["model"]["id"] = "other", "n"
    (folder / "other" / "run.json").write_text(json.dumps(data))
    done, _ = compared(folder, "before", "other")
    assert "warning: model: m in before, n in other" in done.stderr


def test_a_point_that_must_not_be_trusted_is_told_and_exits_4(folder: Path) -> None:
    shutil.copytree(folder / "before", folder / "busy")
    trust(folder / "busy", is_saturated=True)
    done, rows = compared(folder, "before", "busy")
    assert done.returncode == 4
    assert rows
    assert "not to be trusted: before, 4 users: the client was the bottleneck" in done.stderr


def test_mistakes_of_both_files_are_told_without_a_traceback(folder: Path) -> None:
    done = planner(folder, "compare", "before", "nothing")
    assert done.returncode == 2
    assert "nothing" in done.stderr
    assert "Traceback" not in done.stderr
