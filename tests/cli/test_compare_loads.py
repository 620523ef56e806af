"""Which loads `planner compare` compares, and what it tells of those that are not alike: runs of known truth."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import Done, planner
from drawn_runs import FIRST_S, DrawnRun

OPEN, CLOSED = DrawnRun("first", (8.0,)), DrawnRun("first", (4,))
USERS = (1, 2, 4, 8, 16, 4)
"""Of a server that serves four at a time, and whose best is measured again."""
BEST_PER_S = 4 / (FIRST_S * (1.046 + 1.1 * 1.02))
"""What it does: means of the first token and of the eleven gaps, each a tenth of it at the median [requests/s]."""


def compared(folder: Path, first: DrawnRun, second: DrawnRun) -> tuple[Done, list[dict[str, Any]]]:
    done = planner(folder, "compare", first.write(folder), second.write(folder), "--json")
    return done, json.loads(done.stdout)["comparisons"] if done.stdout else []


def warnings(done: Done) -> list[str]:
    return [line.removeprefix("warning: ") for line in done.stderr.splitlines() if line.startswith("warning: ")]


# ---- what is not alike


@pytest.mark.parametrize(
    ("like", "changes", "told"),
    [
        (OPEN, {"arrival": "constant"}, "arrivals: poisson in first, constant in second"),
        (
            OPEN,
            {"arrival": "gamma", "burstiness": 9.0},
            "arrivals: poisson in first, gamma with burstiness 9 in second",
        ),
        (
            OPEN,
            {"arrival": "onoff", "bursts": "factor=4,on_s=1,off_s=4"},
            "arrivals: poisson in first, onoff with factor=4,on_s=1,off_s=4 in second",
        ),
        (OPEN, {"rate": "4..12"}, "arrivals: poisson in first, poisson at 4..12 in second"),
        (OPEN, {"endpoint": "completions"}, "endpoint: chat in first, completions in second"),
        (OPEN, {"duration_s": None, "requests": 200}, "length of a load: 30 s in first, 200 requests in second"),
        (OPEN, {"warmup_s": 5.0}, "warm-up [s]: 0 in first, 5 in second"),
        (OPEN, {"input_tokens": "lognormal:p50=60"}, "prompts [tokens]: 64 in first, lognormal:p50=60 in second"),
        (OPEN, {"output_tokens": "13"}, "answers [tokens]: 12 in first, 13 in second"),
        (CLOSED, {"think_time_s": "2"}, "think time [s]: none in first, 2 in second"),
    ],
)
def test_loads_that_were_asked_otherwise_are_told(
    tmp_path: Path, like: DrawnRun, changes: dict[str, Any], told: str
) -> None:
    done, rows = compared(tmp_path, like, replace(like, name="second", seed=2, changes=changes))
    assert done.returncode == 0, done.stderr
    assert rows
    assert warnings(done) == [told]


@pytest.mark.parametrize(
    ("like", "changes"),
    [(CLOSED, {"arrival": "constant"}), (OPEN, {"think_time_s": "2"}), (OPEN, {"seed": 7}), (OPEN, {"rate": "8,16"})],
)
def test_what_says_nothing_of_the_loads_in_common_is_not_told(
    tmp_path: Path, like: DrawnRun, changes: dict[str, Any]
) -> None:
    done, _ = compared(tmp_path, like, replace(like, name="second", changes=changes))
    assert warnings(done) == []


def spec(**changes: Any) -> dict[str, Any]:
    return {"schema": "planner.workload/1", "name": "w", "input_tokens": 64, "output_tokens": 12, **changes}


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (None, spec(), []),
        (spec(name="a", description="b"), spec(), []),
        (
            None,
            spec(shared_prefix={"tokens": 32, "distinct": 4}),
            ["shared_prefix: none in first, tokens=32, distinct=4, fraction=1.0 in second"],
        ),
        (
            spec(conversation={"turns": 3}),
            spec(conversation={"turns": 5}),
            ["conversation: turns=3 in first, turns=5 in second"],
        ),
        (spec(), spec(models={"lora": 0.5}), ["models: none in first, lora=0.5 in second"]),
        (
            spec(parameters={"temperature": 0}),
            spec(parameters={"temperature": 1, "stop": ["."]}),
            [
                'parameters.stop: none in first, ["."] in second',
                "parameters.temperature: 0 in first, 1 in second",
                "answers as long as asked: yes in first, no in second",
            ],
        ),
        (spec(), spec(is_cache_busting=False), ["text new in every run: yes in first, no in second"]),
    ],
)
def test_requests_that_are_made_of_something_else_are_told(
    tmp_path: Path, first: dict[str, Any] | None, second: dict[str, Any] | None, told: list[str]
) -> None:
    runs = [replace(OPEN, name=name, changes={"file": file}) for name, file in (("first", first), ("second", second))]
    assert warnings(compared(tmp_path, *runs)[0]) == told


def test_files_of_other_content_and_long_parameters_are_told_apart(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "f" * 200 + end}} for end in "ab"]
    runs = [
        replace(
            OPEN,
            name=name,
            changes={
                "file": spec(parameters={"tools": [tool]}, has_forced_length=True),
                "file_sha256": {"prompts.jsonl": sha256 * 8},
            },
        )
        for name, tool, sha256 in zip(("first", "second"), tools, ("0123456789abcdef", "fedcba9876543210"), strict=True)
    ]
    told = warnings(compared(tmp_path, *runs)[0])
    assert told[1] == "files: prompts.jsonl (01234567) in first, prompts.jsonl (fedcba98) in second"
    assert told[0].startswith("parameters.tools: …ffff")
    assert 'fa"' in told[0].partition(" in first, ")[0]
    assert len(told[0]) < 200


def test_limits_and_the_model_are_told_where_both_are_known(tmp_path: Path) -> None:
    first = {"limits": {"max_num_seqs": 64, "kv_cache_tokens": 400_000, "block_tokens": 16}}
    second = {
        "limits": {"max_num_seqs": 256, "kv_cache_tokens": 400_100, "max_model_len": 4096},
        "model": {"id": "m", "dtype": "float16"},
    }
    done, _ = compared(tmp_path, replace(OPEN, server=first), replace(OPEN, name="second", server=second))
    assert warnings(done) == [
        "dtype: not told in first, float16 in second",
        "max_num_seqs: 64 in first, 256 in second",
    ]


def test_a_run_that_does_not_tell_its_workload_is_named(tmp_path: Path) -> None:
    done, rows = compared(tmp_path, OPEN, replace(OPEN, name="second", changes=None))
    assert rows
    assert len(warnings(done)) == 1
    assert "is not told in second: whether that is the same is not known" in warnings(done)[0]


def test_what_was_passed_over_in_reading_is_told(tmp_path: Path) -> None:
    OPEN.write(tmp_path)
    replace(OPEN, name="second").write(tmp_path)
    with (tmp_path / "second" / "requests-000.jsonl").open("a") as file:
        file.write('{"index": 2')
    done = planner(tmp_path, "compare", "first", "second", "--json")
    assert warnings(done) == ["second/requests-000.jsonl: its last line is cut off, and left out"]


# ---- repeats


def test_repeats_of_a_load_are_one_sample(tmp_path: Path) -> None:
    first = DrawnRun("first", (8.0, 8.0), requests=50)
    done, rows = compared(tmp_path, first, replace(first, name="second", loads=(8.0, 8.0, 8.0), slowness=2.0, seed=2))
    assert done.returncode == 0, done.stderr
    assert len(rows) == 10
    assert warnings(done) == []
    by_metric = {row["metric"]: row for row in rows}
    # 50 requests are too few for a 95th percentile, and 100 are not.
    for metric in ("TTFT p95 [s]", "ITL p95 [s]", "TPOT p95 [s]", "E2E p95 [s]"):
        assert by_metric[metric]["ratio"]["low"] < 2.0 < by_metric[metric]["ratio"]["high"]
    assert json.loads(done.stdout)["notes"] == [
        "8 requests/s of first: measured 2 times, and taken together",
        "8 requests/s of second: measured 3 times, and taken together",
    ]
    alone = replace(first, name="third", loads=(8.0,)).write(tmp_path)
    once = json.loads(planner(tmp_path, "compare", "first", alone, "--json").stdout)["comparisons"]
    assert {row["verdict"] for row in once if "p95" in row["metric"]} == {"not estimable"}


# ---- sweeps that found their loads themselves


def sweep(name: str, slowness: float = 1.0, seed: int = 1, slo: dict[str, float] | None = None) -> DrawnRun:
    rates = [round(share * BEST_PER_S / slowness, 1) for share in (0.25, 0.5, 0.75, 0.9)]
    return DrawnRun(name, (*USERS, *rates), slowness, 160, seed, True, slo=slo or {})


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server, and one that takes three times as long; and the first with another service level."""
    folder = tmp_path_factory.mktemp("sweeps")
    slo = {"ttft_p95_s": 0.15}
    sweep("quick", slo=slo).write(folder)
    sweep("slow", 3.0, 2, slo).write(folder)
    sweep("other", 1.0, 3, {"ttft_p95_s": 0.2}).write(folder)
    return folder


