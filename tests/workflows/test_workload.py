"""Arrivals of the simulator as its users ask for them, and traces read for a replay."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import planner

from planner.errors import InputFileError, UsageError
from planner.workflows.workload import ArrivalOptions, TraceOptions, drawn_arrivals, parse_load, read_trace

FAST = {
    "schema": "planner.profile/1",
    "name": "fast",
    "basis": "estimated",
    "step_time_s": {"base": 0.01},
    "limits": {
        "max_num_seqs": 10,
        "max_num_batched_tokens": 8192,
        "kv_cache_tokens": 100_000,
        "block_tokens": 16,
        "max_model_len": 999,
    },
}
"""Ten at a time, 10 ms each for an answer of one token: 1000 requests/s."""


def load(**options: object) -> ArrivalOptions | TraceOptions:
    asked: dict[str, object] = {"arrival": "poisson", "rate": None, "burstiness": None, "requests": None}
    asked |= {"input_tokens": "10", "output_tokens": "1", "duration_s": None, "trace": None}
    return parse_load(**(asked | options))  # type: ignore[arg-type]


def mistakes(**options: object) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load(**options)
    return str(caught.value).splitlines()


def arrivals(**options: object) -> np.ndarray:
    asked = load(**options)
    assert isinstance(asked, ArrivalOptions)
    return np.asarray(drawn_arrivals(asked, 1).arrival_s)


def test_ramps_and_stages_arrive_where_they_must() -> None:
    ramp = arrivals(arrival="constant", rate="0..20", duration_s=100.0)
    assert ramp == pytest.approx(np.sqrt(10 * np.arange(1000)))
    stages = arrivals(arrival="constant", rate="2:10,0:10,4:5")
    assert stages.tolist() == [*np.arange(20) / 2, *(20 + np.arange(20) / 4)]


def test_bursts_are_drawn() -> None:
    times = arrivals(arrival="onoff", rate="50", bursts="factor=5,on_s=1,off_s=4", requests=20_000)
    counts, _ = np.histogram(times, bins=np.arange(0, times[-1], 1.0))
    assert times.size / times[-1] == pytest.approx(50, rel=0.2)
    assert counts.var() / counts.mean() > 20, "a Poisson process has 1"


def test_all_mistakes_at_once() -> None:
    told = mistakes(arrival="onoff", rate="2-x", burstiness=-1.0, output_tokens="0", requests=0, trace_speed=2.0)
    starts = ["--trace-speed", "--burstiness", "--bursts", "--requests", "--burstiness", "--rate", "--output-tokens"]
    assert [line.split(":")[0] for line in told] == starts
    assert mistakes(rate="2..4") == ["--duration-s: is missing, and a ramp needs it"]
    assert mistakes(arrival="often", rate="1")[0].startswith(
        "--arrival: must be one of poisson, constant, gamma, onoff, trace"
    )
    assert mistakes(input_tokens=None) == ["--rate: is missing", "--input-tokens: is missing"]
    of_trace = {"input_tokens": None, "output_tokens": None, "trace": Path("t.csv")}
    assert mistakes(**of_trace, trace_speed=-1.0, bursts="factor=2") == [
        "--bursts: not used with a trace, which has its own",
        "--trace-speed: must be from 0.001 to 1e+06 times; given: -1",
    ]


def test_traces_run_at_a_scaled_clock(tmp_path: Path) -> None:
    rows = ["timestamp,input_tokens,output_tokens", "100,40,3", "108,30,2", "104,0,1"]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    time_s, prompt, output = read_trace(tmp_path / "t.csv", 4.0)
    assert (time_s.tolist(), prompt.tolist(), output.tolist()) == ([0, 1, 2], [40, 1, 30], [3, 1, 2])


def test_warm_up_of_a_schedule_is_no_part_of_a_replay(tmp_path: Path) -> None:
    header = "timestamp,input_tokens,output_tokens,is_warmup\n"
    (tmp_path / "s.csv").write_text(header + "-2.5,1,1,1\n1,40,3,0\n3,30,2,0\n")
    time_s, prompt, _ = read_trace(tmp_path / "s.csv")
    assert (time_s.tolist(), prompt.tolist()) == ([0, 2], [40, 30])
    (tmp_path / "s.csv").write_text(header + "-2.5,1,1,1\n")
    with pytest.raises(InputFileError, match="is_warmup: must be 0 in one row at least"):
        read_trace(tmp_path / "s.csv")


def test_simulated_ramp_tells_that_it_peaks_above_what_can_be_served(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps(FAST))
    arguments = ("--profile", "p.json", "--input-tokens", "10", "--output-tokens", "1", "--json", "--quiet")
    done = planner(tmp_path, "simulate", *arguments, "--rate", "0..1800", "--duration-s", "10")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["offered_requests_per_s"] == 900
    assert data["requests"]["sent"] == pytest.approx(9000, abs=300)
    assert data["capacity_requests_per_s"] == pytest.approx(1000, rel=0.05)
    assert "the load peaks at 1800 requests/s" in done.stderr
    # Above 1000/s from 5.6 s on: at the end 800·4.4/2 requests wait, at 1000/s.
    assert data["queue_s"]["p99"] == pytest.approx(1.78, rel=0.1)
    assert data["is_steady"] is False
    (tmp_path / "t.csv").write_text("timestamp,input_tokens,output_tokens\n0,9,1\n4,9,1\n8,9,1\n")
    traced = planner(tmp_path, "simulate", "--profile", "p.json", "--trace", "t.csv", "--trace-speed", "4", "--json")
    assert json.loads(traced.stdout)["offered_requests_per_s"] == 1.0
