"""The command as a process: how it starts, how it ends, what it leaves behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.engines.emulator.process import emulating
from planner.errors import EnvironmentLackingError

# Where the tests run in the background, children are born deaf to interrupts.
HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
COMMAND = [sys.executable, "-c", f"{HEARING}; from planner.cli.main import main; main()", "emulate"]


@pytest.mark.parametrize(("signal_", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_with_its_record_kept(
    write_profile: Callable[..., Path], tmp_path: Path, repository: Path, signal_: signal.Signals, code: int
) -> None:
    arguments = [str(write_profile()), "--port", "0", "--json", "--record", str(tmp_path / "r")]
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        ready = json.loads(running.stdout.readline())
        assert (ready["model"], ready["basis"]) == ("toy", "emulated")
        host, port = ready["url"].removeprefix("http://").split(":")
        body = json.dumps({"prompt": "a b", "max_tokens": 900, "stream": True})
        with socket.create_connection((host, int(port))) as stream:
            head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            stream.sendall((head + body).encode())
            seen = b""
            while b"data: " not in seen:
                seen += stream.recv(4096)
            running.send_signal(signal_)
            out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (code, "")
    assert "emulated: no model, only the step timing of " in err
    assert "the profile is estimated, not measured\n" in err
    assert "of their planned time" in err
    assert "Traceback" not in err
    (line,) = [json.loads(line) for line in (tmp_path / "r").read_text().splitlines()]
    assert (line["outcome"], line["prompt_tokens"]) == ("aborted", 2)
    assert 1 <= len(line["token_monotonic_s"]) < 900


def test_a_port_in_use_is_told(write_profile: Callable[..., Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = re.escape(f"127.0.0.1:{port}: cannot listen there: the port is in use")
        with pytest.raises(EnvironmentLackingError, match=message), emulating(write_profile(), port=port):
            pass


def test_a_start_that_takes_too_long_is_given_up(write_profile: Callable[..., Path]) -> None:
    with pytest.raises(EnvironmentLackingError, match=r"silent for 0\.1 s"), emulating(write_profile(), timeout_s=0.1):
        pass


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--port", "70000"], 2, "--port 70000: must be from 0 to 65535"),
        (["--host", "192.0.2.1"], 3, "192.0.2.1:0: cannot listen there: is no address of this machine"),
        (["--record", "gone/r"], 3, "gone/r: cannot be written: No such file or directory"),
        (["--record", "p.json"], 2, "--record p.json: is the file that it would be made from"),
    ],
)
def test_what_cannot_be_served_is_told_without_a_traceback(
    write_profile: Callable[..., Path], repository: Path, more: list[str], code: int, message: str
) -> None:
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(repository)}
    profile = write_profile()
    done = subprocess.run(
        [*COMMAND, profile.name, "--port", "0", *more],
        cwd=profile.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", message + "\n")
    assert json.loads(profile.read_text())["name"] == "toy profile"


def test_mistakes_of_a_profile_are_listed_all(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("schema: planner.profile/1\nname: a\nbasis: guessed\nstep_time_s: {base: -1}\n")
    with pytest.raises(EnvironmentLackingError) as failed, emulating(tmp_path / "p.yaml"):
        pass
    for mistake in ("p.yaml:3:1: basis:", "p.yaml:4:15: step_time_s.base:", "limits: is missing"):
        assert mistake in str(failed.value)
