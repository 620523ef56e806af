"""Results of `vllm bench serve`: what is taken over, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.errors import InputFileError
from planner.store.foreign.read import read_foreign
from planner.store.foreign.result import ForeignPoint

RESULT: dict[str, Any] = {
    "date": "20261124-020425",
    "model_id": "tiny",
    "request_rate": "inf",
    "max_concurrency": 2,
    "input_lens": [64, 32, 16],
    "output_lens": [3, 2, 0],
    "ttfts": [0.05, 0.06, 0.0],
    "itls": [[0.01, 0.02], [0.03], []],
    "start_times": [100.0, 100.5, 101.0],
    "errors": ["", "", "Connection refused"],
    "mean_ttft_ms": 55.0,
}


def written(folder: Path, **changed: object) -> Path:
    path = folder / "result.json"
    path.write_text(json.dumps({key: value for key, value in (RESULT | changed).items() if value is not None}))
    return path


def only_point(path: Path) -> ForeignPoint:
    (point,) = read_foreign(path).points
    return point


def test_every_request_is_taken_over(tmp_path: Path) -> None:
    result = read_foreign(written(tmp_path))
    assert (result.model, result.started_at) == ("tiny", "2026-11-24T02:04:25")
    (point,) = result.points
    assert (point.requests_per_s, point.concurrency) == (None, 2)
    first, second, failed = point.records
    assert (first.sent_s, first.first_token_s, first.finished_s) == (0.0, 0.05, pytest.approx(0.08))
    assert (second.sent_s, second.gaps_s, second.output_tokens) == (0.5, [0.03], 2)
    assert (failed.outcome, failed.message, failed.first_token_s) == ("failed", "Connection refused", None)


def test_an_offered_rate_is_taken_over(tmp_path: Path) -> None:
    point = only_point(written(tmp_path, request_rate=2.5))
    assert (point.requests_per_s, point.concurrency) == (2.5, None)


def test_requests_without_a_rate_or_a_limit_are_all_sent_at_once(tmp_path: Path) -> None:
    assert only_point(written(tmp_path, max_concurrency=None)).concurrency == 3


def test_the_wait_for_a_connection_of_an_open_loop_is_part_of_the_latency(tmp_path: Path) -> None:
    point = only_point(written(tmp_path, request_rate=2.5, queue_times=[0.0, 0.2, 0.0]))
    assert [record.due_s for record in point.records] == pytest.approx([0.0, 0.3, 1.0])
    point = only_point(written(tmp_path, queue_times=[0.0, 0.2, 0.0]))
    assert [record.due_s for record in point.records] == [0.0, 0.5, 1.0]


def test_the_role_of_a_chat_is_no_token(tmp_path: Path) -> None:
    itls = [[0.001, 0.01, 0.02], [0.03], []]  # three tokens with four chunks; two with two
    first, second, _ = only_point(written(tmp_path, endpoint_type="openai-chat", itls=itls)).records
    assert (first.first_token_s, first.gaps_s) == (pytest.approx(0.051), [0.01, 0.02])
    assert (second.first_token_s, second.gaps_s) == (pytest.approx(0.56), [0.03])


def test_results_that_were_appended_to_a_file_are_load_points(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    other = RESULT | {"request_rate": 2.5}
    path.write_text(f"{json.dumps(RESULT)}\n{json.dumps(other)}")
    assert [point.requests_per_s for point in read_foreign(path).points] == [None, 2.5]
    path.write_text(f"{json.dumps(RESULT)}\n{json.dumps(other | {'model_id': 'n', 'ttfts': None})}")
    with pytest.raises(InputFileError, match=r"all\.json:2: ttfts: must be a valid list; given: nothing"):
        read_foreign(path)
    path.write_text(f"{json.dumps(RESULT)}\n{json.dumps(other | {'model_id': 'n'})}")
    with pytest.raises(InputFileError, match=r"all\.json:2: model_id: is of another model than line 1: n"):
        read_foreign(path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"itls": None}, "itls missing: run `vllm bench serve` with --save-result --save-detailed"),
        ({"request_rate": None, "model_id": None}, "is no result of vllm bench serve"),
        ({"ttfts": [0.1]}, "differ in length"),
        ({"ttfts": [0.1, -1.0, 0.2]}, "ttfts[1]: must be greater than or equal to 0; given: -1.0"),
        ({"itls": [[0.1, "x"], [0.1], []]}, "itls[0][1]: must be a valid number; given: 'x'"),
        ({"start_times": [1.0, float("nan"), 2.0]}, "start_times[1]: must be a finite number; given: nan"),
        ({"output_lens": [3.5, 2, 0]}, "output_lens[0]: must be a valid integer; given: 3.5"),
        ({"request_rate": "fast"}, "request_rate"),
        ({"request_rate": 0}, "request_rate: must be greater than 0; given: 0"),
        ({"max_concurrency": 0}, "max_concurrency: must be greater than or equal to 1; given: 0"),
        ({"model_id": ""}, "model_id"),
        ({name: [] for name, value in RESULT.items() if isinstance(value, list)}, "holds no requests"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    with pytest.raises(InputFileError) as caught:
        read_foreign(written(tmp_path, **changed))
    assert told in str(caught.value)
    assert "result.json" in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputFileError) as caught:
        read_foreign(written(tmp_path, ttfts=[0.1, -1.0, 0.2], errors=["", 1, ""], date=3))
    assert {problem.field for problem in caught.value.problems} == {"ttfts[1]", "errors[1]", "date"}


def test_a_result_of_vllm_itself_is_read(repository: Path) -> None:
    path = repository.parent / "shared" / "vllm" / "fixtures" / "bench_serve_example.json"
    if not path.is_file():
        pytest.skip("needs ../shared/vllm/fixtures/bench_serve_example.json, recorded from vLLM 0.32.0")
    records = only_point(path).records
    assert [record.outcome for record in records] == ["ok"] * 4
    assert records[0].first_token_s == pytest.approx(0.05048625, abs=0.003)
    assert all(len(record.gaps_s or []) <= 63 for record in records)
