"""`planner bench` against servers that fail it in every way: nothing is lost, miscounted or hidden."""

import json
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commands import Done, planner
from faults import FAULTS
from known_server import KnownServer

from planner.engines.openai_http import OpenAIClient
from planner.schema.benchmark import RequestRecord
from planner.store.runs import read_run

pytestmark = pytest.mark.slow

SHORT = ("--input-tokens", "64", "--output-tokens", "5", "--json", "--out", "run")
ENDURING = ("--max-error-fraction", "1", "--timeout-s", "5", "--ttft-timeout-s", "2", "--idle-timeout-s", "1.5")
APART = {"hang_for_all"}
"""Told apart by a timeout that is set for it alone."""
ROWS = sorted({fault.row for fault in FAULTS.values()}, key=lambda row: int(row[1:]))


def bench(folder: Path, server: KnownServer, *arguments: str) -> tuple[Done, dict[str, Any], list[RequestRecord]]:
    done = planner(folder, "bench", "--url", server.url, *SHORT, *arguments)
    assert done.returncode in (0, 4), done.stderr
    (records,) = read_run(folder / "run").requests
    return done, json.loads(done.stdout), list(records)


def reconcile(server: KnownServer, data: dict[str, Any], records: list[RequestRecord]) -> None:
    """Counts, kinds and tokens are those of the server's own log."""
    expected = Counter(FAULTS[served.mode].outcome for served in server.log)
    counts = data["requests"]
    assert counts["sent"] == len(server.log) == len(records) == counts["ok"] + counts["failed"] + counts["cancelled"]
    assert counts["cancelled"] == 0
    assert counts["ok"] == expected.pop("ok", 0)
    assert data["errors"] == dict(sorted(expected.items()))
    assert Counter(entry.outcome for entry in records) - Counter(ok=counts["ok"]) == expected
    whole = [served for served in server.log if FAULTS[served.mode].outcome == "ok"]
    told = [(served.usage or {}).get("completion_tokens") if type(served.usage) is dict else None for served in whole]
    known = Counter(count if type(count) is int and 0 <= count < 2**40 else None for count in told)
    answered = [entry for entry in records if entry.outcome == "ok"]
    assert Counter(entry.output_tokens for entry in answered) == known
    chunks = Counter(len(served.token_s) for served in whole)
    assert Counter(len(entry.gaps_s) + 1 for entry in answered) == chunks
    assert all(entry.first_token_s is not None for entry in answered)


@pytest.mark.parametrize("row", ROWS)
def test_totals_of_each_row_are_those_of_the_server(row: str, tmp_path: Path) -> None:
    modes = [mode for mode, fault in FAULTS.items() if fault.row == row and mode not in APART]
    with KnownServer(*modes) as server:
        _, data, records = bench(tmp_path, server, "--rate", "100", "--requests", str(2 * len(modes)), *ENDURING)
        reconcile(server, data, records)
    assert data["is_lower_bound"] == (row == "E7")


@pytest.mark.parametrize("load", [("--rate", "100"), ("--concurrency", "20")], ids=["open", "closed"])
def test_totals_of_a_mixture_are_those_of_the_server(load: tuple[str, str], tmp_path: Path) -> None:
    rng = random.Random(len(load[0]))  # noqa: S311
    modes = [mode for mode in FAULTS if mode not in APART]
    modes += rng.choices([mode for mode in modes if FAULTS[mode].row != "E7"], k=200 - len(modes))
    rng.shuffle(modes)
    with KnownServer(*modes) as server:
        done, data, records = bench(tmp_path, server, *load, "--requests", "200", *ENDURING)
        reconcile(server, data, records)
    assert done.returncode == 4, "another model answered, among much else"
    assert data["is_lower_bound"] is True


def test_e5_refusals_are_counted_and_never_tried_again(tmp_path: Path) -> None:
    modes = [mode for mode, fault in FAULTS.items() if fault.row == "E5" and fault.outcome == "http_429"]
    assert len(modes) == 5
    with KnownServer("ok", *modes) as server:
        done, data, _ = bench(tmp_path, server, "--rate", "100", "--requests", "30", "--max-error-fraction", "0.9")
        assert len(server.log) == 30
        assert len({served.body["messages"][0]["content"] for served in server.log}) == 30
    assert (data["errors"], data["is_saturated"]) == ({"http_429": 25}, True)
    assert "25 failed with http_429; the first: you sent nothing" in done.stderr


