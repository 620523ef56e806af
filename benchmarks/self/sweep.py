"""Does a sweep find what a fine grid of loads finds, and how much sooner?

    python benchmarks/self/sweep.py [--vllm PROGRAM --model FOLDER]

Emulated servers, whose limits differ in kind; with --vllm a real one as well. Each is measured by a grid of forty
numbers of users and one of sixteen rates, and by a sweep that finds its loads itself, with loads of the same length.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from real import served

from planner.engines.emulator.process import emulating

GRID_POINTS = 40
GRID_RATES, RATES_SHARES = 16, (0.5, 1.1)
"""Of saturation, the lowest and the highest; five percent apart."""
TTFT_P95_S = 0.3
NEAR_FRACTION, TIME_FRACTION = 0.05, 1 / 3
COLUMNS = (
    "limited by",
    "grid [tokens/s]",
    "sweep [tokens/s]",
    "ratio",
    "users",
    "loads",
    "time / grid's",
    "within SLO [requests/s]",
    "by a grid of rates",
    "ratio",
)
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
    _tell(*COLUMNS)
    _tell(*len(COLUMNS) * ["---"])
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
    found, sweep_s = _bench(case, url, "--slo", f"ttft_p95_s={TTFT_P95_S}")
    best = max(point["busy_output_tokens_per_s"] or point["output_tokens_per_s"] for point in grid["points"])
    saturation, within = found["sweep"]["saturation"], found["sweep"]["rate_within_slo"] or {}
    rates = np.geomspace(*RATES_SHARES, GRID_RATES) * best / case.lengths[1]
    by_rate, _ = _bench(case, url, "--rate", ",".join(f"{rate:.3g}" for rate in rates))
    edge = _edge([(point["offered_requests_per_s"], _is_within(point)) for point in by_rate["points"]])
    ends = [within[end] for end in ("met_requests_per_s", "missed_requests_per_s") if within.get(end)]
    near = NEAR_FRACTION + (within.get("known_to_fraction") or 0.0)
    rate_ratio = math.prod(ends) ** (1 / len(ends)) / edge if ends else math.nan
    closed = [point for point in found["points"] if point["concurrency"] is not None]
    # Rates for the fit and for the service level come after; a grid of users tells nothing of them.
    share = sweep_s * len(closed) / len(found["points"]) / grid_s
    ratio = saturation["output_tokens_per_s"] / best
    is_kept = abs(ratio - 1) <= NEAR_FRACTION and share < TIME_FRACTION and abs(rate_ratio - 1) <= near
    _tell(
        case.name,
        f"{best:,.0f}",
        f"{saturation['output_tokens_per_s']:,.0f}",
        f"{ratio:.3f}",
        saturation["users"],
        f"{len(closed)} of {len(found['points'])}",
        f"{share:.2f}, with rates {sweep_s / grid_s:.2f}",
        f"{within.get('met_requests_per_s')} to {within.get('missed_requests_per_s')}",
        f"{edge:.3g}",
        f"{rate_ratio:.3f} ± {near:.2f}",
        "" if is_kept else "✗",
    )
    return is_kept


def _is_within(point: dict[str, Any]) -> bool:
    p95_s = point["ttft_s"]["p95"]
    return p95_s is not None and p95_s <= TTFT_P95_S and not point["is_saturated"]


def _edge(found: list[tuple[float, bool]]) -> float:
    """The rate below which most met the service level, and above which most did not [requests/s]."""
    found = sorted(found)
    wrong = [
        sum(not met for _, met in found[:count]) + sum(met for _, met in found[count:])
        for count in range(len(found) + 1)
    ]
    first = wrong.index(min(wrong))
    last = len(wrong) - 1 - wrong[::-1].index(min(wrong))
    return math.sqrt(found[max(0, first - 1)][0] * found[min(last, len(found) - 1)][0])


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
