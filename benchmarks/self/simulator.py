"""How many requests the simulator serves in a second, and whether its jumps are what its stepper does.

    python benchmarks/self/simulator.py [--only speed growth start month agreement] [--vidur COMMAND]

Prints tables in Markdown; 1 where a limit is missed. It takes about a minute and, for the month, 2 GiB.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a core is a core

import argparse
import json
import shlex
import statistics as medians
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from pinned import Cost, on, run
from plain_stepper import plain_steps

from planner.core.latency import statistics
from planner.core.simulate import Arrivals, Method, Served, gap_quantiles_s, simulate
from planner.loadtest.course import requests_in_flight
from planner.schema.profile import Limits, Profile, StepTime

Array = NDArray[np.float64]

REPOSITORY = Path(__file__).parents[2]

LEAST_PER_S = 3e6
"""Requests a second of one core, with all that is told of them."""
MOST_GROWTH = 1.5
"""Time of a request among ten million, to that among a hundred thousand."""
MOST_START_S = 2.0
MOST_MONTH_S, MOST_MONTH_MIB = 60.0, 2048.0
MOST_APART = 0.005
"""Of percentiles by jumps and by steps."""
FRACTIONS = (0.5, 0.95, 0.99)

TOY = Profile(
    schema="planner.profile/1",
    name="8B on one H100, roughly",
    basis="estimated",
    step_time_s=StepTime(base=0.006, per_prefill_token=2.1e-5, per_sequence=2e-5, per_context_token=3e-8),
    limits=Limits(
        max_num_seqs=256, max_num_batched_tokens=2048, kv_cache_tokens=440_000, block_tokens=16, max_model_len=32_768
    ),
)
LOADS = ((1.0, 1.0), (5.0, 1.0), (10.0, 1.0), (15.0, 1.0), (16.0, 1.0), (10.0, 4.0))
"""Requests a second, and the squared CV of the gaps between them."""
JUMPED, STEPPED, PLAIN = 1_000_000, 100_000, 2_000
"""Requests that each serves for its speed."""
ROUNDS = 3
GROWTH = (100_000, 1_000_000, 10_000_000)
COMPARED = 30_000
LENGTHS = {"conversation": 1.0, "a tenth as long": 0.1, "three times as long": 3.0}
"""Prompts and answers, as multiples of the conversation's."""
MONTH = ("--replicas", "10", "--rate", "10", "--requests", "26000000")
MONTH_LENGTHS = ("--input-tokens", "lognormal:p50=1020,p95=2300", "--output-tokens", "lognormal:p50=129,p95=620")


def conversation(
    requests: int, rate_per_s: float, squared_cv: float = 1.0, seed: int = 1, times: float = 1.0
) -> Arrivals:
    """Requests with the lengths of the public Azure trace of 2023, conversations, by its quantiles.

    Prompts: median 1020, p90 2735, p99 4142, mean 1155 tokens; answers: 129, 424, 601, 211.
    """
    rng = np.random.default_rng(seed)
    gaps_s = rng.gamma(1 / squared_cv, squared_cv / rate_per_s, requests)
    shares = [0.0, 0.5, 0.9, 0.99, 1.0]
    prompt = np.exp(np.interp(rng.random(requests), shares, np.log([10, 1020, 2735, 4142, 6000])))
    output = np.interp(rng.random(requests), shares, [58, 129, 424, 601, 1000])
    lengths = (np.maximum(1, np.rint(tokens * times)).astype(np.int32) for tokens in (prompt, output))
    return Arrivals.of(np.cumsum(gaps_s), *lengths)


def main() -> int:
    """Prints the tables that are asked for; 1 where a limit is missed."""
    parts: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
        "speed": speed,
        "growth": growth,
        "start": start,
        "month": month,
        "agreement": agreement,
    }
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", nargs="+", choices=list(parts), default=list(parts))
    options.add_argument("--vidur", help="a command that simulates {requests} requests at {rate} a second with Vidur")
    given = options.parse_args()
    is_missed = False
    for name in given.only:
        for line in parts[name](given):
            is_missed |= "✗" in line
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        sys.stdout.write("\n")
    return 1 if is_missed else 0


def speed(given: argparse.Namespace) -> Iterator[str]:
    """Requests of a second, by the jump, the stepper, and others."""
    with on({max(os.sched_getaffinity(0))}):
        yield from _speeds(given.vidur)


