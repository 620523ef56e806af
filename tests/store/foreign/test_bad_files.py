"""Files that are no result, or a broken one: told at once, with the field, and how the tool saves what is missing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foreign import unpacked

from planner.errors import InputFileError
from planner.store.foreign import texts
from planner.store.foreign.read import read_foreign

Change = Callable[[Any], object]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for tool in ("guidellm", "aiperf", "inference_perf"):
        unpacked(tool, folder)
    return folder


def told_of(path: Path) -> list[str]:
    """What is said of a file, without the folder."""
    with pytest.raises(InputFileError) as caught:
        read_foreign(path)
    return [f"{Path(found.file).name}:{found.line}: {found.field}: {found.message}" for found in caught.value.problems]


def put(data: Any, *places: int | str, value: object) -> None:
    """Sets what stands at a place."""
    for place in places[:-1]:
        data = data[place]
    data[places[-1]] = value


def drop(data: Any, *places: int | str) -> None:
    for place in places[:-1]:
        data = data[place]
    del data[places[-1]]


# ---- what is no result


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no JSON"),
        ("benchmarks:\n- config: {}\n", "guidellm writes JSON with --output kind=json"),
        ("[1, 2]", "is no result of vllm bench serve, guidellm, aiperf or inference-perf"),
        ('{"schema": "planner.profile/1"}', "is no result of"),
        ("[]", "is no result of"),
        ("{", "is no JSON: Expecting property name enclosed in double quotes; the file ends before it does"),
        ('{"model_id": "m", "request_rate": 1', "the file ends before it does"),
        ('{"model_id": "m", "model_id": "n", "request_rate": 1}', "model_id: stands twice in one mapping"),
        ("[" * 100_000, "is no JSON"),
        ('{"benchmarks": [' + "9" * 5000 + "]}", "is no JSON that can be read"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    (found,) = told_of(path)
    assert told in found


def test_what_is_no_text_or_too_large_or_not_there_is_refused(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'{"a":\n"\xff"}')
    assert told_of(path) == ["x.json:2: : is no JSON: is not UTF-8 text"]
    assert "no such file" in told_of(tmp_path / "gone.json")[0]
    assert "holds no result of" in told_of(tmp_path)[0]
    monkeypatch.setattr(texts, "MAX_BYTES", 1000)
    assert "is larger than 1,000 bytes" in told_of(results / "guidellm" / "short.json")[0]


# ---- guidellm

REQUEST = ("benchmarks", 0, "requests", "successful", 0)
TIMINGS = (*REQUEST, "info", "timings")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda data: drop(data, "benchmarks", 1, "requests"),
            "benchmarks[1].requests: is missing: run guidellm with --metrics kind=generative,sample_size=null",
        ),
        (
            lambda data: data["benchmarks"][0]["requests"]["successful"].pop(),
            "benchmarks[0].requests.successful: holds 39 of 40 requests: run guidellm with --metrics",
        ),
        (lambda data: put(data, "benchmarks", value=[]), "benchmarks: List should have at least 1 item"),
        (lambda data: put(data, "benchmarks", value={}), "benchmarks: must be a valid list; given: a mapping"),
        (lambda data: drop(data, *REQUEST, "info"), "benchmarks[0].requests.successful[0].info: is missing"),
        (
            lambda data: put(data, *TIMINGS, "request_start", value=float("nan")),
            "timings.request_start: must be a finite number; given: nan",
        ),
        (
            lambda data: put(data, *TIMINGS, "last_token_iteration", value=1.0),
            "timings: last_token_iteration is before first_token_iteration",
        ),
        (
            lambda data: put(data, *TIMINGS, "first_token_iteration", value="soon"),
            "timings.first_token_iteration: must be a valid number; given: 'soon'",
        ),
        (
            lambda data: put(data, *TIMINGS, "first_token_iteration", value=None),
            "benchmarks[0].requests.successful: lacks the times of first tokens: run guidellm with --backend",
        ),
        (
            lambda data: put(data, *REQUEST, "output_metrics", "total_tokens", value=-1),
            "output_metrics.total_tokens: must be greater than or equal to 0; given: -1",
        ),
        (
            lambda data: put(data, "benchmarks", 0, "config", "strategy", "type_", value="guess"),
            "benchmarks[0].config.strategy.type_: must be one of synchronous, concurrent, throughput",
        ),
        (
            lambda data: put(data, "benchmarks", 0, "config", "strategy", value={"type_": "poisson"}),
            "benchmarks[0].config.strategy.rate: is missing",
        ),
        (
            lambda data: put(data, "benchmarks", 0, "config", "backend", "model", value=" m"),
            "config.backend.model: String should match pattern",
        ),
    ],
)
def test_guidellm(results: Path, tmp_path: Path, change: Change, told: str) -> None:
    data = json.loads((results / "guidellm" / "short.json").read_text())
    change(data)
    path = tmp_path / "benchmarks.json"
    path.write_text(json.dumps(data))
    found = told_of(path)
    assert len(found) == 1
    assert found[0].startswith("benchmarks.json:0: ")
    assert told in found[0]


def test_all_mistakes_of_a_file_are_told_and_of_many_the_first(results: Path, tmp_path: Path) -> None:
    data = json.loads((results / "guidellm" / "short.json").read_text())
    put(data, *TIMINGS, "request_start", value="x")
    put(data, "benchmarks", 3, "start_time", value=None)
    path = tmp_path / "benchmarks.json"
    path.write_text(json.dumps(data))
    assert len(told_of(path)) == 2
    for entry in data["benchmarks"][2]["requests"]["successful"]:
        entry["info"] = 1
    path.write_text(json.dumps(data))
    assert len(told_of(path)) == 21
    assert any("has 42 mistakes; the first are told" in told for told in told_of(path))


# ---- aiperf


@pytest.fixture
def aiperf(results: Path, tmp_path: Path) -> Path:
    """A folder of aiperf's, to be broken."""
    return shutil.copytree(results / "aiperf" / "short-c1", tmp_path / "aiperf")


