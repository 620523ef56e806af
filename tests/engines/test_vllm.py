"""Starting, watching and stopping a server, with a stand-in for `vllm` on PATH."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from planner.engines.vllm import limits_from, serve
from planner.errors import EnvironmentLackingError

FAKE = '''#!{python}
"""Behaves as MODE says: healthy after a while, or dead at once; leaves a child behind where it is told to."""
import http.server, os, signal, subprocess, sys, time
mode, args = {mode!r}, sys.argv[1:]
if args == ["--version"]:
    print("INFO something else"); print("0.32.0+fake"); sys.exit()
print("serving", args, "Chunked prefill is enabled with max_num_batched_tokens=2,048.", flush=True)
if mode == "dies":
    print("ValueError: no such model", flush=True); sys.exit(3)
if mode == "hangs":
    time.sleep(60)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("child", "w").write(str(child.pid)); open("pid", "w").write(str(os.getpid()))
if mode == "stubborn":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404); self.end_headers()
    def log_message(self, *_): pass
time.sleep(0.3)
port = int(args[args.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
'''


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first on PATH, and the working folder."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def install(folder: Path, mode: str = "serves") -> None:
    path = folder / "vllm"
    path.write_text(FAKE.format(python=sys.executable, mode=mode))
    path.chmod(0o755)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_gone(pid: int) -> bool:
    for _ in range(50):
        if not is_alive(pid):
            return True
        time.sleep(0.1)
    return False


def test_a_server_is_started_told_of_and_stopped_with_its_children(fake: Path) -> None:
    install(fake)
    waits: list[float] = []
    with serve("some/model", ["--max-num-seqs", "8"], fake / "vllm.log", waits.append) as served:
        with urllib.request.urlopen(f"{served.url}/health", timeout=5) as response:  # noqa: S310 - our own stand-in
            assert response.status == 200
        child = int((fake / "child").read_text())
        assert is_alive(child)
    assert is_gone(child)
    assert served.start_up_s >= 0.3
    assert waits == sorted(waits)
    assert (served.model, served.version, served.args) == ("some/model", "0.32.0+fake", ["--max-num-seqs", "8"])
    assert (served.limits.max_num_seqs, served.limits.max_num_batched_tokens) == (8, 2048)
    assert "'serve', 'some/model'" in (fake / "vllm.log").read_text()


def test_the_port_and_the_name_that_are_asked_for_are_kept(fake: Path) -> None:
    install(fake)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with serve("m", ["--served-model-name=tiny", "--port", str(port)], fake / "vllm.log") as served:
        assert (served.url, served.model) == (f"http://127.0.0.1:{port}", "tiny")


def test_children_go_also_where_the_work_fails(fake: Path) -> None:
    install(fake)
    with pytest.raises(KeyboardInterrupt), serve("m", [], fake / "vllm.log"):
        raise KeyboardInterrupt
    assert is_gone(int((fake / "child").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_a_server_ends_when_we_are_killed_without_a_word(fake: Path) -> None:
    install(fake)
    ours = "\n".join(
        [
            "import os, signal, sys",
            "from pathlib import Path",
            "from planner.engines.vllm import serve",
            "with serve('m', [], Path('vllm.log')) as served:",
            "    os.kill(os.getpid(), signal.SIGKILL)",
        ]
    )
    assert subprocess.run([sys.executable, "-c", ours], check=False).returncode == -signal.SIGKILL
    assert is_gone(int((fake / "pid").read_text()))


def test_one_that_does_not_listen_is_stopped_all_the_same(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(fake, "stubborn")
    monkeypatch.setattr("planner.engines.vllm._PATIENCE_S", 0.3)
    with serve("m", [], fake / "vllm.log"):
        pass
    assert is_gone(int((fake / "child").read_text()))


def test_one_that_dies_shows_what_it_said_last(fake: Path) -> None:
    install(fake, "dies")
    with pytest.raises(EnvironmentLackingError) as caught, serve("m", [], fake / "vllm.log"):
        pytest.fail("it never served")
    assert "exit code 3" in str(caught.value)
    assert "ValueError: no such model" in str(caught.value)


def test_one_that_never_answers_is_given_up(fake: Path) -> None:
    install(fake, "hangs")
    told = r"not healthy after 0\.5 s"
    with pytest.raises(EnvironmentLackingError, match=told), serve("m", [], fake / "vllm.log", timeout_s=0.5):
        pytest.fail("it never served")


def test_without_vllm_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentLackingError, match="pip install vllm"), serve("m", [], tmp_path / "vllm.log"):
        pytest.fail("it never served")


def test_a_port_in_use_is_refused_before_anything_is_started(fake: Path) -> None:
    install(fake)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = pytest.raises(EnvironmentLackingError, match=f"--port {port}")
        with refused, serve("m", [f"--port={port}"], fake / "vllm.log"):
            pytest.fail("it never served")
    assert not (fake / "vllm.log").exists()


def test_one_that_cannot_be_started_is_named(fake: Path) -> None:
    install(fake)
    (fake / "vllm").write_text("#!/nowhere/python\n")
    with pytest.raises(EnvironmentLackingError, match="cannot be started"), serve("m", [], fake / "vllm.log"):
        pytest.fail("it never served")


def test_flags_are_read_in_every_spelling(fake: Path) -> None:
    install(fake)
    with serve("m", ["-tp", "2", "--max_num_seqs=5", "--dtype", "bfloat16"], fake / "vllm.log") as served:
        assert (served.tensor_parallel_size, served.limits.max_num_seqs, served.dtype) == (2, 5, "bfloat16")


def test_limits_are_read_from_what_vllm_prints() -> None:
    log = (
        "INFO [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='m', max_seq_len=2048\n"
        "INFO [kv_cache_utils.py:2327] CPU KV cache size: 524,288 tokens, Maximum concurrency for 2,048 tokens: 256x\n"
    )
    found = limits_from(["--max-num-seqs=64", "--max-num-batched-tokens", "4096"], log)
    assert found.model_dump() == {
        "max_num_seqs": 64,
        "max_num_batched_tokens": 4096,
        "kv_cache_tokens": 524288,
        "block_tokens": None,
        "max_model_len": 2048,
    }