def _speeds(vidur: str | None) -> Iterator[str]:
    for method in get_args(Method):
        _all_told(conversation(1000, 10.0), method)  # compiles
    yield _row("requests/s of load, squared CV", *(f"{rate:g}, {squared_cv:g}" for rate, squared_cv in LOADS))
    yield _row("---", *["---:"] * len(LOADS))
    jumped: list[str] = []
    alone: list[str] = []
    stepped: list[str] = []
    for rate_per_s, squared_cv in LOADS:
        many, fewer = conversation(JUMPED, rate_per_s, squared_cv), conversation(STEPPED, rate_per_s, squared_cv)
        per_s = _per_core_s(JUMPED, lambda many=many: _all_told(many, "jump"))  # type: ignore[misc]
        jumped.append(f"{per_s:,.0f}{_mark(per_s >= LEAST_PER_S)}")
        alone.append(f"{_per_core_s(JUMPED, lambda many=many: simulate(TOY, 1, many)):,.0f}")  # type: ignore[misc]
        steps = _per_core_s(STEPPED, lambda fewer=fewer: _all_told(fewer, "stepper"))  # type: ignore[misc]
        stepped.append(f"{steps:,.0f}")
    yield _row("jump, with every percentile and its interval", *jumped)
    yield _row("jump, schedule alone", *alone)
    yield _row("stepper, with every percentile and its interval", *stepped)
    yield _row("plain Python, schedule alone", *(f"{_plain_per_s(*load):,.0f}" for load in LOADS))
    if vidur is not None:
        yield _row("Vidur", *(f"{_vidur_per_s(vidur, rate):,.0f}" for rate, _ in LOADS))


def growth(_: argparse.Namespace) -> Iterator[str]:
    """Time of a request among more and more of them."""
    _all_told(conversation(1000, 10.0), "jump")
    each_ns = []
    for requests in GROWTH:
        load = conversation(requests, 10.0)
        each_ns.append(1e9 / _per_core_s(requests, lambda load=load: _all_told(load, "jump")))  # type: ignore[misc]
    yield _row("requests, at 10/s", *(f"{requests:,}" for requests in GROWTH))
    yield _row("---", *["---:"] * len(GROWTH))
    is_kept = each_ns[-1] <= MOST_GROWTH * each_ns[0]
    yield _row(
        "processor time of each [ns]", *(f"{each:,.0f}" for each in each_ns[:-1]), f"{each_ns[-1]:,.0f}{_mark(is_kept)}"
    )