@pytest.fixture(scope="module")
def quick_and_slow(sweeps: Path) -> Done:
    return planner(sweeps, "compare", "quick", "slow", "--json")


def of_load(done: Done, load: str) -> dict[str, dict[str, Any]]:
    return {row["metric"]: row for row in json.loads(done.stdout)["comparisons"] if row["load"] == load}


def test_what_sweeps_found_is_compared(sweeps: Path, quick_and_slow: Done) -> None:
    assert quick_and_slow.returncode == 0, quick_and_slow.stderr
    found = of_load(quick_and_slow, "found by sweep")
    assert list(found) == ["saturation [requests/s]", "saturation [output tokens/s]", "within SLO [requests/s]"]
    for metric in list(found)[:2]:
        assert found[metric]["verdict"] == "worse"
        assert found[metric]["ratio"]["low"] < 1 / 3 < found[metric]["ratio"]["high"]
    edge = found["within SLO [requests/s]"]
    assert edge["verdict"] == "worse", "the slow one meets it at no rate, the quick one at all"
    assert (edge["first_edge"]["missed"], edge["second_edge"]["met"]) == (None, None)
    back = of_load(planner(sweeps, "compare", "slow", "quick", "--json"), "found by sweep")
    assert {row["verdict"] for row in back.values()} == {"better"}


