"""How often steady load points are taken for drifting ones, drift is missed, starts are cut, and intervals hold.

    python benchmarks/self/steady.py            # three minutes
    python benchmarks/self/steady.py --points 100

Load points are made up (series.py), by lognormal series and by the simulator, so that their truth is known. The same
seed gives the same tables.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from drift_rules import RULES
from numpy.typing import NDArray
from scipy.special import ndtri
from series import Point, closed, correlated, part, parts, served

from planner.core.intervals import rate_error_fraction, share_interval
from planner.core.latency import statistics
from planner.core.steady import NEAR_FRACTION, drift
from planner.loadtest.course import Course, course

Array = NDArray[np.float64]
Shape = Callable[[Array], Array]
"""From the place in the load point, 0 to 1, to a factor of latencies."""

SIZES = (50, 100, 300, 1000, 5000)
LIKENESS = (0.0, 0.3, 0.6, 0.9)
LOADS = tuple((load, sequences) for sequences in (256, 32) for load in (0.5, 0.8, 0.95))
USERS = (16, 64)
_SIMULATED, _CLOSED = 600_000, 40_000
_CLOSED_POINTS = 60

DRIFTS: dict[str, Shape] = {
    "+20 %": lambda t: 1 + 0.2 * t,
    "+50 %": lambda t: 1 + 0.5 * t,
    "+100 %": lambda t: 1 + t,
    "jump of 50 % at half": lambda t: 1 + 0.5 * (t > 0.5),
    "jump of 50 % at 80 %": lambda t: 1 + 0.5 * (t > 0.8),
    "one wave of ±50 %": lambda t: 1 + 0.5 * np.sin(2 * np.pi * t),
    "ten waves of ±50 %": lambda t: 1 + 0.5 * np.sin(20 * np.pi * t),
}
STARTS: dict[str, tuple[Shape, float]] = {
    "3 × for the first 10 %": (lambda t: 1 + 2.0 * (t < 0.1), 0.1),
    "1.5 × for the first 20 %": (lambda t: 1 + 0.5 * (t < 0.2), 0.2),
    "3 ×, falling by e in 5 %": (lambda t: 1 + 2 * np.exp(-t / 0.05), 0.15),
    "from 0.3 × in a line to 15 %": (lambda t: np.minimum(1.0, 0.3 + 0.7 * t / 0.15), 0.15),
}
"""With the share of the point until 10 % of the difference is left."""


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--points", type=int, default=400, help="load points of each kind and size [default: 400]")
    points = parser.parse_args().points
    long = {_simulated(load, sequences): served(load, sequences, _SIMULATED, 1) for load, sequences in LOADS}
    for users in USERS:
        whole = closed(np.random.default_rng(users), users, _CLOSED)
        long[f"closed loop, {users} users"] = part(whole, 3 * users, _CLOSED - 3 * users)
    for tell in (steady, drifting, started, others, covered):
        for line in tell(points, long):
            sys.stdout.write(line + "\n")
        sys.stdout.write("\n")
        sys.stdout.flush()


def steady(points: int, long: dict[str, Point]) -> Iterator[str]:
    """False alarms."""
    yield "## Steady load points: not steady / cannot be told / start cut [%]\n"
    yield from _head("series", SIZES)
    for name, made in _kinds(points, long):
        cells = []
        for n in SIZES:
            went = [_went(point) for point in made(n)]
            cells.append(
                f"{_percent(seen.is_steady is False for seen in went)} / "
                f"{_percent(seen.is_steady is None for seen in went)} / {_percent(seen.left_out > 0 for seen in went)}"
            )
        yield _row(name, cells)
    told = (f"{name} {_went(whole).in_flight or 0.0:.0f}" for name, whole in long.items() if "users" not in name)
    yield f"\nRequests in flight, on average: {'; '.join(told)}."


def drifting(points: int, long: dict[str, Point]) -> Iterator[str]:
    """Misses."""
    yield "## Drift over the load point: not steady [%]\n"
    yield from _head("series, drift", SIZES)
    for name, made in _kinds(points, long):
        if name.endswith(("0.9", "95 % load")):
            continue
        samples = [list(made(n)) for n in SIZES]
        for drifted, shape in DRIFTS.items():
            cells = []
            for sample in samples:
                went = [_went(point.slowed(shape(_places(point)))) for point in sample]
                cells.append(_percent(seen.is_steady is False for seen in went))
            yield _row(f"{name}, {drifted}", cells)


def started(points: int, long: dict[str, Point]) -> Iterator[str]:
    """Starts."""
    yield "## A start of known length: cut at all / at half to twice of it [%]\n"
    yield from _head("series, start", SIZES)
    for name, made in _kinds(points, long):
        if name.endswith(("0.9", "95 % load", "users")):
            continue
        samples = [list(made(n)) for n in SIZES]
        for start, (shape, length) in STARTS.items():
            cells = []
            for sample in samples:
                cuts = np.array([_went(point.slowed(shape(_places(point)))).left_out for point in sample])
                cells.append(_cuts(cuts, length * sample[0].due_s.size))
            yield _row(f"{name}, {start}", cells)
    rng = np.random.default_rng(5)
    for users in USERS:
        cells = []
        for n in SIZES:
            loops = [_went(closed(rng, users, n)) for _ in range(min(points, _CLOSED_POINTS, 60_000 // n))]
            cells.append(_cuts(np.array([seen.left_out for seen in loops]), users))
        yield _row(f"closed loop, {users} users at once", cells)


def others(points: int, long: dict[str, Point]) -> Iterator[str]:
    """Other rules."""
    yield "## Rules beside each other, on one series: drift found [%]\n"
    sizes = (300, 1000)
    yield from _head("rule", [f"{name}, {n}" for name in ("φ 0", "φ 0.6", "TTFT", "TPOT", "φ 0 +50 %") for n in sizes])
    samples: list[list[tuple[Array, float]]] = []
    for phi in (0.0, 0.6):
        for n in sizes:
            samples.append([(point.ttft_s, 1.0) for point in correlated(np.random.default_rng(3), points, n, phi)])
    busy = long[_simulated(0.8, 32)]
    for what in ("ttft_s", "tpot_s"):
        for n in sizes:
            made = ((point, _went(point).in_flight or 1.0) for point in parts(busy, n, points))
            samples.append([(_known(getattr(point, what)), in_flight) for point, in_flight in made])
    for n in sizes:
        grown = 1 + 0.5 * np.linspace(0, 1, n)
        samples.append([(point.ttft_s * grown, 1.0) for point in correlated(np.random.default_rng(3), points, n, 0.0)])
    for name, rule in RULES.items():
        yield _row(
            name, [_percent(_is_large(values) and rule(np.log(values)) for values, _ in made) for made in samples]
        )
    yield _row(
        "ours",
        [_percent((seen := drift(*each)) is not None and seen.is_found for each in made) for made in samples],
    )


def covered(points: int, long: dict[str, Point]) -> Iterator[str]:
    """Intervals."""
    yield "## 95 % intervals that hold the truth, of those that there are [%]; those that cannot be told [%]"
    yield "\nEach as if requests were independent → as it is.\n"
    yield from _head("series, figure", SIZES)
    for name, made in _kinds(points, long):
        whole = long.get(name)
        truths = _truths(np.exp(_lognormal()) if whole is None else whole.ttft_s)
        samples = [[(point, _went(point).in_flight) for point in made(n)] for n in SIZES]
        for figure in ("mean", "p50", "p95"):
            cells = [_coverage(sample, figure, truths[figure]) for sample in samples]
            yield _row(f"{name}, TTFT {figure}", cells)
        if whole is None:
            continue
        span_s = float(whole.due_s[-1] - whole.due_s[0])
        limit_s = float(np.quantile(whole.ttft_s, 0.9))
        tokens_per_s = float(whole.output_tokens[:-1].sum()) / span_s
        yield _row(f"{name}, output tokens/s", [_of_tokens(sample, tokens_per_s) for sample in samples])
        yield _row(f"{name}, goodput of 90 %", [_of_goodput(sample, limit_s) for sample in samples])


# ---- what is counted


def _coverage(sample: Sequence[tuple[Point, float | None]], figure: str, truth: float) -> str:
    found, plain = [], []
    for point, in_flight in sample:
        found.append(getattr(statistics(point.ttft_s, in_flight), f"ci95_{figure}"))
        if figure == "mean":
            reach = 1.96 * float(point.ttft_s.std(ddof=1)) / np.sqrt(point.ttft_s.size)
            plain.append((float(point.ttft_s.mean()) - reach, float(point.ttft_s.mean()) + reach))
        else:
            plain.append(getattr(statistics(point.ttft_s), f"ci95_{figure}"))
    return f"{_held(plain, truth)} → {_held(found, truth)}; {_percent(interval is None for interval in found)}"


def _of_tokens(sample: Sequence[tuple[Point, float | None]], truth: float) -> str:
    found = []
    for point, in_flight in sample:
        error = None if in_flight is None else rate_error_fraction(point.output_tokens, point.due_s, in_flight)
        rate = float(point.output_tokens[:-1].sum()) / float(point.due_s[-1] - point.due_s[0])
        found.append(None if error is None else (rate * (1 - error), rate * (1 + error)))
    return f"{_held(found, truth)}; {_percent(interval is None for interval in found)}"


def _of_goodput(sample: Sequence[tuple[Point, float | None]], limit_s: float) -> str:
    found = [
        None if in_flight is None else share_interval((point.ttft_s <= limit_s).astype(np.float64), in_flight)
        for point, in_flight in sample
    ]
    return f"{_held(found, 0.9)}; {_percent(interval is None for interval in found)}"


def _held(intervals: Sequence[tuple[float, float] | None], truth: float) -> str:
    known = [interval for interval in intervals if interval is not None]
    return _percent(low <= truth <= high for low, high in known) if known else "–"


def _truths(values: Array) -> dict[str, float]:
    p50, p95 = np.quantile(values, [0.5, 0.95])
    return {"mean": float(values.mean()), "p50": float(p50), "p95": float(p95)}


def _lognormal() -> Array:
    """Of which the mean and quantiles are those of the series: its own quantiles, evenly spread."""
    return np.asarray(np.sqrt(np.log1p(0.25)) * ndtri((np.arange(2_000_000) + 0.5) / 2_000_000))


def _cuts(cuts: NDArray[np.int64], length: float) -> str:
    return f"{_percent(cuts > 0)} / {_percent((cuts >= length / 2) & (cuts <= 2 * length))}"


def _is_large(values: Array) -> bool:
    """Whether a line through a series changes by more than a tenth, as ours must."""
    places = np.linspace(-0.5, 0.5, values.size)
    return bool(abs(places @ np.log(values) / (places @ places)) > np.log1p(NEAR_FRACTION))


# ---- load points


def _kinds(points: int, long: dict[str, Point]) -> Iterator[tuple[str, Callable[[int], Iterable[Point]]]]:
    for phi in LIKENESS:
        name = "independent" if phi == 0 else f"AR(1), φ {phi}"
        yield name, lambda n, phi=phi: correlated(np.random.default_rng([n, 7]), points, n, phi)  # type: ignore[misc]
    for name, whole in long.items():
        yield name, lambda n, whole=whole: parts(whole, n, points)  # type: ignore[misc]


def _simulated(load: float, sequences: int) -> str:
    return f"{sequences} sequences, {load:.0%} load".replace("%", " %")


def _went(point: Point) -> Course:
    return course(point.columns(), np.ones(point.due_s.size, dtype=np.bool_), point.users)


def _places(point: Point) -> Array:
    return (np.arange(point.due_s.size) + 0.5) / point.due_s.size


def _known(values: Array) -> Array:
    return values[~np.isnan(values)]


# ---- tables


def _head(name: str, columns: Sequence[object]) -> Iterator[str]:
    yield _row(name, [f"{column:,}" if isinstance(column, int) else str(column) for column in columns])
    yield "| --- |" + " ---: |" * len(columns)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def _percent(flags: Iterable[bool]) -> str:
    found = list(flags)
    share = 100 * float(np.mean(found)) if found else float("nan")
    return f"{share:.1f}" if 0 < share < 10 else f"{share:.0f}"


if __name__ == "__main__":
    main()