def start(_: argparse.Namespace) -> Iterator[str]:
    """The first command on a machine, which compiles, and the second."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("--rate", "10", "--requests", "10000", *MONTH_LENGTHS)
        took_s = [_simulated(Path(folder), options, {"NUMBA_CACHE_DIR": folder}).wall_s for _ in range(2)]
    yield _row("`planner simulate`, 10,000 requests", "first", "second")
    yield _row("---", "---:", "---:")
    yield _row("time [s]", f"{took_s[0]:.1f}", f"{took_s[1]:.1f}{_mark(took_s[1] <= MOST_START_S)}")


def month(_: argparse.Namespace) -> Iterator[str]:
    """A month on ten replicas: the whole command, drawing the arrivals included."""
    with tempfile.TemporaryDirectory() as folder:
        cost = _simulated(Path(folder), (*MONTH, *MONTH_LENGTHS), {})
    found = json.loads(cost.stdout) if cost.exit_code == 0 else {"wall_s": float("nan")}
    columns = ("time [s]", "of it simulation and percentiles [s]", "peak memory [MiB]", "exit code")
    yield _row(f"`planner simulate {' '.join(MONTH)} …`", *columns)
    yield _row("---", "---:", "---:", "---:", "---:")
    yield _row(
        "a month, each request to the replica with the fewest outstanding",
        f"{cost.wall_s:.1f}{_mark(cost.wall_s <= MOST_MONTH_S)}",
        f"{found['wall_s']:.1f}",
        f"{cost.peak_rss_mib:,.0f}{_mark(cost.peak_rss_mib <= MOST_MONTH_MIB)}",
        f"{cost.exit_code}{_mark(cost.exit_code == 0)}",
    )


def agreement(_: argparse.Namespace) -> Iterator[str]:
    """Largest difference of percentiles, and of the time of any token, between jump and stepper."""
    yield _row("lengths", "replicas", "p50, p95, p99 apart by [%]", "first and last tokens by [s]", "loads", "by steps")
    yield _row("---", "---:", "---:", "---:", "---:", "---:")
    for (name, times), replicas in product(LENGTHS.items(), (1, 4)):
        apart, latest_s, by_steps = 0.0, 0.0, 0
        loads = list(product((1.0, 5.0, 10.0, 15.0, 16.0), (1.0, 4.0)))
        for rate_per_s, squared_cv in loads:
            load = conversation(COMPARED, replicas * rate_per_s / times, squared_cv, 2, times)
            jumped, stepped = simulate(TOY, replicas, load), simulate(TOY, replicas, load, method="stepper")
            by_steps += jumped.method == "stepper"
            apart = max(apart, *_apart(jumped, stepped))
            latest_s = max(latest_s, float(np.abs(jumped.last_token_s - stepped.last_token_s).max()))
            latest_s = max(latest_s, float(np.abs(jumped.first_token_s - stepped.first_token_s).max()))
        shown = f"{100 * apart:.2g}{_mark(apart <= MOST_APART)}"
        yield _row(name, str(replicas), shown, f"{latest_s:.1g}", str(len(loads)), str(by_steps))


def _all_told(load: Arrivals, method: Method) -> None:
    """What `planner simulate` tells of latencies."""
    served = simulate(TOY, 1, load, method=method)
    e2e_s, tpot_s = served.e2e_s, served.tpot_s
    in_flight = requests_in_flight(load.arrival_s, e2e_s)
    for series in (served.ttft_s, tpot_s[~np.isnan(tpot_s)], e2e_s, served.queue_s):
        statistics(series, in_flight)
    gap_quantiles_s(served.gaps, np.array([0.5, 0.9, 0.95, 0.99]))


def _apart(one: Served, other: Served) -> Iterator[float]:
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        values, others = (np.nanquantile(getattr(served, name), FRACTIONS) for served in (one, other))
        yield from np.abs(values / others - 1)
    values, others = (gap_quantiles_s(served.gaps, np.array(FRACTIONS)) for served in (one, other))
    yield from np.abs(values / others - 1)


def _per_core_s(requests: int, work: Callable[[], object]) -> float:
    """Requests a second of one core, the median of a few rounds: by processor time, since others use the machine."""
    took_s = []
    for _ in range(ROUNDS):
        start_s = time.process_time()
        work()
        took_s.append(time.process_time() - start_s)
    return requests / medians.median(took_s)


def _plain_per_s(rate_per_s: float, squared_cv: float) -> float:
    load, costs = conversation(PLAIN, rate_per_s, squared_cv), TOY.step_time_s
    requests = list(zip(load.arrival_s.tolist(), load.prompt_tokens.tolist(), load.output_tokens.tolist(), strict=True))
    step_time_s = (costs.base, costs.per_prefill_token, costs.per_sequence, costs.per_context_token)
    limits = TOY.limits
    return _per_core_s(
        PLAIN, lambda: plain_steps(requests, step_time_s, limits.max_num_seqs, limits.max_num_batched_tokens)
    )


def _vidur_per_s(command: str, rate_per_s: float) -> float:
    """By what a thousand requests more take, so that its start does not count."""
    took_s = []
    for requests in (1000, 2000):
        start_s = time.perf_counter()
        subprocess.run(  # noqa: S603 - what the user asks for
            shlex.split(command.format(requests=requests, rate=rate_per_s)), check=True, capture_output=True
        )
        took_s.append(time.perf_counter() - start_s)
    return 1000 / (took_s[1] - took_s[0])


def _simulated(folder: Path, options: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """What a whole command costs."""
    path = folder / "profile.json"
    path.write_text(TOY.model_dump_json(by_alias=True, exclude_none=True))
    command = [sys.executable, "-m", "planner", "simulate", "--profile", str(path), *options, "--json", "--quiet"]
    return run(command, os.sched_getaffinity(0), folder, {"PYTHONPATH": str(REPOSITORY), **environment})


def _mark(is_kept: bool) -> str:
    return "" if is_kept else " ✗"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
