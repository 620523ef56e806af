"""Runs a command on chosen cores, and tells what it cost."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY_S = 0.1
_KIB = 1024


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    Attributes:
        exit_code: negative where a signal ended it.
        cpu_s: processor time, user and system, of the process and all of its children that it waited for [s].
        system_s: of cpu_s, the system's [s].
        wall_s: from start to end [s].
        peak_rss_mib: largest sum, over its processes, of the peaks that the system kept of their resident memory
            [MiB]; looked at ten times a second. What processes share is counted once for each.
        waited_s: how long its main threads were ready but had no core [s]: the machine's other work, not theirs.
        stdout: what it printed.
        stderr: likewise.
    """

    exit_code: int
    cpu_s: float
    system_s: float
    wall_s: float
    peak_rss_mib: float
    waited_s: float
    stdout: str
    stderr: str


def cores() -> tuple[set[int], set[int]]:
    """The core of the server, and those of clients; the same one where there is no second."""
    every = sorted(os.sched_getaffinity(0))
    return {every[0]}, set(every[1:2] or every)


@contextmanager
def on(chosen: set[int]) -> Iterator[None]:
    """What is started in here runs on these cores, from its first instruction on."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def run(
    command: Sequence[str], chosen: set[int], folder: Path, environment: Mapping[str, str], limit_s: float = 600.0
) -> Cost:
    """Runs a command to its end, or to a time limit [s].

    Args:
        command: program and arguments.
        chosen: cores.
        folder: where it runs.
        environment: variables on top of ours.
        limit_s: it is killed after.
    """
    with tempfile.TemporaryFile("w+b") as out, tempfile.TemporaryFile("w+b") as error:
        start_s = time.perf_counter()
        with on(chosen):
            child = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=error,
                start_new_session=True,
            )
        peak_kib, waits_s, ended = 0, dict[int, float](), None
        while ended is None:
            tree = list(_tree(child.pid))
            peak_kib = max(peak_kib, sum(_peak_kib(pid) for pid in tree))
            waits_s.update({pid: wait_s for pid in tree if (wait_s := _waited_s(pid)) is not None})
            if time.perf_counter() - start_s > limit_s:
                os.killpg(child.pid, signal.SIGKILL)
            time.sleep(_LOOK_EVERY_S)
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            ended = (os.waitstatus_to_exitcode(status), usage) if pid else None
        child.returncode = ended[0]  # so that Popen does not wait for it as well
        wall_s = time.perf_counter() - start_s
        out.seek(0)
        error.seek(0)
        return Cost(
            exit_code=ended[0],
            cpu_s=ended[1].ru_utime + ended[1].ru_stime,
            system_s=ended[1].ru_stime,
            wall_s=wall_s,
            peak_rss_mib=peak_kib / _KIB,
            waited_s=sum(waits_s.values()),
            stdout=out.read().decode("utf-8", "replace"),
            stderr=error.read().decode("utf-8", "replace"),
        )


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:  # it has ended
            continue
        for child in found:
            yield from _tree(int(child))


def _peak_kib(pid: int) -> int:
    """Peak of resident memory since the program was started [KiB]; of wait4's peak, its parent's would be part."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def _waited_s(pid: int) -> float | None:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return None
