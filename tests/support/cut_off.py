"""Load tests in processes of their own, that are ended in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from commands import Done, planner
from known_server import KnownServer

REPOSITORY = Path(__file__).parents[2]


def points_of(run: Path) -> list[dict[str, Any]]:
    """The points in `run.json` as it is on disk, which others may be replacing."""
    try:
        data: dict[str, Any] = json.loads((run / "run.json").read_text())
    except FileNotFoundError:
        return []
    points: list[dict[str, Any]] = data["points"]
    return points


def cut_off(folder: Path, arguments: list[str], is_time: Callable[[], bool], how: signal.Signals) -> tuple[int, str]:
    """Runs a bench, ends it when it is time, and gives its exit code and what it said."""
    said = folder / "stderr.txt"
    with said.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "planner", "bench", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            until_s = time.monotonic() + 60
            while not is_time() and process.poll() is None and time.monotonic() < until_s:
                time.sleep(0.02)
            assert process.poll() is None, f"it ended before it was time: {said.read_text()}"
            process.send_signal(how)
            return process.wait(60), said.read_text()
        finally:
            process.kill()
            process.wait()


def settled(server: KnownServer) -> int:
    """How many requests a server has had, once no more come out of the sockets of a process that is gone."""
    count = -1
    while count < len(server.log):
        count = len(server.log)
        time.sleep(0.3)
    return count


def resume(folder: Path, *arguments: str, **environment: str) -> Done:
    """Goes on with the run in a folder."""
    with mock.patch.dict(os.environ, environment):
        return planner(folder, "bench", "--resume", "run", *arguments)


def went_well(done: Done) -> None:
    """Checks that a bench ended well."""
    # A machine that is busy with other things makes a client that does not keep up, and that must say so.
    assert done.returncode == 0 or (done.returncode == 4 and "client was the bottleneck" in done.stderr), done.stderr


def run_json(folder: Path) -> dict[str, Any]:
    """The run in a folder, as it is on disk."""
    data: dict[str, Any] = json.loads((folder / "run" / "run.json").read_text())
    return data
