"""Results of `vllm bench serve`: what is taken over, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.errors import InputFileError
from planner.store.vllm_bench import read_vllm_bench

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


def test_every_request_is_taken_over(tmp_path: Path) -> None:
    result = read_vllm_bench(written(tmp_path))
    first, second, failed = result.records()
    assert result.rate_per_s is None
    assert (first.sent_s, first.first_token_s, first.finished_s) == (0.0, 0.05, pytest.approx(0.08))
    assert (second.sent_s, second.gaps_s, second.output_tokens) == (0.5, [0.03], 2)
    assert (failed.outcome, failed.message, failed.first_token_s) == ("failed", "Connection refused", None)


def test_an_offered_rate_is_taken_over(tmp_path: Path) -> None:
    assert read_vllm_bench(written(tmp_path, request_rate=2.5)).rate_per_s == 2.5


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"itls": None}, "itls missing: run `vllm bench serve` with --save-result --save-detailed"),
        ({"request_rate": None}, "is no result of `vllm bench serve`"),
        ({"ttfts": [0.1]}, "differ in length"),
        ({"ttfts": [0.1, -1.0, 0.2]}, "ttfts.1"),
        ({"request_rate": "fast"}, "request_rate"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    with pytest.raises(InputFileError) as caught:
        read_vllm_bench(written(tmp_path, **changed))
    assert told in str(caught.value)
    assert "result.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "\xff"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputFileError, match="is no"):
        read_vllm_bench(path)


def test_a_result_of_vllm_itself_is_read(repository: Path) -> None:
    path = repository.parent / "shared" / "vllm" / "fixtures" / "bench_serve_example.json"
    if not path.is_file():
        pytest.skip("needs ../shared/vllm/fixtures/bench_serve_example.json, recorded from vLLM 0.32.0")
    records = read_vllm_bench(path).records()
    assert [record.outcome for record in records] == ["ok"] * 4
    assert records[0].first_token_s == pytest.approx(0.05048625)
    assert all(len(record.gaps_s) <= 63 for record in records)
