"""`planner bench` by schedules of every kind: what is kept of them, what the server saw, and replays."""

import json
import os
from pathlib import Path
from unittest import mock

import pytest
from commands import Done, planner
from known_server import KnownServer

from planner.schema.benchmark import RequestRecord, Run
from planner.store.runs import read_run
from planner.store.schedules import SavedSchedule, read_schedule

SHORT = ("--input-tokens", "lognormal:p50=40,p95=90", "--output-tokens", "3")


def bench(folder: Path, server: KnownServer, *arguments: str, out: str = "run") -> Done:
    with mock.patch.dict(os.environ, {}):
        done = planner(folder, "bench", "--url", server.url, *arguments, "--json", "--out", out)
    # A machine that is busy with other things makes a client that does not keep up, and that must say so.
    assert done.returncode in (0, 4), done.stderr
    return done


def kept(folder: Path, out: str = "run") -> tuple[Run, list[RequestRecord], SavedSchedule]:
    loaded = read_run(folder / out)
    return loaded.run, list(loaded.requests[0]), read_schedule(folder / out / "schedule-000.csv")


def test_schedule_is_kept_as_it_was_sent(tmp_path: Path) -> None:
    with KnownServer() as server:
        done = bench(tmp_path, server, *SHORT, "--rate", "20..100", "--duration-s", "1", "--warmup-s", "1")
    run, records, schedule = kept(tmp_path)
    assert json.loads(done.stdout)["offered_requests_per_s"] == 60
    assert (run.workload.arrival, run.workload.rate, run.workload.duration_s) == ("poisson", "20..100", 1.0)
    assert schedule.timestamp_s is not None
    assert 35 < schedule.timestamp_s.size - schedule.warmup < 90, "60 on average"
    assert 5 < schedule.warmup < 40, "20 on average"
    sent = sorted(records, key=lambda entry: (not entry.is_warmup, entry.index))
    assert [entry.due_s for entry in sent] == pytest.approx(schedule.timestamp_s.tolist(), abs=2e-6)
    assert [entry.asked_input_tokens for entry in sent] == schedule.input_tokens.tolist()
    assert [entry.is_warmup for entry in sent] == [row < schedule.warmup for row in range(len(sent))]


def test_schedule_of_a_run_can_be_replayed_at_another_speed(tmp_path: Path) -> None:
    with KnownServer() as server:
        onoff = ("--arrival", "onoff", "--bursts", "factor=2,on_s=0.1,off_s=0.1", "--rate", "60")
        bench(tmp_path, server, *SHORT, *onoff, "--duration-s", "1", "--warmup-s", "0.2")
        server.log.clear()
        again = bench(tmp_path, server, "--trace", "run/schedule-000.csv", "--trace-speed", "2", out="again")
    run, _, before = kept(tmp_path)
    assert (run.workload.arrival, run.workload.bursts) == ("onoff", "factor=2,on_s=0.1,off_s=0.1")
    run, records, after = kept(tmp_path, "again")
    assert (run.workload.arrival, run.workload.trace_speed) == ("trace", 2.0)
    assert before.timestamp_s is not None
    assert after.timestamp_s is not None
    due_s = before.timestamp_s[before.warmup :]
    assert after.warmup == 0
    assert after.timestamp_s.tolist() == pytest.approx(((due_s - due_s[0]) / 2).tolist(), abs=2e-6)
    assert after.input_tokens.tolist() == before.input_tokens[before.warmup :].tolist()
    assert len(server.log) == len(records) == due_s.size
    rate_per_s = 2 * (due_s.size - 1) / (due_s[-1] - due_s[0])
    assert json.loads(again.stdout)["offered_requests_per_s"] == pytest.approx(rate_per_s, rel=1e-3)


def test_closed_loop_keeps_its_schedule_where_requests_end_it(tmp_path: Path) -> None:
    with KnownServer() as server:
        users = ("--concurrency", "2", "--think-time-s", "exponential:mean=0.02")
        bench(tmp_path, server, *SHORT, *users, "--requests", "10")
        bench(tmp_path, server, *SHORT, *users, "--duration-s", "0.3", out="timed")
        refused = planner(tmp_path, "bench", "--url", server.url, "--trace", "run/schedule-000.csv")
    run, records, schedule = kept(tmp_path)
    assert (run.workload.think_time_s, run.workload.requests, run.workload.duration_s) == (users[3], 10, None)
    assert schedule.timestamp_s is None
    assert schedule.think_s is not None
    assert schedule.think_s.size == 10
    assert schedule.input_tokens.tolist() == [entry.asked_input_tokens for entry in sorted(records, key=by_index)]
    # Two users cannot be done before the one who thought less.
    span_s = max(entry.finished_s or 0.0 for entry in records)
    assert span_s >= schedule.think_s.sum() / 2 - schedule.think_s.max()
    # The one that ended by time is kept as far as it was used, and is the same as far as both go.
    timed = read_schedule(tmp_path / "timed" / "schedule-000.csv")
    both = min(timed.input_tokens.size, 10)
    assert both >= 2
    assert timed.think_s is not None
    assert timed.think_s[:both].tolist() == schedule.think_s[:both].tolist()
    assert refused.returncode == 2
    assert "run/schedule-000.csv:1: is the schedule of a closed loop" in refused.stderr


def by_index(entry: RequestRecord) -> int:
    return entry.index


def test_damaged_schedule_exits_2_with_line_and_field(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("timestamp,input_tokens,output_tokens,is_warmup\n0,1,1,0\n1,0,1,0\n")
    done = planner(tmp_path, "bench", "--url", "http://127.0.0.1:9", "--trace", "s.csv")
    assert done.returncode == 2
    assert done.stderr == "s.csv:3: input_tokens: must be a whole number from 1 to 1,000,000,000; given: '0'\n"
