"""`planner import`: what other tools measured, as a run that is fitted and compared like one of planner's own.

The server was planner's emulator, so the truth is known. Every tool's fit finds the time of an empty step within 1 %,
and each other coefficient within 5 %: they are a few percent of a step's time, and the emulator told that it wrote
tokens 0.6 ms late on average (planner_emulator_lateness_seconds), of steps of 12 to 45 ms.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import Done, planner
from foreign import LADDERS, LIMITS, TRUTH, ladder, unpacked

from planner.store.runs import read_run

TOOLS = {"vllm": "vllm bench serve", "inference_perf": "inference-perf"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imports")
    for tool in LADDERS:
        unpacked(tool, folder)
    return folder


def imported(folder: Path, tool: str, *more: str) -> tuple[Done, str]:
    name = f"run-{tool}"
    shutil.rmtree(folder / name, ignore_errors=True)
    files = [str(path.relative_to(folder)) for path in ladder(tool, folder)]
    return planner(folder, "import", *files, "-o", name, "--emulated", "--json", *more), name


def step_time(folder: Path, *runs: str) -> dict[str, float]:
    done = planner(
        folder, "fit", *runs, "-o", "profile.json", "--limits", LIMITS, "--json", "--accelerator", "emulated"
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)["step_time_s"]
    return found


def assert_true(found: dict[str, float]) -> None:
    assert found["base"] == pytest.approx(TRUTH["base"], rel=0.01)
    for name in ("per_prefill_token", "per_sequence", "per_context_token"):
        assert found[name] == pytest.approx(TRUTH[name], rel=0.05), name


@pytest.mark.parametrize("tool", LADDERS)
def test_a_run_of_each_tool_is_fitted_to_the_truth(folder: Path, tool: str) -> None:
    done, name = imported(folder, tool)
    assert done.returncode == 0, done.stderr
    loaded = read_run(folder / name)
    assert len(json.loads(done.stdout)["points"]) == len(loaded.run.points) == 8
    assert {source.tool for source in loaded.run.imported_from} == {TOOLS.get(tool, tool)}
    assert all(len(source.sha256) == 64 and "/" not in source.file for source in loaded.run.imported_from)
    assert sum(source.points for source in loaded.run.imported_from) == 8
    assert (loaded.run.client, loaded.run.workload, loaded.run.command) == (None, None, None)
    assert (loaded.run.status, loaded.run.basis, loaded.run.server.model.id) == ("complete", "emulated", "toy")
    assert loaded.run.requests_sent_in_all == sum(map(len, loaded.requests))
    assert_true(step_time(folder, name))


def test_figures_that_a_tool_does_not_keep_are_null_and_told(folder: Path) -> None:
    done, name = imported(folder, "guidellm")
    assert "not told by guidellm: gaps between tokens" in done.stderr
    run = read_run(folder / name).run
    for point in run.points:
        assert point.metrics.itl_s.mean is None
        assert point.metrics.tokens_per_chunk is None
        assert point.metrics.client is None
        assert point.metrics.tpot_s.mean is not None
    # long.json at one stream, as guidellm says itself: 44.52 ms to the first token, 13.077 ms between tokens
    by_load = {
        (point.metrics.concurrency, round(point.metrics.input_tokens_per_s)): point.metrics for point in run.points
    }
    alone = by_load[1, 2003]
    assert alone.ttft_s.mean == pytest.approx(0.0445224, abs=1e-6)
    assert alone.tpot_s.mean == pytest.approx(0.013077, abs=5e-5)


def test_results_of_several_tools_make_one_run(folder: Path) -> None:
    files = [
        "vllm/short-c1.json",
        "vllm/short-c16.json",
        "guidellm/long.json",
        "aiperf/short-r10",
        "inference_perf/rates",
    ]
    done = planner(folder, "import", *files, "-o", "mixed", "--emulated", "--limits", LIMITS, "--engine", "toy:1.2")
    assert done.returncode == 0, done.stderr
    run = read_run(folder / "mixed").run
    assert [(source.tool, source.points) for source in run.imported_from] == [
        ("vllm bench serve", 1),
        ("vllm bench serve", 1),
        ("guidellm", 4),
        ("aiperf", 1),
        ("inference-perf", 2),
    ]
    assert (run.server.engine.name, run.server.engine.version, run.server.url) == ("toy", "1.2", "")
    assert run.server.limits.max_num_seqs == 32
    assert_true(step_time(folder, "mixed"))


def test_files_are_fitted_without_being_imported(folder: Path) -> None:
    assert_true(step_time(folder, "guidellm/short.json", "guidellm/long.json"))
    profile = json.loads((folder / "profile.json").read_text())
    assert profile["basis"] == "measured"  # for all that these files tell
    assert [source["file"] for source in profile["provenance"][:2]] == ["short.json", "long.json"]
    assert_true(step_time(folder, *(f"aiperf/{name}" for name in LADDERS["aiperf"])))
    profile = json.loads((folder / "profile.json").read_text())
    assert profile["basis"] == "emulated"  # since aiperf asked the server for its metrics
    assert len(profile["provenance"]) == 8


def test_imported_runs_are_compared_load_by_load(folder: Path) -> None:
    first, second = imported(folder, "aiperf")[1], imported(folder, "vllm")[1]
    done = planner(folder, "compare", first, second, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["comparisons"]
    tpot = [row for row in rows if row["metric"] == "TPOT p50 [s]"]
    assert len(tpot) == 8
    # Two clients of one server: they agree, with loads of one name paired by the lengths of their prompts.
    assert {row["verdict"] for row in tpot} <= {"equal", "unclear"}
    assert all(0.95 < row["ratio"]["value"] < 1.05 for row in tpot if row["load"] in ("1 user", "4 users", "8 users"))
    again = planner(folder, "compare", first, first, "--json")
    assert {row["verdict"] for row in json.loads(again.stdout)["comparisons"]} <= {"equal", "not estimable", "unclear"}


def test_whether_it_was_emulated_is_known_where_a_file_shows_it(folder: Path) -> None:
    assert planner(folder, "import", "aiperf/short-c1", "-o", "shown").returncode == 0
    assert read_run(folder / "shown").run.basis == "emulated"
    assert planner(folder, "import", "vllm/short-c1.json", "-o", "hidden").returncode == 0
    assert read_run(folder / "hidden").run.basis == "measured"
    done = planner(folder, "import", "aiperf/short-c1", "vllm/short-c1.json", "-o", "both")
    assert done.returncode == 2
    assert "is of planner's emulator, and other files do not tell" in done.stderr
    assert not (folder / "both").exists()


def test_a_load_with_too_many_failures_is_kept_and_exits_4(folder: Path) -> None:
    done = planner(folder, "import", "guidellm/failed.json", "-o", "failed", "--json")
    assert done.returncode == 4
    (point,) = json.loads(done.stdout)["points"]
    assert point["requests"] == {"sent": 12, "ok": 9, "failed": 3, "cancelled": 0}
    assert point["errors"] == {"http_400": 3}
    # Due 1088.7 ms before the first token, as guidellm counts from when it was sent, and its dispatch delay.
    assert point["ttft_s"]["mean"] == pytest.approx(1.0887 + point["lag_s"]["mean"], abs=2e-3)
    assert "3 of 12 requests failed" in done.stderr
    assert len(read_run(folder / "failed").requests[0]) == 12


def test_what_files_do_not_tell_is_asked_for(folder: Path) -> None:
    bare = shutil.copytree(folder / "inference_perf" / "rates", folder / "bare")
    (bare / "config.yaml").unlink()
    done = planner(folder, "import", "bare", "-o", "named")
    assert (done.returncode, done.stderr) == (2, "--model: is missing, and the files do not tell it\n")
    done = planner(folder, "fit", "bare", "-o", "profile.json")
    assert "does not tell the model; planner import takes it with --model" in done.stderr
    given = ("--model", "m", "--accelerator", "H100:2")
    assert planner(folder, "import", "bare", "-o", "named", *given).returncode == 0
    server = read_run(folder / "named").run.server
    assert server.accelerator is not None
    assert (server.model.id, server.accelerator.count, server.engine.name) == ("m", 2, "openai-compatible")


def test_every_mistake_is_told_and_nothing_is_written(folder: Path) -> None:
    (folder / "cut.json").write_text((folder / "guidellm" / "short.json").read_text()[:5000])
    (folder / "other.json").write_text("{}")
    (folder / "ours").mkdir()
    (folder / "ours" / "run.json").write_text("{}")
    done = planner(
        folder, "import", "cut.json", "other.json", "gone.json", "ours", "guidellm/short.json", "-o", "never"
    )
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["cut.json", "gone.json", "other.json", "ours"]
    assert "ours: is a run of planner's own; planner fit and planner compare take it as it is" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "never").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("guidellm/short.json", "guidellm/short.json"), "RESULT: guidellm/short.json is guidellm/short.json again"),
        (("guidellm/short.json", "--model", " "), "--model: must be a name on one line"),
        (("guidellm/short.json", "--engine", "vllm:"), "--engine: must be a name, or NAME:VERSION; given: vllm:"),
        (("guidellm/short.json", "--limits", "x=1"), "--limits: must be NAME=TOKENS"),
        (("guidellm/short.json", "renamed.json"), "the files are of several models: other, toy; --model says which"),
    ],
)
def test_options_that_are_wrong_are_told(folder: Path, arguments: tuple[str, ...], told: str) -> None:
    data: dict[str, Any] = json.loads((folder / "vllm" / "short-c1.json").read_text())
    (folder / "renamed.json").write_text(json.dumps(data | {"model_id": "other"}))
    done = planner(folder, "import", *arguments, "-o", "never")
    assert done.returncode == 2
    assert told in done.stderr
    assert not (folder / "never").exists()


def test_nothing_is_written_over(folder: Path) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "notes.txt").write_text("mine")
    done = planner(folder, "import", "guidellm/short.json", "-o", "full")
    assert done.returncode == 2
    assert "--out full: holds other files; name a new or an empty folder" in done.stderr


def test_an_imported_run_has_nothing_to_go_on_with(folder: Path) -> None:
    assert planner(folder, "import", "vllm/short-c1.json", "-o", "old", "--quiet").returncode == 0
    done = planner(folder, "bench", "--resume", "old")
    assert done.returncode == 2
    assert "does not say what was asked" in done.stderr
    assert "Traceback" not in done.stderr
