"""The planner's client and vLLM's own, in turn, on one real vLLM server."""

import os
import signal
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from clients import PLANNER, Client, Load, Said, ours, vllm
from pinned import Cost
from questions import started

NAME = "served"
LOADS = {
    "4 users": Load(requests=40, users=4, output_tokens=32),
    "16 users": Load(requests=80, users=16, output_tokens=32),
    "1 request/s": Load(requests=40, rate=1.0, output_tokens=32),
}
LEAST_ROUNDS = 3
START_UP_LIMIT_S = 600.0
FIGURES = ("TTFT p50 [ms]", "TTFT p99 [ms]", "ITL p50 [ms]", "ITL mean [ms]", "ITL p99 [ms]", "CPU [s]")


def real(program: Path, model: Path, rounds: int, folder: Path) -> str:
    """Serves a model, measures it with both, and tells means, their noise and their difference as tables.

    Noise is the standard deviation from round to round; a difference is told in standard errors of itself.

    Args:
        program: vllm.
        model: a folder.
        rounds: how often, at least LEAST_ROUNDS; one more comes before them, and is not counted.
        folder: for files.
    """
    rounds = max(rounds, LEAST_ROUNDS)
    clients = (ours(), vllm(program, model))
    parts = [f"## Real vLLM, model {model.name}: means of {rounds} rounds ± standard deviation between them"]
    with served(program, model, folder / "vllm.log") as url:
        for label, load in LOADS.items():
            seen: dict[str, list[list[float]]] = {client.name: [] for client in clients}
            for number in range(rounds + 1):
                order = clients if number % 2 else clients[::-1]  # so that no client is always the second
                for client in order:
                    figures = _measured(client, url, load, folder)
                    if number:  # the first round warms the server up
                        seen[client.name].append(figures)
            parts.append(_table(label, load, seen, clients[1].name))
    return "\n\n".join(parts)


def _measured(client: Client, url: str, load: Load, folder: Path) -> list[float]:
    own = Path(mkdtemp(dir=folder))
    cost = started(client, url, NAME, load, own)
    return _figures(client.read(load, own, cost.stdout), cost)


def _figures(said: Said, cost: Cost) -> list[float]:
    times_s = (said.ttft_p50_s, said.ttft_p99_s, said.itl_p50_s, said.itl_mean_s, said.itl_p99_s)
    return [*(1e3 * time_s for time_s in times_s), cost.cpu_s]


def _table(label: str, load: Load, seen: dict[str, list[list[float]]], other: str) -> str:
    lines = [
        f"{label}, {load.requests} requests of {load.input_tokens} + {load.output_tokens} tokens",
        "",
        f"| | {PLANNER} | {other} | ratio | difference in its standard errors |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for column, name in enumerate(FIGURES):
        a, b = ([figures[column] for figures in seen[client]] for client in (PLANNER, other))
        mean_a, mean_b = statistics.fmean(a), statistics.fmean(b)
        error = ((statistics.variance(a) + statistics.variance(b)) / len(a)) ** 0.5
        cells = [f"{mean:.2f} ± {statistics.stdev(values):.2f}" for mean, values in ((mean_a, a), (mean_b, b))]
        distance = f"{(mean_a - mean_b) / error:+.1f}" if error else "–"
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {mean_a / mean_b:.3f} | {distance} |")
    return "\n".join(lines)


@contextmanager
def served(program: Path, model: Path, log: Path) -> Iterator[str]:
    """A vLLM server that is up; yields its URL, and ends it and its children.

    Raises:
        SystemExit: it does not start; its log's end is told.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(program), "serve", str(model), "--served-model-name", NAME, "--host", "127.0.0.1"]
    command += ["--port", f"{port}", "--max-model-len", "2048", "--dtype", "bfloat16", "--enforce-eager"]
    offline = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - the user's own vllm
            command, stdout=file, stderr=file, env={**os.environ, **offline}, start_new_session=True
        )
        try:
            end_s = time.monotonic() + START_UP_LIMIT_S
            while not _is_up(url):
                if process.poll() is not None or time.monotonic() > end_s:
                    raise SystemExit(f"vllm did not start:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(1)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as reply:  # noqa: S310 - our own server
            return bool(reply.status == 200)
    except OSError:
        return False