def change_line(folder: Path, number: int, change: Change) -> None:
    path = folder / "profile_export.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines[number - 1])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda line: drop(line, "metadata", "request_start_ns"), "metadata.request_start_ns: is missing"),
        (
            lambda line: put(line, "metadata", "request_end_ns", value=5),
            "metadata: request_end_ns is before request_start_ns",
        ),
        (
            lambda line: put(line, "metrics", "time_to_first_token", "value", value=-3.0),
            "metrics.time_to_first_token.value: must be greater than or equal to 0; given: -3.0",
        ),
        (
            lambda line: put(line, "metrics", "time_to_first_token", "unit", value="sec"),
            "metrics.time_to_first_token.unit: must be 'ms'; given: 'sec'",
        ),
        (
            lambda line: put(line, "metrics", "inter_chunk_latency", "value", value=[1.0, float("inf")]),
            "metrics.inter_chunk_latency.value[1]: must be a finite number; given: inf",
        ),
        (
            lambda line: put(line, "metadata", "benchmark_phase", value="other"),
            "metadata.benchmark_phase: must be 'warmup' or 'profiling'; given: 'other'",
        ),
    ],
)
def test_aiperf(aiperf: Path, change: Change, told: str) -> None:
    change_line(aiperf, 3, change)
    assert told_of(aiperf) == [f"profile_export.jsonl:3: {told}"]


def test_aiperf_lines_that_are_broken_are_all_told(aiperf: Path) -> None:
    change_line(aiperf, 3, lambda line: drop(line, "metadata", "request_start_ns"))
    change_line(aiperf, 7, lambda line: put(line, "metrics", value=[]))
    assert [told.split(" ")[0] for told in told_of(aiperf)] == ["profile_export.jsonl:3:", "profile_export.jsonl:7:"]
    path = aiperf / "profile_export.jsonl"
    path.write_text(path.read_text().rstrip()[:-50])
    assert "profile_export.jsonl:24: : is no JSON" in told_of(aiperf)[0]
    assert "the file ends before it does" in told_of(aiperf)[0]


def test_aiperf_without_streaming_or_requests_tells_the_option(aiperf: Path) -> None:
    change_line(aiperf, 2, lambda line: drop(line, "metrics", "time_to_first_token"))
    assert "lacks time_to_first_token: run aiperf with --streaming" in told_of(aiperf)[0]
    (aiperf / "profile_export.jsonl").unlink()
    (told,) = told_of(aiperf)
    assert told.startswith("profile_export_aiperf.json:0: : holds no requests")
    assert told.endswith("run aiperf with --export-level records, which writes profile_export.jsonl")


def test_aiperf_tells_whose_tokenizer_counted_and_that_it_was_cut_off(aiperf: Path) -> None:
    assert read_foreign(aiperf).notes == ()
    change_line(aiperf, 2, lambda line: drop(line, "metrics", "usage_completion_tokens"))
    path = aiperf / "profile_export_aiperf.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"was_cancelled": True}))
    assert read_foreign(aiperf).notes == (
        "aiperf: the run was cut off",
        "aiperf: its own tokenizer counted the tokens of 1 answers; --use-server-token-count does not",
    )


