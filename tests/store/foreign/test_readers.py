"""Each tool's results as they are read, against the figures of the tool's own summary.

Expected values are copied from what the tools say of themselves, each in the unit and by the definition of its tool.
"""

from pathlib import Path

import numpy as np
import pytest
from foreign import unpacked

from planner.schema.benchmark import RequestRecord
from planner.store.foreign.read import read_foreign
from planner.store.foreign.result import ForeignPoint, ForeignResult


def ok(point: ForeignPoint) -> list[RequestRecord]:
    return [record for record in point.records if record.outcome == "ok" and not record.is_warmup]


def mean_ttft_ms(point: ForeignPoint) -> float:
    """From when a request was sent, as all tools count."""
    return float(np.mean([(record.first_token_s or 0) - (record.sent_s or 0) for record in ok(point)])) * 1e3


def median_ttft_ms(point: ForeignPoint) -> float:
    return float(np.median([(record.first_token_s or 0) - (record.sent_s or 0) for record in ok(point)])) * 1e3


def mean_gap_ms(point: ForeignPoint) -> float:
    return float(np.mean([gap_s for record in ok(point) for gap_s in record.gaps_s or []])) * 1e3


def tokens(point: ForeignPoint) -> tuple[int, int]:
    found = ok(point)
    return sum(record.input_tokens or 0 for record in found), sum(record.output_tokens or 0 for record in found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for tool in ("vllm", "guidellm", "aiperf", "inference_perf"):
        unpacked(tool, folder)
    return folder


# ---- vllm bench serve: completed, mean_ttft_ms, median_ttft_ms, mean_itl_ms, total_input_tokens, total_output_tokens


@pytest.mark.parametrize(
    ("name", "load", "requests", "ttft_ms", "ttft_p50_ms", "itl_ms", "counted"),
    [
        ("short-c1", (None, 1), 24, 16.582510583, 16.317547001, 12.009472507, (1549, 787)),
        ("short-c4", (None, 4), 40, 29.77160225, 28.842510001, 13.245950895, (2692, 1256)),
        ("short-c16", (None, 16), 60, 47.9798068, 40.457371499, 17.924872617, (4011, 1949)),
        ("long-c4", (None, 4), 40, 75.55795835, 66.042393499, 18.841822693, (31807, 947)),
        ("short-r10", (10.0, None), 50, 28.15549072, 30.257687, 13.746661809, (3356, 1622)),
    ],
)
def test_vllm_bench(
    folder: Path,
    name: str,
    load: tuple[float | None, int | None],
    requests: int,
    ttft_ms: float,
    ttft_p50_ms: float,
    itl_ms: float,
    counted: tuple[int, int],
) -> None:
    result = read_foreign(folder / "vllm" / f"{name}.json")
    (point,) = result.points
    assert (result.tool, result.model, result.started_at[:10]) == ("vllm bench serve", "toy", "2026-11-25")
    assert (point.requests_per_s, point.concurrency) == load
    assert len(ok(point)) == len(point.records) == requests
    # The chunk with the role alone came some microseconds before the first token.
    assert mean_ttft_ms(point) == pytest.approx(ttft_ms, abs=0.03)
    assert median_ttft_ms(point) == pytest.approx(ttft_p50_ms, abs=0.03)
    assert tokens(point) == counted
    # It counts one gap more for each request, of nearly nothing.
    gaps = counted[1] - requests
    assert sum(len(record.gaps_s or []) for record in ok(point)) == gaps
    assert mean_gap_ms(point) == pytest.approx(itl_ms * counted[1] / gaps, abs=0.03)


def test_vllm_bench_tells_failures(folder: Path) -> None:
    (point,) = read_foreign(folder / "vllm" / "failed.json").points
    failed = [record for record in point.records if record.outcome != "ok"]
    assert [(record.outcome, record.message) for record in failed] == [("failed", "Bad Request")] * 3
    assert len(ok(point)) == 9
    assert mean_ttft_ms(point) == pytest.approx(704.207297112, abs=1e-5)
    assert mean_gap_ms(point) == pytest.approx(66.1718996326, abs=1e-5)
    assert tokens(point)[1] == 107


# ---- aiperf: request_count, time_to_first_token avg and p50, inter_chunk_latency count and avg, total_isl, total_osl


@pytest.mark.parametrize(
    ("name", "load", "ttft_ms", "ttft_p50_ms", "gaps", "gap_ms", "counted"),
    [
        ("short-c1", (None, 1), 16.551668583, 16.1320515, 781, 12.386566758, (24, 1523, 805)),
        ("short-c16", (None, 16), 48.500704433, 38.5040605, 1885, 18.445477765, (60, 4135, 1945)),
        ("long-c4", (None, 4), 75.536440275, 62.0168195, 882, 19.794817923, (40, 32278, 922)),
        ("long-r5", (5.0, None), 59.44336024, 57.805649, 1095, 18.544534744, (50, 41218, 1145)),
        ("short-r10", (10.0, None), 25.71588415, 25.8456335, 1815, 14.797352134, (60, 3970, 1875)),
    ],
)
def test_aiperf(
    folder: Path,
    name: str,
    load: tuple[float | None, int | None],
    ttft_ms: float,
    ttft_p50_ms: float,
    gaps: int,
    gap_ms: float,
    counted: tuple[int, int, int],
) -> None:
    result = read_foreign(folder / "aiperf" / name)
    (point,) = result.points
    assert (result.tool, result.version, result.model) == ("aiperf", "0.13.0", "toy")
    assert (result.url, result.is_emulated) == ("http://127.0.0.1:8431", True)
    assert (point.requests_per_s, point.concurrency) == load
    assert len(point.records) == counted[0]
    assert mean_ttft_ms(point) == pytest.approx(ttft_ms, abs=1e-5)
    assert median_ttft_ms(point) == pytest.approx(ttft_p50_ms, abs=1e-5)
    assert sum(len(record.gaps_s or []) for record in ok(point)) == gaps
    assert mean_gap_ms(point) == pytest.approx(gap_ms, abs=1e-5)
    assert (len(ok(point)), *tokens(point)) == counted


def test_aiperf_tells_failures_and_warm_up_apart(folder: Path) -> None:
    (point,) = read_foreign(folder / "aiperf" / "failed").points
    warm_up = [record for record in point.records if record.is_warmup]
    failed = [record for record in point.records if record.outcome != "ok" and not record.is_warmup]
    assert [record.outcome for record in warm_up].count("ok") == 2
    assert len(warm_up) == 3
    assert all(record.due_s < 0 for record in warm_up)
    assert {record.outcome for record in failed} == {"http_400"}
    assert len(failed) == 8
    assert "maximum context length is 8192 tokens" in failed[0].message
    assert len(ok(point)) == 4
    assert mean_ttft_ms(point) == pytest.approx(508.30154075, abs=1e-5)
    assert tokens(point) == (32202, 48)


# ---- guidellm: requests_made, time_to_first_token_ms mean, inter_token_latency_ms mean, prompt and output tokens


def test_guidellm(folder: Path) -> None:
    expected = {
        "short": [
            (1, 15.957164764, 12.380678149, (2445, 1385)),
            (4, 26.488518715, 13.708428851, (3066, 1298)),
            (8, 31.002658606, 15.324354172, (2787, 1269)),
            (16, 39.378082752, 18.151729306, (2697, 1271)),
        ],
        "long": [
            (1, 44.522416592, 13.077362805, (30778, 1065)),
            (4, 76.328241825, 19.771025633, (33886, 978)),
            (8, 100.248020887, 28.431788529, (32498, 949)),
            (16, 206.26039505, 42.177626121, (32026, 951)),
        ],
    }
    for name, loads in expected.items():
        result = read_foreign(folder / "guidellm" / f"{name}.json")
        assert (result.tool, result.version, result.model) == ("guidellm", "0.8.1", "toy")
        assert result.url == "http://127.0.0.1:8431"
        for point, (streams, ttft_ms, itl_ms, counted) in zip(result.points, loads, strict=True):
            assert (point.requests_per_s, point.concurrency) == (None, streams)
            assert len(ok(point)) == len(point.records) == 40
            assert mean_ttft_ms(point) == pytest.approx(ttft_ms, abs=1e-3)
            assert tokens(point) == counted
            assert {record.gaps_s is None for record in ok(point)} == {True}
            # Its mean ITL weighs each request by its gaps.
            decoded_s = sum((record.finished_s or 0) - (record.first_token_s or 0) for record in ok(point))
            assert decoded_s * 1e3 / (counted[1] - 40) == pytest.approx(itl_ms, abs=1e-3)


def test_guidellm_tells_when_requests_of_an_open_loop_were_due(folder: Path) -> None:
    (point,) = read_foreign(folder / "guidellm" / "failed.json").points
    assert (point.requests_per_s, point.concurrency, point.knows_due) == (3.0, None, True)
    assert mean_ttft_ms(point) == pytest.approx(1088.739050759, abs=1e-3)
    assert all((record.sent_s or 0) > record.due_s for record in point.records)
    first = point.records[0]
    # targeted_start 1795647299.0164423 and request_start 1795647299.0208611 of the file
    assert (first.sent_s or 0) - first.due_s == pytest.approx(0.0044188, abs=1e-6)
    failed = [record for record in point.records if record.outcome != "ok"]
    assert [record.outcome for record in failed] == ["http_400"] * 3
    assert "400 Bad Request" in failed[0].message
    assert tokens(point) == (72441, 108)


# ---- inference-perf: stage_N: load_summary, time_to_first_token mean and median, inter_token_latency mean


def test_inference_perf(folder: Path) -> None:
    expected = {
        "short": [
            ((None, 1), 24, 15.312143958, 15.1813265, 12.376274560, (56.125, 30.458333333)),
            ((None, 4), 40, 25.976373325, 26.5036785, 13.602452525, (56.075, 30.575)),
            ((None, 8), 48, 28.800336625, 29.783252001, 15.194487036, (57.291666667, 30.666666667)),
            ((None, 16), 60, 35.519919733, 36.1584945, 18.194258991, (59.766666667, 30.4)),
        ],
        "long": [
            ((None, 1), 24, 43.844888, 43.7089865, 13.081345522, (760.916666667, 22.958333333)),
            ((None, 4), 40, 66.41369665, 59.4785385, 19.639144371, (761.8, 22.9)),
        ],
        "rates": [
            ((5.0, None), 40, 37.6527829, 35.063755, 14.995120051, (376.275, 26.6)),
            ((9.0, None), 54, 44.335955056, 44.482761, 18.156670548, (384.0, 26.425925926)),
        ],
    }
    for name, loads in expected.items():
        result = read_foreign(folder / "inference_perf" / name)
        assert (result.tool, result.version, result.model, result.started_at) == ("inference-perf", None, "toy", "")
        assert result.engine is not None
        assert result.engine.name == "vllm"
        assert result.notes == ()
        for point, (load, requests, ttft_ms, ttft_p50_ms, itl_ms, mean_tokens) in zip(
            result.points, loads, strict=True
        ):
            assert (point.requests_per_s, point.concurrency) == load
            assert len(ok(point)) == len(point.records) == requests
            assert mean_ttft_ms(point) == pytest.approx(ttft_ms, abs=1e-5)
            assert median_ttft_ms(point) == pytest.approx(ttft_p50_ms, abs=1e-5)
            assert mean_gap_ms(point) == pytest.approx(itl_ms, abs=1e-5)
            assert [count / requests for count in tokens(point)] == pytest.approx(mean_tokens)


def test_inference_perf_tells_failures(folder: Path) -> None:
    (point,) = read_foreign(folder / "inference_perf" / "failed").points
    failed = [record for record in point.records if record.outcome != "ok"]
    assert [record.outcome for record in failed] == ["http_400"] * 4
    assert "maximum context length is 8192 tokens" in failed[0].message
    assert failed[0].input_tokens is None
    assert mean_ttft_ms(point) == pytest.approx(498.84140175, abs=1e-5)
    assert mean_gap_ms(point) == pytest.approx(62.315053386, abs=1e-5)
    assert tokens(point) == (64650, 96)


# ---- all of them


def every_result(folder: Path) -> list[ForeignResult]:
    files = [*folder.glob("vllm/*.json"), *folder.glob("guidellm/*.json")]
    folders = [path for tool in ("aiperf", "inference_perf") for path in (folder / tool).iterdir()]
    return [read_foreign(path) for path in (*files, *folders)]


def test_every_result_tells_what_it_does_not_know_and_begins_at_0(folder: Path) -> None:
    results = every_result(folder)
    assert {result.tool for result in results} == {"vllm bench serve", "guidellm", "aiperf", "inference-perf"}
    for result in results:
        assert result.not_told
        for point in result.points:
            counted = [record for record in point.records if not record.is_warmup]
            assert min(record.due_s for record in counted) == 0
            assert [record.index for record in point.records] == list(range(len(point.records)))
            assert {record.asked_input_tokens for record in counted} == {None}
            assert (point.requests_per_s is None) != (point.concurrency is None)


def test_a_summary_leads_to_the_requests_beside_it(folder: Path) -> None:
    of_folder = read_foreign(folder / "aiperf" / "short-c1")
    assert read_foreign(folder / "aiperf" / "short-c1" / "profile_export_aiperf.json") == of_folder
    assert read_foreign(folder / "aiperf" / "short-c1" / "profile_export.jsonl") == of_folder


def test_aiperf_files_with_a_prefix_of_their_own_are_found(folder: Path, tmp_path: Path) -> None:
    source = folder / "aiperf" / "short-c1"
    for name, ours in (
        ("profile_export.jsonl", "mine.jsonl"),
        ("profile_export_aiperf.json", "mine.json"),
        ("server_metrics_export.json", "mine_server_metrics.json"),
    ):
        (tmp_path / ours).write_bytes((source / name).read_bytes())
    found = read_foreign(tmp_path / "mine.json")
    assert found.path.name == "mine.jsonl"
    assert found.is_emulated
    assert found.points == read_foreign(source).points
