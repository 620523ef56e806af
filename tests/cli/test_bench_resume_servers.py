"""`planner bench --resume` and the servers: their secrets, their addresses, and those that a run starts itself."""

import os
import signal
import socket
import sys
from pathlib import Path
from unittest import mock

import pytest
from cut_off import REPOSITORY, cut_off, points_of, resume, run_json, settled, went_well
from known_server import KnownServer

pytestmark = pytest.mark.slow

LOADS = ("--sweep", "--concurrency", "2", "--rate", "25", "--requests", "30")
CANARY = "sk-canary-0123456789"


def test_secrets_are_asked_for_again(tmp_path: Path) -> None:
    with KnownServer(first_s=0.1) as server:
        user = server.url.replace("http://", f"http://me:{CANARY}@")
        loads = ["--rate", "20", "--requests", "20", "--header", "X-Org=ORG", "--out", "run"]
        with mock.patch.dict(os.environ, {"ORG": f"org-{CANARY}"}):
            code, said = cut_off(tmp_path, ["--url", user, *loads], lambda: len(server.log) >= 5, signal.SIGKILL)
        assert code == -signal.SIGKILL, said
        before = settled(server)
        without = resume(tmp_path, ORG=f"org-{CANARY}")
        assert len(server.log) == before
        done = resume(tmp_path, "--url", user, "--header", "X-Org=ORG", ORG=f"org-{CANARY}")
        went_well(done)
        assert {entry.headers["x-org"] for entry in server.log} == {f"org-{CANARY}"}
        assert all(entry.headers["authorization"].startswith("Basic ") for entry in server.log)
        place = server.url.removeprefix("http://")
    assert without.returncode == 2
    assert without.stderr == "--url: is needed again, since it held a user and a password, and these are not kept\n"
    command = run_json(tmp_path)["command"]
    assert (command["url"], command["headers"]) == (f"http://***@{place}", ["X-Org=ORG"])
    kept = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "canary" not in kept + said + without.stderr + done.stdout + done.stderr


def test_headers_go_to_a_new_address_only_where_they_are_given_with_it(tmp_path: Path) -> None:
    with KnownServer(first_s=0.1) as server:
        arguments = ["--url", server.url, "--rate", "20", "--requests", "20", "--header", "X-Key=KEY", "--out", "run"]
        with mock.patch.dict(os.environ, {"KEY": "first"}):
            code, said = cut_off(tmp_path, arguments, lambda: len(server.log) >= 5, signal.SIGKILL)
        assert code == -signal.SIGKILL, said
    with KnownServer(first_s=0.1) as other:
        went_well(resume(tmp_path, "--url", other.url, KEY="first"))
        assert not any("x-key" in entry.headers for entry in other.log)
    assert any(f"at another address: {other.url}" in warning for warning in run_json(tmp_path)["warnings"])


def test_calibration_is_paid_for_once_and_counted(tmp_path: Path) -> None:
    with KnownServer(first_s=0.1) as server:
        server.has_tokenize = False  # so that two requests find out how long prompts are
        arguments = ["--url", server.url, "--rate", "20", "--requests", "20", "--out", "run"]
        code, said = cut_off(tmp_path, arguments, lambda: len(server.log) >= 7, signal.SIGKILL)
        assert code == -signal.SIGKILL, said
        before = settled(server)
        went_well(resume(tmp_path))
        assert len(server.log) == before + 20
    run = run_json(tmp_path)
    assert run["calibration"]["requests_sent"] == 2
    assert before + 20 <= run["requests_sent_in_all"] <= before + 22


FAKE_VLLM = '''#!{python}
"""A stand-in for vllm: serves what the load test's own tests know."""
import sys, time
args = sys.argv[1:]
if args == ["--version"]:
    print("0.32.0+fake"); sys.exit()
sys.path.insert(0, {support!r})
from known_server import KnownServer
server = KnownServer(first_s=0.05, port=int(args[args.index("--port") + 1]))
server.pages["/version"] = 200, {{"version": "0.32.0+fake"}}
try:
    with server:
        open("served", "w").write(" ".join(args[:2]))
        time.sleep(600)
except KeyboardInterrupt:
    pass
'''


def test_server_of_its_own_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    vllm = tmp_path / "bin" / "vllm"
    vllm.write_text(FAKE_VLLM.format(python=sys.executable, support=str(REPOSITORY / "tests" / "support")))
    vllm.chmod(0o755)
    monkeypatch.setenv("PATH", str(vllm.parent), prepend=os.pathsep)

    def is_time() -> bool:
        answers = tmp_path / "run" / "requests-001.jsonl"
        return answers.exists() and answers.stat().st_size > 0

    arguments = ["--serve", "m", *LOADS, "--out", "run", "--", "--max-num-seqs", "8"]
    code, said = cut_off(tmp_path, arguments, is_time, signal.SIGINT)
    assert code == 130, said
    before = points_of(tmp_path / "run")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = resume(tmp_path, "--url", f"http://127.0.0.1:{free.getsockname()[1]}")
    went_well(resume(tmp_path))
    assert url.returncode == 2
    assert "not with this run, which started m itself" in url.stderr
    run = run_json(tmp_path)
    assert (run["status"], len(run["points"]), run["server"]["engine"]["args"]) == (
        "complete",
        2,
        ["--max-num-seqs", "8"],
    )
    assert run["points"][0] == before[0]
    assert {path.name for path in (tmp_path / "run").glob("vllm*")} == {"vllm.log", "vllm-2.log"}
