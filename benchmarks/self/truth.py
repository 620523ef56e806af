"""The server of known truth: built, run, and its log read."""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pinned import cores, on

Array = NDArray[np.float64]

SOURCE = Path(__file__).parent / "truth_server.c"
_HEAD_BYTES = 48
_RECORD = np.dtype(
    [("arrival", "u8"), ("finished", "u8"), ("first", "u8")]
    + [(name, "u4") for name in ("connection", "prompt_tokens", "tokens", "written")]
)


def build(folder: Path) -> Path:
    """Compiles the server.

    Raises:
        SystemExit: there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SystemExit("needed: a C compiler (cc, gcc or clang), to build benchmarks/self/truth_server.c")
    program = folder / "truth_server"
    subprocess.run([compiler, "-O2", "-std=c11", "-o", str(program), str(SOURCE)], check=True)  # noqa: S603
    return program


@dataclass(frozen=True)
class Timing:
    """What the server keeps to.

    Attributes:
        ttft_ms: from a request's arrival to its first token [ms].
        itl_ms: between its tokens [ms].
        tokens_per_write: events that one write holds.
    """

    ttft_ms: float = 50.0
    itl_ms: float = 10.0
    tokens_per_write: int = 1


@dataclass(frozen=True)
class Truth:
    """What the server did. Times of time.perf_counter [s].

    Attributes:
        arrival_s: when the last byte of each request was read, in that order; shape (requests,).
        token_s: when each token was handed to the kernel; shape (requests, tokens), NaN where it was not.
        prompt_tokens: as the server counted them; shape (requests,).
        finished: requests answered to the end.
        peak_in_flight: most requests under way at once.
        connections: that were opened.
        timing: what it was to keep to.
    """

    arrival_s: Array
    token_s: Array
    prompt_tokens: NDArray[np.int64]
    finished: int
    peak_in_flight: int
    connections: int
    timing: Timing

    def ttft_s(self) -> Array:
        """From arrival to first token [s], shape (requests,)."""
        return self.token_s[:, 0] - self.arrival_s

    def gaps_s(self) -> Array:
        """Between the tokens of a request, pooled [s]."""
        gaps = np.diff(self.token_s, axis=1).ravel()
        return gaps[~np.isnan(gaps)]

    def tokens(self) -> int:
        """That were written."""
        return int(np.count_nonzero(~np.isnan(self.token_s)))

    def requests_per_s(self) -> float:
        """Requests over the time from the first arrival to the last token [requests/s]."""
        return len(self.arrival_s) / float(np.nanmax(self.token_s) - self.arrival_s.min())

    def late_s(self) -> Array:
        """How much later than due each token was written [s]; the instrument's own error."""
        due_s = self.timing.ttft_ms + self.timing.itl_ms * np.arange(self.token_s.shape[1])
        late_s = (self.token_s - self.arrival_s[:, None] - due_s / 1e3).ravel()
        return late_s[~np.isnan(late_s)]


class TruthServer:
    """A server process on a core of its own, of real-time priority where that is permitted; used in a `with`.

    Attributes:
        url: where it listens.
        is_realtime: nothing else on its core delays it.
    """

    def __init__(self, program: Path, timing: Timing, log: Path | None) -> None:
        self._program, self._timing, self._log = program, timing, log

    def __enter__(self) -> Self:
        timing = self._timing
        command = [str(self._program), "--ttft-ms", f"{timing.ttft_ms}", "--itl-ms", f"{timing.itl_ms}"]
        command += ["--tokens-per-write", f"{timing.tokens_per_write}"]
        command += [] if self._log is None else ["--log", str(self._log)]
        with on(cores()[0]):
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().split()[1]}"
        try:
            os.sched_setscheduler(self._process.pid, os.SCHED_FIFO, os.sched_param(10))
            self.is_realtime = True
        except OSError:
            self.is_realtime = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate()

    def truth(self, requests: int) -> Truth:
        """What it did with the last so many requests, after it has ended; earlier ones were a client's probes."""
        if self._log is None:
            raise ValueError("the server kept no log")
        return read_log(self._log, requests, self._timing)


def read_log(path: Path, requests: int, timing: Timing) -> Truth:
    """Reads the log of a server, as truth_log.h describes it.

    Args:
        path: of the log.
        requests: only the last so many.
        timing: what the server was started with.
    """
    data = path.read_bytes()
    if data[:8] != b"TRUTH/1\n":
        raise ValueError(f"{path}: no log of the truth server")
    count, _, peak, connections, _ = np.frombuffer(data, "u8", 5, 8).tolist()
    records = np.frombuffer(data, _RECORD, count, _HEAD_BYTES)
    times = np.frombuffer(data, "u8", offset=_HEAD_BYTES + count * _RECORD.itemsize)
    records = records[max(0, count - requests) :]
    token_s = np.full((len(records), int(records["tokens"].max(initial=1))), np.nan)
    for row, record in zip(token_s, records, strict=True):
        first, written = int(record["first"]), int(record["written"])
        row[:written] = times[first : first + written] / 1e9
    return Truth(
        arrival_s=records["arrival"] / 1e9,
        token_s=token_s,
        prompt_tokens=records["prompt_tokens"].astype(np.int64),
        finished=int(np.count_nonzero(records["finished"])),
        peak_in_flight=peak,
        connections=connections,
        timing=timing,
    )
