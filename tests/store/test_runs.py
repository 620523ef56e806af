"""Run directories: written as they grow, read with every mistake told."""

import json
from pathlib import Path

import pytest

from planner.errors import EnvironmentLackingError, InputFileError, UsageError
from planner.schema.benchmark import LoadPoint, RequestRecord, Run, RunPoint
from planner.store.runs import RunDirectory, read_run

NONE = {"mean": None}


def a_run(*files: str) -> Run:
    point = LoadPoint.model_validate(
        {"offered_requests_per_s": 1.0, "achieved_requests_per_s": 1.0, "requests": {"sent": 2, "ok": 2, "failed": 0}}
        | {"input_tokens_per_s": 1.0, "output_tokens_per_s": 1.0}
        | dict.fromkeys(("ttft_s", "itl_s", "tpot_s", "e2e_s"), NONE)
    )
    return Run.model_validate(
        {
            "schema": "planner.run/1",
            "name": "r",
            "basis": "measured",
            "started_at": "2026-11-24T10:00:00+00:00",
            "status": "complete",
            "server": {"url": "http://h", "model": {"id": "m"}, "engine": {"name": "vllm"}},
            "client": {"planner_version": "1", "python_version": "3", "platform": "p", "cpu_count": 1},
            "workload": {"endpoint": "chat", "input_tokens": "1", "output_tokens": "1", "arrival": "poisson"},
            "points": [RunPoint(requests_file=file, metrics=point) for file in files],
        }
    )


def a_record(index: int) -> RequestRecord:
    return RequestRecord(
        index=index, due_s=0.5, sent_s=0.5, asked_input_tokens=1, asked_output_tokens=2, outcome="ok", gaps_s=[0.25]
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = RunDirectory(tmp_path / "deep" / "run")
    with directory.requests("requests-000.jsonl") as file:
        file.append(a_record(0))
        # Whoever looks now, or after the process is killed, finds the record.
        assert (directory.path / "requests-000.jsonl").read_text().endswith("}\n")
        file.append(a_record(1))
    directory.write(a_run("requests-000.jsonl"))
    return directory.path


def test_what_is_written_is_read(run: Path) -> None:
    loaded = read_run(run)
    assert loaded.run == a_run("requests-000.jsonl")
    assert loaded.requests == ((a_record(0), a_record(1)),)
    assert loaded.notes == ()


def test_runs_from_before_there_were_some_figures_are_read(run: Path) -> None:
    data = json.loads((run / "run.json").read_text())
    del data["definitions"]
    for name in ("arrivals", "lag_s", "tokens_per_chunk", "cached_input_fraction", "other_models", "is_lower_bound"):
        del data["points"][0]["metrics"][name]
    for name in ("ttft_s", "itl_s", "tpot_s", "e2e_s"):
        data["points"][0]["metrics"][name] = {"mean": 1.0, "p50": 1.0, "p90": 1.0, "p95": 1.0, "p99": 1.0}
    (run / "run.json").write_text(json.dumps(data))
    line = json.loads((run / "requests-000.jsonl").read_text().splitlines()[0])
    for name in ("cached_input_tokens", "reasoning_tokens", "model"):
        line.pop(name, None)
    (run / "requests-000.jsonl").write_text(json.dumps(line) + "\n")
    loaded = read_run(run)
    assert loaded.requests == ((a_record(0),),)
    found = loaded.run.points[0].metrics
    assert (found.ttft_s.p95, found.ttft_s.n, found.ttft_s.ci95_p95) == (1.0, None, None)
    assert (found.arrivals, found.lag_s.p99, found.is_lower_bound) == (None, None, False)


def test_last_line_that_is_cut_off_is_passed_over(run: Path) -> None:
    file = run / "requests-000.jsonl"
    file.write_text(file.read_text()[:-20])
    loaded = read_run(run)
    assert loaded.requests == ((a_record(0),),)
    assert "its last line is cut off" in loaded.notes[0]


def test_every_mistake_is_told_with_file_and_line(run: Path) -> None:
    (run / "run.json").write_text(
        a_run("requests-000.jsonl", "gone.jsonl", "../outside.jsonl").model_dump_json(by_alias=True)
    )
    lines = (run / "requests-000.jsonl").read_text().splitlines()
    bad = lines[0].replace('"index":0', '"index":-1').replace('"due_s":0.5', '"due_s":"x"')
    (run / "requests-000.jsonl").write_text(f"{lines[1]}\n{bad}\nnot json\n")
    with pytest.raises(InputFileError) as caught:
        read_run(run)
    told = {(Path(problem.file).name, problem.line, problem.field) for problem in caught.value.problems}
    assert told == {
        ("requests-000.jsonl", 2, "index"),
        ("requests-000.jsonl", 2, "due_s"),
        ("requests-000.jsonl", 3, ""),
        ("gone.jsonl", 0, ""),
        ("run.json", 0, "points[2].requests_file"),
    }


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "gone", tmp_path / "file"):
        with pytest.raises(InputFileError):
            read_run(path)


def test_nothing_is_overwritten_or_mixed(run: Path, tmp_path: Path) -> None:
    before = (run / "run.json").read_bytes()
    with pytest.raises(UsageError, match="holds a run already"):
        RunDirectory(run)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="holds other files"):
        RunDirectory(tmp_path / "mine")
    with pytest.raises(UsageError, match="is a file"):
        RunDirectory(tmp_path / "mine" / "notes.txt")
    (tmp_path / "empty").mkdir()
    RunDirectory(tmp_path / "empty").write(a_run())
    assert (run / "run.json").read_bytes() == before


def test_disk_that_is_full_is_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    from planner.store.runs import RequestsFile

    class Full(RequestsFile):
        def __enter__(self) -> "Full":
            super().__enter__()
            self._file.close()
            self._file = Path("/dev/full").open("w", encoding="utf-8")
            return self

    with pytest.raises(EnvironmentLackingError, match="cannot be written: No space left"), Full(tmp_path / "r") as file:
        file.append(a_record(0))
