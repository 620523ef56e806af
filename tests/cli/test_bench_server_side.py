"""The server's side of `planner bench`: what it counts is what was sent, and what is not so is told."""

import json
import math
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Done, planner
from known_server import KnownServer

from planner.engines.emulator.process import emulating
from planner.schema.benchmark import LoadPoint, RequestRecord
from planner.store.runs import read_run
from planner.store.server_samples import read_samples

BLOCK, BLOCKS = 16, 500
PROFILE: dict[str, Any] = {
    "schema": "planner.profile/1",
    "name": "truth",
    "basis": "emulated",
    "model": {"id": "m"},
    "step_time_s": {"base": 0.01, "per_prefill_token": 1e-5},
    "limits": {
        "max_num_seqs": 12,
        "max_num_batched_tokens": 1024,
        "kv_cache_tokens": BLOCK * BLOCKS,
        "block_tokens": BLOCK,
        "max_model_len": 2048,
    },
}
PROMPT, OUTPUT = 200, 40
LENGTHS = ("--input-tokens", str(PROMPT), "--output-tokens", str(OUTPUT), "--out", "run", "--json", "--quiet")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("emulator")
    (folder / "profile.json").write_text(json.dumps(PROFILE))
    with emulating(folder / "profile.json") as url:
        yield url


def bench(folder: Path, url: str, *arguments: str) -> tuple[Done, LoadPoint, list[RequestRecord]]:
    done = planner(folder, "bench", "--url", url, *LENGTHS, *arguments)
    assert done.returncode in (0, 4), done.stderr  # 4 as well where other work keeps the client from its clock
    loaded = read_run(folder / "run")
    (point,), (records,) = loaded.run.points, loaded.requests
    assert json.loads(done.stdout)["server"] == json.loads(point.metrics.model_dump_json())["server"]
    return done, point.metrics, list(records)


def counted(records: list[RequestRecord]) -> dict[str, dict[str, int]]:
    """What the server must have counted, from the file of all requests, those of the warm-up too."""
    assert {entry.outcome for entry in records} == {"ok"}
    counts = {
        "requests": len(records),
        "prompt_tokens": sum(entry.input_tokens or 0 for entry in records),
        "output_tokens": sum(entry.output_tokens or 0 for entry in records),
    }
    return {name: {"server": count, "client": count, "client_most": count} for name, count in counts.items()}


def checks(point: LoadPoint) -> dict[str, dict[str, int]]:
    assert point.server is not None
    return point.server.model_dump(include={"requests", "prompt_tokens", "output_tokens"})


def test_server_and_client_count_the_same_and_the_server_is_as_busy_as_it_must_be(url: str, tmp_path: Path) -> None:
    done, point, records = bench(tmp_path, url, "--concurrency", "8", "--duration-s", "4", "--warmup-s", "0.5")
    assert any(entry.is_warmup for entry in records)
    assert checks(point) == counted(records)
    assert point.doubts == []
    server = point.server
    assert server is not None
    assert (server.running, server.waiting, server.kv_used_fraction) != (None, None, None)
    assert server.running is not None
    assert server.waiting is not None
    assert server.kv_used_fraction is not None
    assert server.running.max == 8
    assert 4 < server.running.mean <= 8
    assert server.waiting.max <= 8  # those that wait for the next step
    most = 8 * math.ceil((PROMPT + OUTPUT) / BLOCK) / BLOCKS
    assert 0.7 * most < server.kv_used_fraction.max <= most + 1e-9
    assert (server.preemptions, server.prefix_cache_hit_fraction, server.gpus) == (0, None, [])
    assert server.from_s == min(entry.sent_s or 0.0 for entry in records)
    assert server.until_s == max(entry.finished_s or 0.0 for entry in records)
    assert server.ttft_s is not None
    assert server.itl_s is not None
    assert (server.ttft_s.n, server.itl_s.n) == (len(records), len(records) * (OUTPUT - 1))
    assert "its answers" not in done.stderr


def test_the_series_is_kept_on_the_clock_of_the_requests(url: str, tmp_path: Path) -> None:
    _, point, records = bench(tmp_path, url, "--concurrency", "4", "--duration-s", "3", "--warmup-s", "0.5")
    (kept,) = read_run(tmp_path / "run").run.points
    assert kept.server_file == "server-000.jsonl"
    lines = [line for line in read_samples(tmp_path / "run" / "server-000.jsonl") if line.server is not None]
    assert point.server is not None
    assert 4 <= point.server.pages <= len(lines)
    times_s = [line.time_s for line in lines]
    assert times_s == sorted(times_s)
    assert times_s[0] < point.server.from_s
    # At any time the server has counted those that the client has by then, and at most those that it had been sent.
    first = lines[0].server
    assert first is not None
    for line in lines:
        assert line.server is not None
        done = (line.server.requests or 0.0) - (first.requests or 0.0)
        assert sum((entry.finished_s or 0.0) < line.time_s - 0.5 for entry in records) <= done
        assert done <= sum((entry.sent_s or 0.0) < line.time_s for entry in records)


@pytest.mark.parametrize(
    "load",
    [("--rate", "30", "--requests", "60"), ("--concurrency", "6", "--requests", "60", "--processes", "2")],
    ids=["open", "several processes"],
)
def test_counts_are_equal_however_the_load_is_sent(url: str, load: tuple[str, ...], tmp_path: Path) -> None:
    _, point, records = bench(tmp_path, url, *load)
    assert checks(point) == counted(records)
    assert point.doubts == []


