"""The load generators that are measured: how each is started, and what it says in the end."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
PLANNER, BARE = "planner", "bare client"

_OFFLINE = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True)
class Load:
    """What is asked of a server.

    Attributes:
        requests: how many.
        users: of a closed loop; None in an open one.
        rate: of an open loop [requests/s]; its arrivals are Poisson's.
        input_tokens, output_tokens: of each request.
        more: options of ours on top, as they are typed.
    """

    requests: int
    users: int | None = None
    rate: float | None = None
    input_tokens: int = 64
    output_tokens: int = 64
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """A client's own figures.

    Attributes:
        ok: requests that it says went well.
        output_tokens: of all of them, as it counted.
        ttft_p50_s, ttft_p99_s: as it defines them [s].
        itl_p50_s, itl_p99_s, itl_mean_s: gaps between tokens, pooled over requests [s].
        input_tokens: likewise, of prompts; None where it does not tell.
        has_whole_requests: each request has as many tokens as asked, by usage and by chunks; None where it does not
            tell.
    """

    ok: int
    output_tokens: int
    ttft_p50_s: float
    ttft_p99_s: float
    itl_p50_s: float
    itl_p99_s: float
    itl_mean_s: float
    input_tokens: int | None = None
    has_whole_requests: bool | None = None


@dataclass(frozen=True)
class Client:
    """A load generator.

    Attributes:
        name: as tables show it.
        command: from URL, model, load and an empty folder to what is run.
        read: from the load, that folder and standard output to what it says.
        environment: variables that it needs.
        exit_codes: with which it says that it has measured.
    """

    name: str
    command: Callable[[str, str, Load, Path], list[str]]
    read: Callable[[Load, Path, str], Said]
    environment: Mapping[str, str]
    exit_codes: frozenset[int] = frozenset({0})


def ours() -> Client:
    """The planner's own, of this checkout. Exit code 4 says that it was saturated: measured all the same."""
    return Client(PLANNER, _our_command, _our_figures, {}, frozenset({0, 4}))


def bare() -> Client:
    """The lower bound."""
    return Client(BARE, _bare_command, lambda _, __, out: Said(**json.loads(out)), {})


def vllm(program: Path, model: Path, prompts: Callable[[Load], list[str]] | None = None) -> Client:
    """`vllm bench serve`, which needs a tokenizer: that of a model on disk. Its prompts are random ones, or these."""

    def command(url: str, name: str, load: Load, folder: Path) -> list[str]:
        if prompts is None:
            what = ["--dataset-name", "random", "--random-input-len", f"{load.input_tokens}"]
            what += ["--random-output-len", f"{load.output_tokens}"]
        else:
            file = folder / "prompts.jsonl"
            file.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in prompts(load)), encoding="utf-8")
            what = ["--dataset-name", "custom", "--dataset-path", str(file), "--custom-output-len"]
            what += [f"{load.output_tokens}", "--skip-chat-template", "--disable-shuffle"]
        return [
            *(str(program), "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions"),
            *("--base-url", url, "--model", name, "--tokenizer", str(model), *what),
            *("--num-prompts", f"{load.requests}", "--ignore-eos", "--disable-tqdm", "--temperature", "0"),
            *([] if load.rate is None else ["--request-rate", f"{load.rate}"]),
            *([] if load.users is None else ["--max-concurrency", f"{load.users}"]),
            *("--save-result", "--save-detailed", "--result-dir", str(folder), "--result-filename", "result.json"),
        ]

    return Client("vllm bench serve", command, _vllm_figures, _OFFLINE)


def servebench(program: Path) -> Client:
    """PyPI's servebench."""

    def command(url: str, name: str, load: Load, folder: Path) -> list[str]:
        how = ["--concurrency", f"{load.users}"] if load.rate is None else ["--rate", f"{load.rate}"]
        return [
            *(str(program), "run", "--url", f"{url}/v1", "--model", name, *how, "--num-requests", f"{load.requests}"),
            *("--input-len", f"{load.input_tokens}", "--output-len", f"{load.output_tokens}", "--warmup", "0"),
            *("--no-gpu", "--seed", "0", "--out", str(folder / "run.json")),
        ]

    return Client("servebench", command, _servebench_figures, {})


def _our_command(url: str, model: str, load: Load, folder: Path) -> list[str]:
    how = ["--concurrency", f"{load.users}"] if load.rate is None else ["--rate", f"{load.rate}"]
    return [
        *(sys.executable, "-m", "planner", "bench", "--url", url, "--model", model, *how),
        *("--requests", f"{load.requests}", "--json", "--quiet", "--out", str(folder / "run"), *load.more),
        *("--input-tokens", f"{load.input_tokens}", "--output-tokens", f"{load.output_tokens}"),
    ]


def our_records(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run of ours."""
    with (folder / "run" / "requests-000.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _our_figures(load: Load, folder: Path, out: str) -> Said:
    point = json.loads(out)
    records = our_records(folder)
    told = {(entry["output_tokens"], len(entry["gaps_s"]) + 1) for entry in records}
    return Said(
        ok=point["requests"]["ok"],
        output_tokens=sum(entry["output_tokens"] or 0 for entry in records),
        ttft_p50_s=point["ttft_s"]["p50"],
        ttft_p99_s=point["ttft_s"]["p99"],
        itl_p50_s=point["itl_s"]["p50"],
        itl_p99_s=point["itl_s"]["p99"],
        itl_mean_s=point["itl_s"]["mean"],
        input_tokens=sum(entry["input_tokens"] or 0 for entry in records),
        has_whole_requests=told == {(load.output_tokens, load.output_tokens)},
    )


def _bare_command(url: str, _: str, load: Load, __: Path) -> list[str]:
    how = ["--users", f"{load.users}"] if load.rate is None else ["--rate", f"{load.rate}"]
    lengths = ["--input-tokens", f"{load.input_tokens}", "--output-tokens", f"{load.output_tokens}"]
    return [sys.executable, str(HERE / "bare_client.py"), url, *how, "--requests", f"{load.requests}", *lengths]


def _vllm_figures(_: Load, folder: Path, __: str) -> Said:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    gaps_s = np.concatenate([np.asarray(gaps, float) for gaps in result["itls"]])
    return _said(result["completed"], result["total_output_tokens"], np.asarray(result["ttfts"], float), gaps_s)


def _servebench_figures(_: Load, folder: Path, __: str) -> Said:
    level = json.loads((folder / "run.json").read_text(encoding="utf-8"))["levels"][0]
    answered = [entry for entry in level["requests"] if entry["ok"]]
    gaps_s = np.concatenate([np.diff(entry["chunk_times"]) for entry in answered])
    tokens = sum(entry["output_tokens"] for entry in answered)
    return _said(len(answered), tokens, np.array([entry["ttft"] for entry in answered]), gaps_s)


def _said(ok: int, tokens: int, ttft_s: np.ndarray, gaps_s: np.ndarray) -> Said:
    ttft_p50_s, ttft_p99_s = np.percentile(ttft_s, (50, 99)).tolist()
    itl_p50_s, itl_p99_s = np.percentile(gaps_s, (50, 99)).tolist()
    return Said(ok, tokens, ttft_p50_s, ttft_p99_s, itl_p50_s, itl_p99_s, float(gaps_s.mean()))