def test_aiperf_without_its_summary_does_not_tell_the_load(aiperf: Path) -> None:
    path = aiperf / "profile_export_aiperf.json"
    summary = json.loads(path.read_text())
    for phase, told in (
        ({"name": "profiling", "type": "guess"}, "input_config.phases[0].type: must be one of concurrency"),
        ({"name": "x", "type": "concurrency", "kind": "warmup"}, "input_config.phases: holds none that was measured"),
        ({"name": "profiling", "type": "concurrency", "concurrency": 0}, "phases[0].concurrency: must be greater"),
    ):
        path.write_text(json.dumps(summary | {"input_config": {"phases": [phase]}}))
        assert told in told_of(aiperf)[0]
    path.unlink()
    assert "profile_export_aiperf.json, which does, is not beside it" in told_of(aiperf)[0]


def test_aiperf_phases_are_load_points(aiperf: Path) -> None:
    for number in range(1, 11):
        change_line(aiperf, number, lambda line: put(line, "metadata", "phase_name", value="later"))
    path = aiperf / "profile_export_aiperf.json"
    later = {"name": "later", "type": "gamma", "rate": 2.0}
    first = {"name": "profiling", "type": "concurrency", "concurrency": 1}
    summary = json.loads(path.read_text())
    path.write_text(json.dumps(summary | {"input_config": {"phases": [first, later]}}))
    loads = [(point.concurrency, point.requests_per_s, len(point.records)) for point in read_foreign(aiperf).points]
    assert loads == [(1, None, 14), (None, 2.0, 10)]
    path.write_text(json.dumps(summary | {"input_config": {"phases": [first, later, later | {"name": "never"}]}}))
    assert told_of(aiperf) == [
        "profile_export_aiperf.json:0: input_config.phases[2]: has no requests in profile_export.jsonl"
    ]


# ---- inference-perf


@pytest.fixture
def inference_perf(results: Path, tmp_path: Path) -> Path:
    """A folder of inference-perf's, to be broken."""
    return shutil.copytree(results / "inference_perf" / "short", tmp_path / "inference_perf")


def change_file(folder: Path, name: str, change: Change) -> None:
    data = json.loads((folder / name).read_text())
    change(data)
    (folder / name).write_text(json.dumps(data))


REQUESTS = "per_request_lifecycle_metrics.json"
RESPONSE = ("info", "response_metrics")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: drop(data, 5, "info"), "requests[5].info: is missing"),
        (lambda data: put(data, 5, "start_time", value="x"), "requests[5].start_time: must be a valid number"),
        (lambda data: put(data, 5, "end_time", value=1.0), "requests[5]: end_time is before start_time"),
        (
            lambda data: put(data, 5, *RESPONSE, "chunk_times", 0, value=1.0),
            "requests[5]: chunk_times[0] is before start_time",
        ),
        (
            lambda data: put(data, 5, *RESPONSE, "chunk_times", 3, value=1.0),
            "requests[5].info.response_metrics: chunk_times[3] is before the one before it",
        ),
        (
            lambda data: put(data, 5, *RESPONSE, "chunk_times", 3, value=float("nan")),
            "requests[5].info.response_metrics.chunk_times[3]: must be a finite number; given: nan",
        ),
        (lambda data: data.pop(), "holds 171 requests, and the files of its stages count 172"),
        (
            lambda data: [entry[RESPONSE[0]][RESPONSE[1]].pop("chunk_times") for entry in data],
            "info: lacks the times of chunks: run inference-perf with api.streaming: true",
        ),
    ],
)
def test_inference_perf(inference_perf: Path, change: Change, told: str) -> None:
    change_file(inference_perf, REQUESTS, change)
    (found,) = told_of(inference_perf)
    assert told in found
    assert found.startswith(f"{REQUESTS}:0: ")


def test_inference_perf_without_requests_or_stages_tells_the_option(inference_perf: Path) -> None:
    summary = told_of(inference_perf / "summary_lifecycle_metrics.json")
    assert "report.request_lifecycle.per_request: true, and give per_request_lifecycle_metrics.json" in summary[0]
    change_file(inference_perf, "stage_1_lifecycle_metrics.json", lambda data: put(data, "failures", "count", value=3))
    assert "stage_1_lifecycle_metrics.json:0: failures.count: counts 3 failures" in told_of(inference_perf)[0]
    for stage in inference_perf.glob("stage_*.json"):
        stage.unlink()
    assert "report.request_lifecycle.per_stage: true" in told_of(inference_perf)[0]


def test_inference_perf_without_its_configuration_does_not_tell_the_model(inference_perf: Path) -> None:
    (inference_perf / "config.yaml").unlink()
    result = read_foreign(inference_perf)
    assert (result.model, result.engine, result.url) == (None, None, "")
    assert len(result.points) == 4


def test_inference_perf_tells_whose_tokenizer_counted(inference_perf: Path) -> None:
    change_file(inference_perf, REQUESTS, lambda data: put(data, 0, *RESPONSE, "server_usage", value=None))
    assert read_foreign(inference_perf).notes == (
        "inference-perf: its own tokenizer counted the output tokens of 1 answers",
    )