def test_requests_that_are_cut_off_explain_what_the_server_counts_beyond(url: str, tmp_path: Path) -> None:
    limits = ("--timeout-s", "0.3", "--max-error-fraction", "1")
    _, point, records = bench(tmp_path, url, "--rate", "30", "--requests", "40", *limits)
    assert {entry.outcome for entry in records} == {"timeout"}  # 40 tokens at 10 ms a step
    assert point.doubts == []
    found = checks(point)
    assert found["output_tokens"]["client"] == 0
    assert 0 < found["output_tokens"]["server"] <= found["output_tokens"]["client_most"] == 40 * OUTPUT
    # Nothing of them is left for the next load.
    assert "prompt_tokens" in found
    assert point.server is not None
    assert point.server.requests is not None
    assert point.server.requests.server == 0


def somebody_else(url: str, folder: Path, requests: int, tokens: int) -> Callable[[], None]:
    """Asks for some answers once a load test is under way; what is returned waits for the end of that."""

    def work() -> None:
        answers = folder / "run" / "requests-000.jsonl"
        while not answers.exists() or answers.stat().st_size < 100:
            time.sleep(0.01)
        body = json.dumps({"model": "m", "prompt": "a b c", "max_tokens": tokens}).encode()
        for _ in range(requests):
            ask = urllib.request.Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})  # noqa: S310
            with urllib.request.urlopen(ask, timeout=30) as reply:  # noqa: S310
                assert json.load(reply)["usage"]["completion_tokens"] == tokens

    thread = threading.Thread(target=work)
    thread.start()
    return thread.join


@pytest.mark.parametrize("is_shared", [False, True])
def test_somebody_else_is_told_with_both_numbers(url: str, is_shared: bool, tmp_path: Path) -> None:
    wait = somebody_else(url, tmp_path, requests=3, tokens=11)
    option = ("--shared-server",) if is_shared else ()
    done, point, records = bench(tmp_path, url, "--concurrency", "4", "--duration-s", "5", *option)
    wait()
    ours = sum(entry.output_tokens or 0 for entry in records)
    told = (
        f"its /metrics count {len(records) + 3:,} requests, its answers {len(records):,}",
        f"{ours + 33:,} output tokens, its answers {ours:,}: somebody else uses the server",
    )
    said, other = (point.warnings, point.doubts) if is_shared else (point.doubts, point.warnings)
    assert all(part in "".join(said) for part in told), said
    assert not any("its /metrics" in each for each in other)
    assert told[0] in done.stderr
    if not is_shared:
        assert done.returncode == 4


@pytest.mark.parametrize(("lie", "cause"), [("usage_fewer", "too few"), ("usage_more", "too many")])
def test_usage_that_lies_is_found_out(lie: str, cause: str, tmp_path: Path) -> None:
    with KnownServer(lie) as server:
        server.has_metrics = True
        done, point, records = bench(tmp_path, server.url, "--rate", "50", "--requests", "10")
        true = sum(len(served.token_s) for served in server.log)
    (doubt,) = point.doubts
    told = sum(entry.output_tokens or 0 for entry in records)
    assert doubt.startswith(f"its /metrics count {true:,} output tokens, its answers {told:,}: ")
    assert f"its usage tells {cause}" in doubt
    assert (done.returncode, doubt in done.stderr) == (4, True)


def test_a_server_that_counts_nothing_has_no_side(tmp_path: Path) -> None:
    with KnownServer() as server:
        _, point, _ = bench(tmp_path, server.url, "--rate", "50", "--requests", "10")
    assert (point.server, point.doubts) == (None, [])
    assert not (tmp_path / "run" / "server-000.jsonl").exists()


@pytest.mark.slow
def test_metrics_that_hang_hold_nothing_up_but_are_told(tmp_path: Path) -> None:
    with KnownServer() as server:
        server.has_metrics = True

        def hang() -> None:
            while len(server.log) < 5:
                time.sleep(0.01)
            server.silent.add("/metrics")

        thread = threading.Thread(target=hang)
        thread.start()
        _, point, records = bench(tmp_path, server.url, "--arrival", "constant", "--rate", "10", "--requests", "80")
        thread.join()
    assert len(records) == 80
    assert any("did not answer after the load" in told for told in point.warnings)
    assert point.server is not None
    assert point.server.pages_missed >= 1
    assert point.server.output_tokens is None
    assert point.client is not None
    assert point.client.is_saturated is False


def test_several_servers_behind_one_address_are_no_restart(tmp_path: Path) -> None:
    with KnownServer() as server:
        server.has_metrics = True
        page, asked = server._metrics, iter(range(10**6))

        def another_in_turn() -> str:
            # Alone before the load, and then with another one.
            is_other = len(server.log) > 3 and next(asked) % 2
            return page().replace(f"{server.started_s}", f"{server.started_s + 500}") if is_other else page()

        server._metrics = another_in_turn  # type: ignore[method-assign]
        _, point, _ = bench(tmp_path, server.url, "--arrival", "constant", "--rate", "20", "--requests", "60")
    assert point.doubts == []
    assert any("several servers answer at this address" in told for told in point.warnings)
    assert point.server is None or point.server.output_tokens is None