def test_loads_of_sweeps_are_compared_at_shares_of_saturation(quick_and_slow: Done) -> None:
    done = quick_and_slow
    for share in (25, 50, 75, 90):
        rows = of_load(done, f"{share} % of saturation")
        assert "output [tokens/s]" not in rows, "which follows the rate"
        for metric in ("TTFT p50 [s]", "ITL p50 [s]", "TPOT p50 [s]", "E2E p50 [s]"):
            assert rows[metric]["verdict"] == "worse"
            assert rows[metric]["ratio"]["value"] == pytest.approx(3.0, rel=0.2)
    notes = json.loads(done.stdout)["notes"]
    assert any("rates differ" in note for note in notes)
    half_per_s = round(0.5 * BEST_PER_S, 1), round(0.5 * BEST_PER_S / 3, 1)
    assert f"50 % of saturation: {half_per_s[0]:g} requests/s of quick, {half_per_s[1]:g} requests/s of slow" in notes


def test_the_loads_of_one_run_are_told_as_options(quick_and_slow: Done) -> None:
    told = warnings(quick_and_slow)
    rates = ",".join(f"{share * BEST_PER_S:.1f}" for share in (0.25, 0.5, 0.75, 0.9))
    assert told == [
        "to measure the loads of quick on the server of slow: planner bench --sweep --concurrency 1,2,4,8,16 "
        f"--rate {rates} --duration-s 30, and what else was asked for quick"
    ]


def test_the_table_has_what_was_found_first(sweeps: Path) -> None:
    lines = planner(sweeps, "compare", "quick", "slow").stdout.splitlines()
    assert lines[1].startswith("found by sweep")
    row = next(line for line in lines if "within SLO [requests/s]" in line)
    assert "from " in row
    assert "below " in row
    assert all(len(line) <= 120 for line in lines)


def test_service_levels_that_differ_are_told_and_not_compared(sweeps: Path) -> None:
    done = planner(sweeps, "compare", "quick", "other", "--json")
    assert "within SLO [requests/s]" not in of_load(done, "found by sweep")
    assert of_load(done, "found by sweep")["saturation [requests/s]"]["verdict"] in ("equal", "unclear")
    # The same rates are the same loads, and need no share.
    assert not of_load(done, "50 % of saturation")
    assert any(
        line.startswith("service level: ttft_p95_s=0.15 in quick, ttft_p95_s=0.2 in oth") for line in warnings(done)
    )


def test_a_saturation_that_may_be_higher_is_no_reason_for_a_verdict(tmp_path: Path) -> None:
    first = replace(sweep("first"), loads=(1, 2, 4, 4))
    done, _ = compared(tmp_path, first, replace(sweep("second", 3.0, 2), loads=(1, 2, 4, 8, 16, 4)))
    assert of_load(done, "found by sweep")["saturation [requests/s]"]["verdict"] == "worse", "the higher one at least"
    told = "first: throughput still grew with the last users that were tried; saturation may be higher"
    assert told in warnings(done)
    back = of_load(planner(tmp_path, "compare", "second", "first", "--json"), "found by sweep")
    assert back["saturation [requests/s]"]["verdict"] == "better"
    third = replace(sweep("third", 3.0, 4), loads=(1, 2, 4, 4)).write(tmp_path)
    unclear = of_load(planner(tmp_path, "compare", "second", third, "--json"), "found by sweep")
    assert unclear["saturation [requests/s]"]["verdict"] == "unclear"
