"""The emulator in a process of its own, for as long as a block lasts."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import IO

import planner
from planner.errors import EnvironmentLackingError

START_S = 60.0
"""Most of the time it takes to start is for importing, and at its first start for compiling [s]."""
_STOP_S = 10.0
_TAIL_CHARACTERS = 2000


@contextmanager
def emulating(
    profile_path: Path,
    port: int = 0,
    record: Path | None = None,
    timeout_s: float = START_S,
    adapters: Sequence[str] = (),
) -> Iterator[str]:
    """Runs `planner emulate` beside this process.

    Args:
        profile_path: the profile.
        port: on 127.0.0.1; 0 takes a free one.
        record: where the server's own record goes.
        timeout_s: the longest that its start may take [s].
        adapters: further names that it serves its model by.

    Yields:
        The URL that it serves.

    Raises:
        EnvironmentLackingError: it does not come up.
    """
    command = [sys.executable, "-m", "planner", "emulate", str(profile_path), "--port", str(port)]
    if record is not None:
        command += ["--record", str(record)]
    for adapter in adapters:
        command += ["--adapter", adapter]
    # This very planner, wherever the process is started.
    folders = [str(Path(planner.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603  # our own command
            command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, env=environment
        ) as process,
    ):
        try:
            yield _url(process, errors, timeout_s)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _url(process: "subprocess.Popen[bytes]", errors: IO[bytes], timeout_s: float) -> str:
    """The line that the server prints once it is ready; without one it is not."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    deadline = Timer(timeout_s, process.kill)
    deadline.start()
    try:
        line = process.stdout.readline().decode().strip()
    finally:
        deadline.cancel()
    if line:
        return line
    process.wait()
    errors.seek(0)
    told = errors.read().decode("utf-8", "replace")[-_TAIL_CHARACTERS:].strip()
    raise EnvironmentLackingError(f"the emulator did not start: {told or f'silent for {timeout_s:g} s'}")
