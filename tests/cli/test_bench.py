"""`planner bench` as its users call it, against a server of known truth."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from commands import Done, planner
from known_server import KnownServer

from planner.store.runs import read_run
from planner.store.schedules import read_schedule

SHORT = ("--input-tokens", "64", "--output-tokens", "5")
LONG = ("--rate", "20", "--json", "--duration-s", "600", "--out", "run")
CANARY = "sk-canary-0123456789"


def bench(folder: Path, *arguments: str, **environment: str) -> Done:
    with mock.patch.dict(os.environ, environment):
        return planner(folder, "bench", *arguments)


def measured(folder: Path, server: KnownServer, *arguments: str) -> dict[str, Any]:
    done = bench(folder, "--url", server.url, *SHORT, *arguments, "--json", "--out", "run")
    data: dict[str, Any] = json.loads(done.stdout)
    # A machine that is busy with other things makes a client that does not keep up, and that must say so.
    clients = [point["client"] for point in data.get("points", [data])]
    assert done.returncode == (4 if any(client["is_saturated"] for client in clients) else 0), done.stderr
    return data


def test_processes_share_one_schedule(tmp_path: Path) -> None:
    with KnownServer() as server:
        data = measured(tmp_path, server, "--rate", "40", "--requests", "50", "--processes", "2")
        assert len(server.log) == 50
    assert data["requests"] == {"sent": 50, "ok": 50, "failed": 0, "cancelled": 0}
    ((kept,), run) = (read_run(tmp_path / "run").requests, read_run(tmp_path / "run").run)
    assert sorted(entry.index for entry in kept) == list(range(50))
    assert run.requests_sent_in_all == 50


def test_mistakes_found_late_leave_no_run_behind(tmp_path: Path) -> None:
    with KnownServer() as server:
        for arguments, told in (
            (("--rate", "1e-6", "--duration-s", "1"), "no request falls into it"),
            (("--rate", "5", "--requests", "5", "--input-tokens", "99999"), "max_model_len is 4096"),
        ):
            done = bench(tmp_path, "--url", server.url, *arguments, "--out", "run")
            assert done.returncode == 2
            assert told in done.stderr
        assert server.log == []
        measured(tmp_path, server, "--rate", "20", "--requests", "5")


def test_more_than_can_be_drawn_is_told_with_the_other_mistakes(tmp_path: Path) -> None:
    unreachable = ("--url", "http://127.0.0.1:1", "--processes", "0")
    done = bench(tmp_path, *unreachable, "--rate", "5", "--requests", "999999999")
    assert "--requests: must be at most 50,000,000; given: 999999999" in done.stderr
    assert "--processes" in done.stderr
    done = bench(tmp_path, *unreachable, "--rate", "5", "--duration-s", "1e12")
    assert "--rate for --duration-s: must be at most 25,000,000 requests on average" in done.stderr


def test_schedule_of_a_closed_loop_by_time_is_kept_as_far_as_it_was_used(tmp_path: Path) -> None:
    spread = ("--input-tokens", "lognormal:p50=40,p95=90", "--output-tokens", "3")
    with KnownServer() as server:
        arguments = ("--concurrency", "2", "--duration-s", "1", "--think-time-s", "0.1", *spread)
        done = bench(tmp_path, "--url", server.url, *arguments, "--json", "--out", "run")
    assert done.returncode in (0, 4), done.stderr
    loaded, kept = read_run(tmp_path / "run"), read_schedule(tmp_path / "run" / "schedule-000.csv")
    assert kept.think_s is not None
    assert len(kept.input_tokens) == 1 + max(entry.index for entry in loaded.requests[0]) >= 4
    for entry in loaded.requests[0]:
        asked = (kept.input_tokens[entry.index], kept.output_tokens[entry.index], kept.think_s[entry.index])
        assert asked == (entry.asked_input_tokens, entry.asked_output_tokens, 0.1)
    assert loaded.run.points[0].prompt_salt


def test_processes_have_a_limit(tmp_path: Path) -> None:
    done = bench(tmp_path, "--url", "http://127.0.0.1:1", "--rate", "1", "--processes", "0", "--seed", "1")
    assert done.returncode == 2
    assert "--processes: must lie between 1 and 64; given: 0" in done.stderr


def test_counts_and_lengths_are_those_that_the_server_saw(tmp_path: Path) -> None:
    with KnownServer(gap_s=0.01) as server:
        data = measured(tmp_path, server, "--rate", "40", "--requests", "50", "--warmup-s", "0.5")
    assert data["requests"] == {"sent": 50, "ok": 50, "failed": 0, "cancelled": 0}
    assert data["offered_requests_per_s"] == 40
    assert data["run"] == "run"
    served = server.log[-50:]
    assert len(server.log) > 50, "the warm-up comes on top"
    loaded = read_run(tmp_path / "run")
    (kept,) = loaded.requests
    assert len(kept) == len(server.log), "the warm-up was part of the load, so it is kept"
    records = [entry for entry in kept if not entry.is_warmup]
    assert (loaded.run.status, loaded.run.basis, loaded.run.server.engine.name) == ("complete", "measured", "vllm")
    # The truth, told by the server: who sent 5 tokens 10 ms apart after at least 10 ms.
    assert sorted(entry.input_tokens or 0 for entry in records) == sorted(entry.input_tokens for entry in served)
    assert {entry.output_tokens for entry in records} == {5}
    span_s = max(entry.token_s[-1] for entry in served) - min(entry.arrived_s for entry in served)
    assert data["achieved_requests_per_s"] == pytest.approx(50 / span_s, rel=0.1)
    true_gaps = [b - a for entry in served for a, b in zip(entry.token_s, entry.token_s[1:], strict=False)]
    assert data["itl_s"]["p50"] == pytest.approx(sorted(true_gaps)[len(true_gaps) // 2], rel=0.25)
    assert data["ttft_s"]["p50"] >= 0.01
    assert data["itl_s"]["n"] == len(true_gaps) == 50 * 4
    assert (data["ttft_s"]["ci95_p50"] is None, data["ttft_s"]["ci95_p95"]) == (False, None), "50 are too few for p95"
    # What the server saw come in: 49 gaps.
    arrived_s = sorted(entry.arrived_s for entry in served)
    assert data["arrivals"]["requests_per_s"] == pytest.approx(49 / (arrived_s[-1] - arrived_s[0]), rel=0.05)
    assert loaded.run.definitions["tpot_s"].startswith("Time per output token: (last − first token)")
    assert len({entry.body["messages"][0]["content"][:40] for entry in server.log}) == len(server.log)


def test_latency_counts_from_when_a_request_was_due(tmp_path: Path) -> None:
    # One at a time, 10 ms each, and twice as many: the last of 200 waits for a second.
    with KnownServer(first_s=0.01, queue=True) as server:
        data = measured(tmp_path, server, "--arrival", "constant", "--rate", "200", "--requests", "200")
    began_s = server.log[0].arrived_s
    true_s = sorted(entry.token_s[0] - (began_s + number / 200) for number, entry in enumerate(server.log))
    assert true_s[-1] > 0.9
    assert data["ttft_s"]["p50"] == pytest.approx(true_s[100], abs=0.03)
    assert data["ttft_s"]["p99"] == pytest.approx(true_s[198], abs=0.03)
    assert data["is_saturated"] is True
    assert data["is_steady"] is False


def test_closed_loop_and_completions(tmp_path: Path) -> None:
    with KnownServer() as server:
        data = measured(tmp_path, server, "--concurrency", "4", "--requests", "20", "--endpoint", "completions")
        assert {entry.path for entry in server.log} == {"/v1/completions"}
        assert len({entry.connection for entry in server.log}) <= 4, "connections are kept"
    assert (data["offered_requests_per_s"], data["concurrency"]) == (None, 4)


def test_trace_is_replayed(tmp_path: Path) -> None:
    rows = ["timestamp,input_tokens,output_tokens", "10.4,40,3", "10.0,30,2", "10.2,35,1", "99,1,1"]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    with KnownServer() as server:
        done = bench(tmp_path, "--url", server.url, "--trace", "t.csv", "--requests", "3", "--json", "--out", "run")
    assert done.returncode == 0, done.stderr
    (records,) = read_run(tmp_path / "run").requests
    assert [entry.due_s for entry in records] == [0.0, 0.2, 0.4]
    assert [entry.asked_input_tokens for entry in records] == [30, 35, 40]
    assert [entry.output_tokens for entry in records] == [2, 1, 3]


def test_sweep_measures_closed_loops_and_rates_below_their_best(tmp_path: Path) -> None:
    with KnownServer(first_s=0.2) as server:  # never full: four times what it runs at once are the most
        arguments = ("--sweep", "--duration-s", "0.4", "--slo", "ttft_p95_s=5", "--limits", "max_num_seqs=8")
        data = measured(tmp_path, server, *arguments)
    users = [point["concurrency"] for point in data["points"] if point["concurrency"]]
    rates = [point["offered_requests_per_s"] for point in data["points"] if point["concurrency"] is None]
    best = data["sweep"]["saturation"]
    assert list(dict.fromkeys(users)) == [1, 2, 4, 8, 16, 32]
    assert users.count(32) == 2, "the best twice"
    assert best["users"] == 32
    assert rates[:4] == pytest.approx([share * best["requests_per_s"] for share in (0.25, 0.5, 0.75, 0.9)], rel=0.01)
    assert data["sweep"]["rate_within_slo"]["met_requests_per_s"] == max(rates)
    assert data["sweep"]["is_complete"]
    assert all(point["goodput_fraction"] == 1 for point in data["points"])
    loaded = read_run(tmp_path / "run")
    assert [len(records) for records in loaded.requests] == [point["requests"]["sent"] for point in data["points"]]


class Overloaded(KnownServer):
    """Refuses all on the connections that are open when a fourth request comes while three are under way."""

    refused: range = range(0)

    def _mode(self, connection: int) -> str:
        if not self.refused and self.in_flight >= 3:
            self.refused = range(self.connections + 1)
        return "http_429" if connection in self.refused else super()._mode(connection)


def test_a_sweep_goes_on_below_a_load_that_is_refused(tmp_path: Path) -> None:
    with Overloaded(first_s=0.005) as server:
        arguments = ("--sweep", "--requests", "200", "--limits", "max_num_seqs=1", *SHORT, "--json", "--out", "run")
        done = bench(tmp_path, "--url", server.url, *arguments)
    assert done.returncode == 4
    data = json.loads(done.stdout)
    users = [point["concurrency"] for point in data["points"] if point["concurrency"]]
    # On a busy machine the client may not keep up, and then a load is measured again.
    assert list(dict.fromkeys(users)) == [1, 2, 4, 3], "between the load that was given up and the best"
    assert users.count(4) == 1
    assert users.count(data["sweep"]["saturation"]["users"]) == 2
    assert len(data["points"]) == len(users) + 4, "four rates come after them"
    assert data["sweep"]["saturation"]["users"] in (2, 3)
    assert "4 users: given up: 50 requests failed one after the other" in done.stderr
    assert read_run(tmp_path / "run").run.status == "complete"


def test_a_sweep_without_room_for_a_load_is_refused(tmp_path: Path) -> None:
    done = bench(tmp_path, "--url", "http://127.0.0.1:9", "--sweep", "--time-budget-s", "2", "--duration-s", "5")
    assert done.returncode == 2
    assert "--time-budget-s: must have room for one load; given: 2" in done.stderr


def test_a_sweep_of_users_alone_finds_how_many_are_within_the_service_level(tmp_path: Path) -> None:
    with KnownServer() as server:
        arguments = ("--sweep", "--arrival", "closed", "--requests", "40", "--slo", "ttft_p95_s=1")
        done = bench(tmp_path, "--url", server.url, *SHORT, *arguments, "--limits", "max_num_seqs=1", "--out", "run")
    assert "within the service level: up to 4 users" in done.stdout
    assert "saturation: " in done.stdout
    sweep = json.loads((tmp_path / "run" / "run.json").read_text())["sweep"]
    assert sweep["users_within_slo"] == {"met_users": 4, "missed_users": None}
    assert sweep["rate_within_slo"] is None


def test_a_sweep_ends_when_its_time_is_over(tmp_path: Path) -> None:
    with KnownServer(first_s=0.05) as server:
        arguments = ("--sweep", "--requests", "20", "--time-budget-s", "1.5")
        data = measured(tmp_path, server, *arguments)
    assert not data["sweep"]["is_complete"]
    assert 1 <= len(data["points"]) <= 4


def test_a_sweep_waits_for_no_answer_beyond_its_time(tmp_path: Path) -> None:
    with KnownServer(first_s=60) as server:
        arguments = ("--sweep", "--duration-s", "0.5", "--warmup-s", "0", "--time-budget-s", "1")
        data = measured(tmp_path, server, *arguments)
    assert [point["requests"]["cancelled"] for point in data["points"]] == [1]
    assert data["sweep"]["spent_s"] < 30
    assert not data["sweep"]["is_complete"]
    assert [point.is_cut for point in read_run(tmp_path / "run").run.points] == [True]


def test_no_warmup_is_none_in_a_sweep_too(tmp_path: Path) -> None:
    with KnownServer(first_s=0.05) as server:
        measured(tmp_path, server, "--sweep", "--warmup-s", "0", "--time-budget-s", "3")
    records = [record for point in read_run(tmp_path / "run").requests for record in point]
    assert records
    assert not any(record.is_warmup for record in records)


def test_table_and_warnings_for_people(tmp_path: Path) -> None:
    with KnownServer("several") as server:
        arguments = ("--sweep", "--rate", "20", "--concurrency", "1,2", "--requests", "5")
        done = bench(tmp_path, "--url", f"{server.url}/v1", *SHORT, *arguments)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:4]] == ["1", "2", "20/s"]
    assert "2.5 tokens per chunk" in done.stderr
    (run,) = tmp_path.iterdir()
    assert run.name.startswith("bench-m-2")
    assert f"wrote {run.name}" in done.stderr


def test_failures_exit_4_with_what_was_measured(tmp_path: Path) -> None:
    with KnownServer("ok", "ok", "ok", "http_429", "truncated") as server:
        arguments = ("--url", server.url, *SHORT, "--rate", "100", "--requests", "50", "--json")
        done = bench(tmp_path, *arguments, "--out", "run")
        allowed = bench(tmp_path, *arguments, "--max-error-fraction", "0.5")
    assert (done.returncode, allowed.returncode) == (4, 0)
    data = json.loads(done.stdout)
    assert data["requests"] == {"sent": 50, "ok": 30, "failed": 20, "cancelled": 0}
    assert data["errors"] == {"http_429": 10, "truncated": 10}
    assert data["goodput_fraction"] is None
    assert "20 of 50 requests failed; --max-error-fraction allows 0.05" in done.stderr
    (records,) = read_run(tmp_path / "run").requests
    assert len(records) == 50


def test_storm_of_errors_ends_early(tmp_path: Path) -> None:
    with KnownServer("http_500") as server:
        server.has_tokenize = True
        done = bench(tmp_path, "--url", server.url, *SHORT, "--concurrency", "1", "--requests", "9999", "--out", "run")
        assert len(server.log) == 50
    assert done.returncode == 4
    assert read_run(tmp_path / "run").run.status == "failed"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interruption_keeps_what_was_measured(tmp_path: Path, stop: signal.Signals) -> None:
    with KnownServer(first_s=0.1) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "planner", "bench", "--url", server.url, *SHORT, *LONG],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(server.log) < 15 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(stop)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    data = json.loads(out)
    assert data["requests"]["ok"] >= 10
    assert data["requests"]["sent"] == len(server.log)
    loaded = read_run(tmp_path / "run")
    assert loaded.run.status == "interrupted"
    assert len(loaded.requests[0]) == data["requests"]["sent"]


def test_secret_is_sent_and_shown_nowhere(tmp_path: Path) -> None:
    with KnownServer("http_401", "ok") as server:  # its errors repeat the header
        arguments = ("--rate", "50", "--requests", "20", "--out", "run", "--header", "Authorization=KEY")
        done = bench(tmp_path, "--url", server.url, *SHORT, *arguments, KEY=f"Bearer {CANARY}")
        user = server.url.replace("http://", f"http://me:{CANARY}@")
        also = bench(tmp_path, "--url", user, *SHORT, "--rate", "50", "--requests", "5", "--out", "run2")
        assert {entry.headers["authorization"] for entry in server.log[:20]} == {f"Bearer {CANARY}"}
        assert all(entry.headers["authorization"].startswith("Basic ") for entry in server.log[20:])
        told = server.log[-1].headers["authorization"]
    assert (done.returncode, also.returncode) == (4, 4)
    wrong = bench(tmp_path, "--url", f"http://me:{CANARY}@[", "--rate", "1", "--header", f"Authorization={CANARY}")
    assert wrong.returncode == 2
    kept = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    everything = kept + "".join(run.stdout + run.stderr for run in (done, also, wrong))
    assert "you sent" in everything
    assert "canary" not in everything
    assert told.removeprefix("Basic ") not in everything


def test_server_that_is_not_there_exits_3(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = bench(tmp_path, "--url", url, "--rate", "1")
    assert done.returncode == 3
    assert f"{url}/health: the server cannot be reached: Connection refused" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_unknown_model_exits_2_and_leaves_nothing(tmp_path: Path) -> None:
    with KnownServer() as server:
        done = bench(tmp_path, "--url", server.url, "--rate", "1", "--model", "other")
        large = bench(tmp_path, "--url", server.url, "--rate", "1", "--input-tokens", "4000", "--requests", "1")
    assert done.returncode == large.returncode == 2
    assert done.stderr == f"--model other: {server.url}/v1/models does not offer it; it offers: m\n"
    assert "4128 tokens together, but the server's max_model_len is 4096" in large.stderr
    assert server.log == []


def test_existing_run_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with KnownServer() as server:
        done = bench(tmp_path, "--url", server.url, "--rate", "1", "--out", "run")
        assert server.asked == []
    assert done.returncode == 2
    assert "--out run: holds a run already" in done.stderr
