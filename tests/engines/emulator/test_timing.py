"""When tokens are sent: by the server's own record, against step times added up by hand."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from planner.engines.emulator.process import emulating
from tests.engines.emulator.conftest import Client

STEP_TIME_S = {"base": 0.02, "per_prefill_token": 0.001, "per_sequence": 0.005}


def serve(profile: Path, record: Path, *bodies: dict[str, Any]) -> list[dict[str, Any]]:
    """Asks all at once; the server's record in the order in which the requests ended."""
    with emulating(profile, record=record) as url, ThreadPoolExecutor(len(bodies)) as pool:
        client = Client(url)
        answers = list(pool.map(lambda body: client.ask("/v1/completions", {**body, "stream": True}), bodies))
    for body, answer in zip(bodies, answers, strict=True):
        assert len(answer.events) == body["max_tokens"]
    return [json.loads(line) for line in record.read_text().splitlines()]


def test_a_lone_request_keeps_the_step_times(write_profile: Callable[..., Path], tmp_path: Path) -> None:
    began_s = time.monotonic()
    (line,) = serve(write_profile(STEP_TIME_S), tmp_path / "r", {"prompt": [1] * 10, "max_tokens": 12})
    ended_s = time.monotonic()
    assert (line["prompt_tokens"], line["output_tokens"], line["outcome"]) == (10, 12, "finished")
    sent_s = line["token_monotonic_s"]
    # This process and the server read the same clock.
    assert began_s < line["received_monotonic_s"] <= line["joined_monotonic_s"] < sent_s[0] < sent_s[-1] < ended_s
    assert len(sent_s) == 12
    # Idle until then, so that it joined at once: one step for ten prompt tokens, then one per token.
    due_s = [line["joined_monotonic_s"] + 0.030 + 0.025 * number for number in range(12)]
    late_s = [sent - due for sent, due in zip(sent_s, due_s, strict=True)]
    assert min(late_s) > -1e-6
    assert median(late_s) < 0.025, "delays do not add up"


def test_time_outside_the_engine_comes_before_the_first_step(
    write_profile: Callable[..., Path], tmp_path: Path
) -> None:
    profile = write_profile(STEP_TIME_S, request_overhead_s=0.5)
    (line,) = serve(profile, tmp_path / "r", {"prompt": [1], "max_tokens": 2})
    assert line["joined_monotonic_s"] == pytest.approx(line["received_monotonic_s"] + 0.5, abs=1e-6)
    assert line["token_monotonic_s"][0] >= line["joined_monotonic_s"] + 0.021


def test_load_slows_every_stream_down(write_profile: Callable[..., Path], tmp_path: Path) -> None:
    bodies = [{"prompt": [1], "max_tokens": 12}] * 8
    lines = serve(write_profile(STEP_TIME_S), tmp_path / "r", *bodies)
    gaps_s = [
        later - earlier
        for line in lines
        for earlier, later in zip(line["token_monotonic_s"], line["token_monotonic_s"][1:], strict=False)
    ]
    # Eight streams side by side for most of the time: 20 ms and 5 ms for each; alone it would be 25 ms.
    assert len(gaps_s) == 8 * 11
    assert median(gaps_s) == pytest.approx(0.060, rel=0.25)


def test_who_does_not_fit_waits_for_its_turn(write_profile: Callable[..., Path], tmp_path: Path) -> None:
    bodies = [{"prompt": [1], "max_tokens": 4}] * 2
    first, second = serve(write_profile(STEP_TIME_S, max_num_seqs=1), tmp_path / "r", *bodies)
    # One after the other: a step for the prompt, three for the other tokens, and then the next request's.
    assert second["joined_monotonic_s"] == pytest.approx(first["joined_monotonic_s"] + 0.021 + 3 * 0.025, abs=1e-6)
    assert second["received_monotonic_s"] < second["joined_monotonic_s"]


def test_a_client_that_goes_away_is_forgotten(write_profile: Callable[..., Path], tmp_path: Path) -> None:
    record = tmp_path / "r"
    with emulating(write_profile(max_num_seqs=1), record=record) as url:
        client = Client(url)
        for is_streamed in (True, False):
            leaving = client.connect()
            body = {"prompt": [1], "max_tokens": 900, "stream": is_streamed}
            leaving.request("POST", "/v1/completions", json.dumps(body), {"X-Request-Id": f"leaving {is_streamed}"})
            if is_streamed:
                response = leaving.getresponse()
                assert response.read1().startswith(b"data: ")
                response.close()
            else:
                while (
                    "vllm:num_requests_running{" + 'engine="0",model_name="toy"} 1.0' not in client.ask("/metrics").text
                ):
                    time.sleep(0.005)
            leaving.close()
            # The only place is free again; else this would wait for 900 tokens of the one before.
            assert client.ask("/v1/completions", {"prompt": [1], "max_tokens": 2}).status == 200
        metrics = client.ask("/metrics").text
    assert 'vllm:request_success_total{engine="0",finished_reason="abort",model_name="toy"} 2.0' in metrics
    assert 'vllm:num_requests_running{engine="0",model_name="toy"} 0.0' in metrics
    assert 'vllm:kv_cache_usage_perc{engine="0",model_name="toy"} 0.0' in metrics
    lines = {line["request_id"]: line for line in map(json.loads, record.read_text().splitlines())}
    assert len(lines) == 4
    for name in ("leaving True", "leaving False"):
        assert lines[name]["outcome"] == "aborted"
        assert lines[name]["output_tokens"] == len(lines[name]["token_monotonic_s"]) < 900
    assert sum(line["outcome"] == "finished" for line in lines.values()) == 2
