"""The planner's client and vLLM's own, in turn, on one real vLLM server."""

import asyncio
import itertools
import os
import signal
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from clients import PLANNER, Client, Load, Said, ours, vllm
from pinned import Cost, cores, on
from questions import started

from planner.engines.counters import parse_counters
from planner.engines.exchange import Timeouts
from planner.engines.openai_http import OpenAIClient
from planner.engines.target import Target
from planner.loadtest.calibration import calibrate
from planner.loadtest.texts import Calibration, Texts

NAME = "served"
LOADS = {
    "4 users": Load(requests=40, users=4, output_tokens=32),
    "16 users": Load(requests=80, users=16, output_tokens=32),
    "1 request/s": Load(requests=40, rate=1.0, output_tokens=32),
}
LEAST_ROUNDS = 3
START_UP_LIMIT_S = 600.0
COUNTED = ("vllm:request_success_total", "vllm:prompt_tokens_total", "vllm:generation_tokens_total")
FIGURES = (
    *("TTFT p50 [ms]", "TTFT p99 [ms]", "ITL p50 [ms]", "ITL mean [ms]", "ITL p99 [ms]", "CPU [s]"),
    *("prompt tokens per request, by the server", "output tokens per request, by the server"),
)


def real(program: Path, model: Path, rounds: int, folder: Path) -> Iterator[str]:
    """Serves a model on one core, measures it with both from another, and yields means, noise and differences.

    Both send the planner's prompts: vLLM's own random ones are longer by the chat template. No two runs send the same,
    or the server would know them. Noise is the standard deviation from round to round; a difference is told in
    standard errors of itself.

    Args:
        program: vllm.
        model: a folder.
        rounds: how often, at least LEAST_ROUNDS; one more comes before them, and is not counted.
        folder: for files.
    """
    rounds = max(rounds, LEAST_ROUNDS)
    yield f"## Real vLLM, model {model.name}: means of {rounds} rounds ± standard deviation between them"
    with served(program, model, folder / "vllm.log") as url:
        clients = (ours(), vllm(program, model, _prompts(url)))
        for label, load in LOADS.items():
            seen: dict[str, list[list[float]]] = {client.name: [] for client in clients}
            for number in range(rounds + 1):
                order = clients if number % 2 else clients[::-1]  # so that no client is always the second
                for client in order:
                    figures = _measured(client, url, load, folder)
                    if number:  # the first round warms the server up
                        seen[client.name].append(figures)
            yield _table(label, load, seen, clients[1].name)


def _measured(client: Client, url: str, load: Load, folder: Path) -> list[float]:
    own, before = Path(mkdtemp(dir=folder)), _counted(url)
    cost = started(client, url, NAME, load, own)
    requests, *tokens = (after - now for after, now in zip(_counted(url), before, strict=True))
    return _figures(client.read(load, own, cost.stdout), cost, [count / requests for count in tokens])


def _figures(said: Said, cost: Cost, tokens_per_request: list[float]) -> list[float]:
    times_s = (said.ttft_p50_s, said.ttft_p99_s, said.itl_p50_s, said.itl_mean_s, said.itl_p99_s)
    return [*(1e3 * time_s for time_s in times_s), cost.cpu_s, *tokens_per_request]


def _prompts(url: str) -> Callable[[Load], list[str]]:
    """What makes prompts as the planner makes them for this server, other ones each time."""

    async def measured() -> Calibration:
        async with OpenAIClient(Target(url), "chat", Timeouts(60)) as client:
            return await calibrate(client, NAME)

    calibration, runs = asyncio.run(measured()), itertools.count()

    def prompts(load: Load) -> list[str]:
        texts, tokens = Texts((next(runs),), calibration), calibration.text_tokens(load.input_tokens)
        return [texts.text(tokens, index) for index in range(load.requests)]

    return prompts


def _counted(url: str) -> list[float]:
    """The server's counters so far: of requests, of their prompts and of their answers [tokens]."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:  # noqa: S310 - our own server
        counters = parse_counters(reply.read().decode())
    return [(counters.total(name) if counters else None) or 0.0 for name in COUNTED]


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
        with on(cores()[0]):
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
