"""`planner bench` that is stopped, that cannot write, or that holds secrets: what is left of it."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import planner
from cut_off import REPOSITORY, settled
from faults import FAULTS, Fault
from known_server import KnownServer
from stage import Stage, event, plain

from planner.schema.benchmark import RequestRecord
from planner.store.runs import read_run
from planner.workflows.bench.server_watch import ServerWatch

pytestmark = pytest.mark.slow

SHORT = ("--input-tokens", "64", "--output-tokens", "5", "--out", "run")
CANARY = "sk-canary-0123456789"
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, {bytes}))
sys.argv = ["planner", *sys.argv[1:]]
from planner.cli.main import main
main()
"""


@contextlib.contextmanager
def started(folder: Path, program: list[str], server: KnownServer, *arguments: str, **more: str) -> Iterator[Any]:
    process = subprocess.Popen(
        [sys.executable, *program, "bench", "--url", server.url, *SHORT, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as a terminal makes one
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(server: KnownServer, requests: int, process: Any) -> None:
    while len(server.log) < requests and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None


def whole_lines(path: Path) -> list[RequestRecord]:
    """The records in a file whose last line may be cut off."""
    return [RequestRecord.model_validate_json(line) for line in path.read_text().split("\n")[:-1]]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_e11_the_first_signal_waits_for_what_is_under_way(stop: signal.Signals, tmp_path: Path) -> None:
    with KnownServer("ok", "ok", "http_500", "reset_mid", first_s=0.2) as server:
        arguments = ("--rate", "40", "--duration-s", "600", "--json", "--max-error-fraction", "1")
        with started(tmp_path, ["-m", "planner"], server, *arguments) as process:
            wait_for(server, 20, process)
            process.send_signal(stop)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        sent = settled(server)
        expected = Counter(FAULTS[served.mode].outcome for served in server.log)
    data = json.loads(out)
    loaded = read_run(tmp_path / "run")
    assert loaded.run.status == "interrupted"
    counts = data["requests"]
    assert counts == {"sent": sent, "ok": expected.pop("ok"), "failed": expected.total(), "cancelled": 0}
    assert data["errors"] == expected
    assert len(loaded.requests[0]) == sent
    assert "interrupted" in err


def test_e11_the_second_signal_waits_for_nothing(tmp_path: Path) -> None:
    with KnownServer("ok", "hang") as server:
        with started(tmp_path, ["-m", "planner"], server, "--rate", "40", "--duration-s", "600", "--json") as process:
            wait_for(server, 20, process)
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)  # less than the grace that the first one leaves
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        sent = settled(server)
        modes = Counter(served.mode for served in server.log)
    counts = json.loads(out)["requests"]
    assert counts == {"sent": sent, "ok": modes["ok"], "failed": 0, "cancelled": modes["hang"]}
    assert "Traceback" not in err
    (records,) = read_run(tmp_path / "run").requests
    assert Counter(entry.outcome for entry in records) == {"ok": modes["ok"], "cancelled": modes["hang"]}


def test_e11_a_signal_between_two_loads_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, begun = ServerWatch.begin, []

    async def interrupted(self: ServerWatch) -> None:
        begun.append(self)
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.1)
        await begin(self)

    monkeypatch.setattr(ServerWatch, "begin", interrupted)
    with KnownServer() as server:
        arguments = ("--sweep", "--concurrency", "1,2,4", "--requests", "6", "--json")
        done = planner(tmp_path, "bench", "--url", server.url, *SHORT, *arguments)
        assert len(server.log) == 6
    assert done.returncode == 130, done.stderr
    assert [point["requests"]["sent"] for point in json.loads(done.stdout)["points"]] == [6, 0]


@pytest.mark.parametrize("load", [("--rate", "50"), ("--concurrency", "4")], ids=["open", "closed"])
def test_e13_nothing_more_is_sent_when_results_cannot_be_stored(load: tuple[str, str], tmp_path: Path) -> None:
    with KnownServer(first_s=0.02) as server:
        program = ["-c", LIMITED.format(bytes=40_000)]
        with started(tmp_path, program, server, *load, "--requests", "600") as process:
            out, err = process.communicate(timeout=120)
        sent = settled(server)
    assert process.returncode == 3, err
    assert "run/requests-000.jsonl: cannot be written: " in err
    assert "Traceback" not in err
    assert out == ""
    kept = whole_lines(tmp_path / "run" / "requests-000.jsonl")
    assert len(kept) >= 20
    assert {entry.outcome for entry in kept} == {"ok"}
    # Beyond those that are stored there are only the ones that were under way, or ended in the same moment.
    assert len(kept) < sent <= len(kept) + 40
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["status"], run["points"]) == ("running", [])


def test_e13_nothing_at_all_is_sent_where_nothing_can_be_stored(tmp_path: Path) -> None:
    with KnownServer() as server:
        with started(tmp_path, ["-c", LIMITED.format(bytes=100)], server, "--rate", "50") as process:
            _, err = process.communicate(timeout=60)
        assert settled(server) == 0
    assert process.returncode == 3, err
    assert "run/run.json: cannot be written: File too large" in err


