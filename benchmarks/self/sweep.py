"""Does a sweep find what a fine grid of loads finds, and how much sooner?

    python benchmarks/self/sweep.py [--vllm PROGRAM --model FOLDER]

Emulated servers, whose limits differ in kind; with --vllm a real one as well. Each is measured by a grid of forty
numbers of users, and by a sweep that finds its loads itself, with loads of the same length.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from real import served

from planner.engines.emulator.process import emulating

GRID_POINTS = 40
SLO = "ttft_p95_s=0.3"
NEAR_FRACTION, TIME_FRACTION = 0.05, 1 / 3
LIMITS = {
    "max_num_seqs": 256,
    "max_num_batched_tokens": 2048,
    "kv_cache_tokens": 200_000,
    "block_tokens": 16,
    "max_model_len": 4096,
}


@dataclass(frozen=True)
class Case:
    """A server and a load.

    Attributes:
        name: what limits the server.
        base_s, per_sequence_s: of an engine step [s].
        limits: other than LIMITS.
        most_users: of the grid.
        seconds: of each load [s].
        lengths: of prompts and answers [tokens].
    """

    name: str
    base_s: float
    per_sequence_s: float
    limits: dict[str, int]
    most_users: int
    seconds: float
    lengths: tuple[int, int] = (64, 32)

    def profile(self, folder: Path) -> Path:
        """As a file."""
        path = folder / "profile.json"
        steps = {"base": self.base_s, "per_prefill_token": 1e-5, "per_sequence": self.per_sequence_s}
        profile = {"schema": "planner.profile/1", "name": self.name, "basis": "emulated", "step_time_s": steps}
        path.write_text(json.dumps(profile | {"limits": LIMITS | self.limits}))
        return path


CASES = (
    Case("sequences at a time", 0.010, 2e-4, {"max_num_seqs": 24}, 80, 2.0),
    Case("time per sequence", 0.008, 1e-3, {}, 160, 3.0),
    Case("KV cache", 0.010, 1e-4, {"kv_cache_tokens": 4096}, 120, 3.0, (128, 64)),
)


def main() -> int:
    """Prints a table; 1 where a sweep missed the grid's best or took too long."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--vllm", type=Path, help="a vllm executable")
    options.add_argument("--model", type=Path, help="a folder with a model for it")
    given = options.parse_args()
    _tell("limited by", "grid [tokens/s]", "sweep [tokens/s]", "ratio", "users", "loads", "time / grid's", "within SLO")
    _tell(*8 * ["---"])
    is_kept = True
    for case, server in _cases(given.vllm, given.model):
        with server as url:
            is_kept &= _compare(case, url)
    return 0 if is_kept else 1


def _cases(vllm: Path | None, model: Path | None) -> Iterator[tuple[Case, AbstractContextManager[str]]]:
    for case in CASES:
        yield case, emulating(case.profile(Path(mkdtemp())))
    if vllm is not None and model is not None:
        real = Case(f"vLLM, model {model.name}, one core", 0.0, 0.0, {}, 80, 6.0, (96, 48))
        yield real, served(vllm, model, Path(mkdtemp()) / "vllm.log")


def _compare(case: Case, url: str) -> bool:
    step = case.most_users / GRID_POINTS
    users = sorted({max(1, round(step * number)) for number in range(1, GRID_POINTS + 1)})
    grid, grid_s = _bench(case, url, "--concurrency", ",".join(map(str, users)))
    found, sweep_s = _bench(case, url, "--slo", SLO)
    best = max(point["busy_output_tokens_per_s"] or point["output_tokens_per_s"] for point in grid["points"])
    saturation, within = found["sweep"]["saturation"], found["sweep"]["rate_within_slo"] or {}
    closed = [point for point in found["points"] if point["concurrency"] is not None]
    # Rates for the fit and for the service level come after; a grid of users tells nothing of them.
    share = sweep_s * len(closed) / len(found["points"]) / grid_s
    ratio = saturation["output_tokens_per_s"] / best
    is_kept = abs(ratio - 1) <= NEAR_FRACTION and share < TIME_FRACTION
    _tell(
        case.name,
        f"{best:,.0f}",
        f"{saturation['output_tokens_per_s']:,.0f}",
        f"{ratio:.3f}",
        saturation["users"],
        f"{len(closed)} of {len(found['points'])}",
        f"{share:.2f}, with rates {sweep_s / grid_s:.2f}",
        f"{within.get('met_requests_per_s')} to {within.get('missed_requests_per_s')} requests/s",
        "" if is_kept else "✗",
    )
    return is_kept


def _tell(*cells: object) -> None:
    sys.stdout.write("| " + " | ".join(map(str, cells)) + " |\n")
    sys.stdout.flush()


def _bench(case: Case, url: str, *more: str) -> tuple[dict[str, Any], float]:
    prompt, answer = map(str, case.lengths)
    seconds, warmup = str(case.seconds), str(case.seconds / 4)
    command = [sys.executable, "-m", "planner", "bench", "--url", url, "--sweep", "--json", "--quiet"]
    command += ["--input-tokens", prompt, "--output-tokens", answer, "--duration-s", seconds, "--warmup-s", warmup]
    begin_s = time.perf_counter()
    out = str(Path(mkdtemp()) / "run")
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, *more, "--out", out], capture_output=True, text=True, check=False
    )
    if not done.stdout:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout), time.perf_counter() - begin_s


if __name__ == "__main__":
    sys.exit(main())