def test_e6_most_of_the_latest_failing_ends_the_load(tmp_path: Path) -> None:
    with KnownServer("http_500", "http_503", "ok", first_s=0.0) as server:
        done, data, records = bench(tmp_path, server, "--concurrency", "4", "--requests", "2000")
        assert 200 <= len(server.log) < 300
    counts = data["requests"]
    assert counts["sent"] == len(server.log) == len(records) == counts["ok"] + counts["failed"] + counts["cancelled"]
    assert counts["cancelled"] <= 4
    assert 101 <= counts["failed"] <= 2 * (len(server.log) // 3 + 1)
    assert done.returncode == 4
    assert "of the latest 200 requests failed" in done.stderr
    assert read_run(tmp_path / "run").run.status == "failed"


def test_e6_all_is_endured_where_that_is_asked(tmp_path: Path) -> None:
    with KnownServer("http_500", first_s=0.0) as server:
        done, data, _ = bench(tmp_path, server, "--concurrency", "4", "--requests", "300", "--max-error-fraction", "1")
    assert data["requests"] == {"sent": 300, "ok": 0, "failed": 300, "cancelled": 0}
    assert "given up" not in done.stderr


def test_e7_each_limit_has_its_option(tmp_path: Path) -> None:
    limits = ("--timeout-s", "3", "--ttft-timeout-s", "0.7", "--idle-timeout-s", "0.5")
    with KnownServer("ok", "hang_after_role", "hang_mid", "endless") as server:
        done, data, _ = bench(
            tmp_path, server, "--rate", "40", "--requests", "20", "--max-error-fraction", "1", *limits
        )
    assert data["errors"] == {"timeout": 5, "timeout_first_token": 5, "timeout_idle": 5}
    assert "lower bounds" in done.stderr
    for told in ("no token within 0.7 s", "no further token within 0.5 s", "no complete answer within 3 s"):
        assert told in done.stderr


def test_e8_late_starts_are_told_and_part_of_the_latency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = OpenAIClient.ask

    async def slow(self: OpenAIClient, body: bytes, answer: Any) -> None:
        time.sleep(0.05)  # the client is busy with something else
        await ask(self, body, answer)

    monkeypatch.setattr(OpenAIClient, "ask", slow)
    with KnownServer() as server:
        done, data, records = bench(tmp_path, server, "--arrival", "constant", "--rate", "100", "--requests", "40")
        assert len(server.log) == 40, "none is left out"
    # The i-th is due at i·10 ms and cannot be sent before i·50 ms.
    assert all((entry.sent_s or 0.0) - entry.due_s >= entry.index * 0.04 - 0.02 for entry in records)
    assert data["lag_s"]["p50"] >= 19 * 0.04 - 0.02
    assert data["ttft_s"]["p50"] >= data["lag_s"]["p50"]
    assert data["client"]["is_saturated"] is True
    assert done.returncode == 4
    assert "the client was the bottleneck" in done.stderr


def restart_at(server: KnownServer, requests: int) -> threading.Thread:
    """Restarts the server after so many requests."""

    def work() -> None:
        while len(server.log) < requests:
            time.sleep(0.005)
        server.restart(down_s=0.4)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("has_metrics", [True, False])
def test_e9_a_server_that_was_restarted_is_not_to_be_trusted(has_metrics: bool, tmp_path: Path) -> None:
    with KnownServer(first_s=0.05) as server:
        server.has_metrics = has_metrics
        thread = restart_at(server, 30)
        arguments = ("--arrival", "constant", "--rate", "50", "--requests", "100", "--max-error-fraction", "0.9")
        done, data, records = bench(tmp_path, server, *arguments)
        thread.join()
        arrived_s = [served.arrived_s for served in server.log]
    assert done.returncode == 4
    assert data["errors"]["connect"] >= 5
    assert data["requests"]["sent"] == 100 == data["requests"]["ok"] + data["requests"]["failed"]
    assert data["requests"]["sent"] - data["errors"]["connect"] == len(arrived_s)
    how = "its process started 100.0 s later" if has_metrics else "the server could not be reached for a time"
    assert how in "".join(data["doubts"])
    assert how in done.stderr
    # The window holds the longest time in which the server, by its own log, had no request.
    (told,) = [warning for warning in data["warnings"] if warning.startswith("no answer from")]
    from_s, until_s = (float(part.split(" s")[0]) for part in told.removeprefix("no answer from ").split(" to "))
    start_s = arrived_s[0] - (records[0].sent_s or 0.0)
    gap = max(range(1, len(arrived_s)), key=lambda place: arrived_s[place] - arrived_s[place - 1])
    assert from_s < arrived_s[gap] - start_s < until_s
    assert until_s - from_s > 0.3


def test_e9_a_server_that_stays_is_no_doubt_and_its_tokens_are_compared(tmp_path: Path) -> None:
    with KnownServer() as server:
        server.has_metrics = True
        done, data, _ = bench(tmp_path, server, "--rate", "50", "--requests", "30")
        assert server.asked.count("/metrics") >= 3
    assert data["doubts"] == []
    assert "/metrics" not in done.stderr


def test_e9_tokens_of_somebody_else_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with KnownServer() as server:
        server.has_metrics = True
        thread = threading.Thread(target=lambda: [time.sleep(0.3), setattr(server, "extra_tokens", 500)])
        thread.start()
        done, data, _ = bench(tmp_path, server, "--rate", "20", "--requests", "30")
        thread.join()
    (told,) = data["doubts"]
    assert told.startswith("its /metrics count 650 output tokens, its answers 150: somebody else uses the server")
    assert done.returncode == 4
    assert told in done.stderr


def test_e10_a_wall_clock_that_jumps_changes_no_latency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, now_s = iter(range(10**9)), time.time
    monkeypatch.setattr(time, "time", lambda: now_s() + (3600.0 if next(calls) % 2 else -3600.0))
    with KnownServer(first_s=0.05, gap_s=0.01) as server:
        stop = threading.Event()
        jumps = threading.Thread(target=lambda: [time.time() for _ in iter(lambda: stop.wait(0.01), True)])
        jumps.start()
        _, data, records = bench(tmp_path, server, "--rate", "30", "--requests", "40")
        stop.set()
        jumps.join()
        true_s = sorted(served.token_s[-1] - served.token_s[0] for served in server.log)
    assert data["requests"]["ok"] == 40
    assert 0.05 <= data["ttft_s"]["p50"] < 60
    assert sorted(sum(entry.gaps_s) for entry in records)[20] == pytest.approx(true_s[20], abs=0.05)
    assert all(0 <= (entry.sent_s or 0) - entry.due_s < 60 for entry in records)


def test_e24_answers_of_another_model_are_no_evidence(tmp_path: Path) -> None:
    with KnownServer("ok", "other_model") as server:
        done, data, _ = bench(tmp_path, server, "--rate", "50", "--requests", "10")
    assert done.returncode == 4
    assert data["other_models"] == {"fallback-mini": 5}
    assert "5 answers are by another model than the one asked: fallback-mini" in done.stderr


def test_e25_prompts_meet_no_cache_and_its_hits_are_told(tmp_path: Path) -> None:
    with KnownServer("cached_tokens") as server:
        done, data, records = bench(tmp_path, server, "--rate", "100", "--requests", "100")
        words = [served.body["messages"][0]["content"].split() for served in server.log]
        prompts = sum(served.input_tokens for served in server.log)
    # A block of a prefix cache holds 16 tokens, and more words than five; these are never the same.
    assert len({tuple(each[:5]) for each in words}) == 100
    assert len({each[0] for each in words}) > 30
    assert {entry.cached_input_tokens for entry in records} == {5}
    assert data["cached_input_fraction"] == pytest.approx(500 / prompts)
    assert "came from the server's prefix cache" in done.stderr