def test_e13_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    # Nothing is read-only to root but what the system keeps for itself.
    folder = Path("/sys") if os.geteuid() == 0 else tmp_path
    tmp_path.chmod(0o500)
    with KnownServer() as server:
        with started(folder, ["-m", "planner"], server, "--rate", "50") as process:
            _, err = process.communicate(timeout=60)
        assert server.log == []
    tmp_path.chmod(0o700)
    assert process.returncode == 3
    assert err.startswith("run: cannot be made: ")


async def _echo(stage: Stage) -> bool:
    """Says the secret wherever it can: as the model, in an answer, an error, a type and what is no HTTP."""
    secret = stage.served.headers["authorization"]
    place = int(stage.served.body["messages"][0]["content"].encode().hex()[:8], 16) % 5
    if place == 0:
        stage.model = secret
        await stage.open()
        return await stage.rest()
    if place == 1:
        await stage.half()
        await stage.send(event({"error": {"message": f"not for {secret}"}}))
        return await stage.last()
    if place == 2:
        await stage.raw(plain(200, "x").replace(b"text/plain", f"text/html {secret}".encode()))
        return True
    if place == 3:
        await stage.half()
        await stage.send(f"data: {{{secret}\n\n")
        return await stage.last()
    await stage.raw(plain(401, {"error": {"message": f"{secret} {json.dumps(secret)}"}}))
    return True


@pytest.mark.parametrize("way", ["header", "url"])
def test_e14_a_secret_is_sent_and_never_shown(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "echo", Fault("E14", _echo))
    with KnownServer("echo") as server:
        arguments = ["--rate", "40", "--requests", "40", "--max-error-fraction", "1"]
        secret = CANARY
        if way == "header":
            arguments += ["--header", "Authorization=KEY"]
        else:
            arguments += ["--url", server.url.replace("http://", f"http://me:{CANARY}@")]
        with started(tmp_path, ["-m", "planner"], server, *arguments, KEY=f"Bearer {CANARY}") as process:
            wait_for(server, 5, process)
            argv = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode() if way == "header" else ""
            out, err = process.communicate(timeout=60)
        assert len(server.log) == 40
        sent = {served.headers["authorization"] for served in server.log}
    assert process.returncode == 4, err
    assert len(sent) == 1
    secret = sent.pop().split()[1]
    kept = "".join(path.read_text() for path in (tmp_path / "run").iterdir())
    outcomes = Counter(entry.outcome for entry in read_run(tmp_path / "run").requests[0])
    assert set(outcomes) == {"ok", "stream_error", "truncated", "protocol_error", "http_401"}
    assert "***" in kept
    for text in (kept, out, err, argv):
        assert "canary" not in text
        assert secret not in text


def test_e14_a_secret_does_not_follow_a_redirect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with KnownServer() as elsewhere:

        async def redirects(stage: Stage) -> bool:
            await stage.raw(plain(307, "", f"Location: {elsewhere.url}{stage.served.path}"))
            return True

        monkeypatch.setitem(FAULTS, "redirect", Fault("E14", redirects))
        with KnownServer("redirect") as server:
            arguments = ("--rate", "50", "--requests", "10", "--header", "Authorization=KEY", "--json")
            with started(tmp_path, ["-m", "planner"], server, *arguments, KEY=CANARY) as process:
                out, err = process.communicate(timeout=60)
        assert (elsewhere.connections, elsewhere.log) == (0, [])
    assert process.returncode == 4, err
    assert json.loads(out)["errors"] == {"http_307": 10}


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3, 0.6])
def test_e11_processes_that_are_starting_leave_ctrl_c_to_the_first(after_s: float, tmp_path: Path) -> None:
    def loads(number: int) -> int:
        children = Path(f"/proc/{number}/task/{number}/children")
        commands = [Path(f"/proc/{child}/cmdline") for child in children.read_text().split()]
        return sum(b"spawn_main" in command.read_bytes() for command in commands if command.exists())

    if not Path("/proc/self/task").exists():
        pytest.skip("needs /proc to find the processes")
    with KnownServer() as server:
        arguments = ("--rate", "20", "--duration-s", "60", "--processes", "2", "--json")
        with started(tmp_path, ["-m", "planner"], server, *arguments) as process:
            while loads(process.pid) < 1 and process.poll() is None:
                time.sleep(0.005)
            time.sleep(after_s)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all of them get it
            out, err = process.communicate(timeout=60)
        sent = settled(server)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    requests = json.loads(out)["requests"]
    assert requests["sent"] == requests["ok"] + requests["failed"] + requests["cancelled"] == sent
    assert read_run(tmp_path / "run").run.status == "interrupted"


def test_e14_a_fault_of_ours_shows_no_secret(tmp_path: Path) -> None:
    program = [
        "-c",
        "import sys\nfrom planner.engines.openai_http import OpenAIClient\n"
        "def broken(*_): raise RuntimeError('a fault of ours')\n"
        "OpenAIClient.ask = broken\nfrom planner.cli.main import main\nmain()",
    ]
    with KnownServer() as server:
        arguments = ("--rate", "50", "--requests", "10", "--header", "Authorization=KEY")
        with started(tmp_path, program, server, *arguments, KEY=CANARY) as process:
            _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "a fault of ours" in err
    assert "canary" not in err
