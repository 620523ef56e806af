"""Whether a series of latencies settled: the start that does not belong to the rest, and drift in what is left."""

from dataclasses import dataclass

import numpy as np

from planner.core.batches import LEAST_BATCHES, batch_means, batch_size, long_run, student
from planner.core.quantiles import Array

LEAST_REQUESTS = 50
"""Fewer say too little: of 100 independent latencies with a coefficient of variation of 0.5, a doubling is found 88
times in a hundred; of 50, 22 times (benchmarks/steady.md)."""
LEAST_TIMES_OVER = 10
"""Times that the requests in flight were replaced: in less, slow ups and downs look like drift."""
_LONG_TIMES_OVER = 100
"""From here on, slow ups and downs are told from other shapes; below, what stands out must do so by more."""
NEAR_FRACTION = 0.1
"""Changes by less make no difference to a plan."""
_MSER_BATCH = 5
_MOST_CUT_FRACTION = 0.45
"""MSER looks up to half; a smallest error near there is that of a drift, or of a change in the middle."""
MOST_BATCHES = 100
"""Of which an autoregression is made: enough for it, and few enough to span slow ups and downs."""
_Z_DRIFT, _Z_DRIFT_SHORT = 2.713, 3.290527
"""Two-sided, 2 % for TTFT, TPOT and the pace of requests together (Bonferroni); 0.1 % for each where it is short."""
_EXPLAINED, _EXPLAINED_SHORT = 0.957, 0.967
"""Shares of the variance that a straight line explains of a random walk with those chances: where noise is small, what
is left beside a curved drift looks like a walk, and this still tells."""
_Z_CUT, _Z_CUT_SHORT = 5.5, 7.0
"""The cut is chosen among many, so that it must stand out by more than one that was given. So far out, student gives
the quantile of few degrees of freedom only roughly; how often the rule errs is measured (benchmarks/steady.md)."""
_FIRST_FRACTION = 0.5
_Z_POWER = 1.281552
_TOLD_FRACTION = 1.0
"""A point is called steady only where such a change would have been found nine times in ten."""
_FLOOR_FRACTION = 1e-3


@dataclass(frozen=True)
class Drift:
    """How a series changed from the start of a line through it to the end.

    Attributes:
        change_fraction: of its geometric mean: 0.5 is growth by half.
        low, high: ends of the 95 % interval of change_fraction.
        is_found: the change is more than a tenth either way, and more than chance at the level of 0.67 %; of 0.1 %
            where the requests in flight were replaced less than a hundred times.
        is_telling: a doubling would have been found nine times in ten.
    """

    change_fraction: float
    low: float
    high: float
    is_found: bool
    is_telling: bool


def settled_from(values: Array, in_flight: float, is_closed: bool = False) -> int:
    """How many of the first values to leave out, since they do not belong to the rest: 0 of a steady series.

    MSER-5: of means of five, as many are cut as make the standard error of the mean of the rest smallest, at most half.
    They are left out only where it matters, and where it is a start and no drift:

    - the geometric means of what is cut and of the rest differ by more than a tenth, and by more than 5.5 standard
      errors of the difference, which allow for the likeness of neighbours; by 7 in an open loop where the requests in
      flight were replaced less than a hundred times, since busy times come and go in it;
    - in an open loop, the first quarter of what is cut differs by at least half as much, as a start does and a busy
      time need not; in a closed one, the first of those who ask at once need not wait;
    - the step explains more of the variance than a straight line through all values, and comes before 45 % of them.

    Args:
        values: latencies in the order in which requests were due, shape (n,).
        in_flight: requests in flight at a time, on average [requests].
        is_closed: whether as many are in flight at all times.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> values = rng.lognormal(0.0, 0.3, 500)
        >>> settled_from(values, 4.0)
        0
        >>> values[:40] *= 3
        >>> settled_from(values, 4.0)
        45

    Source: White, "An Effective Truncation Heuristic for Bias Reduction in Simulation Output", Simulation 69 (1997);
    White, Cobb and Spratt, "A Comparison of Five Steady-State Truncation Heuristics for Simulation", Proceedings of the
    Winter Simulation Conference (2000). The conditions are ours; benchmarks/steady.md has how often they err.
    """
    if values.size < LEAST_REQUESTS:
        return 0
    logs = _logs(values)
    cut = _mser_5(logs)
    if not cut:
        return 0
    start, rest = logs[:cut], logs[cut:]
    size = batch_size(rest.size, in_flight, MOST_BATCHES)
    means = batch_means(rest, size)
    if means.size < LEAST_BATCHES:
        return 0
    found = long_run(means - means.mean(), 1)
    error = np.sqrt(found.variance * (size / cut + 1 / means.size))
    least = _Z_CUT if is_closed or values.size >= _LONG_TIMES_OVER * in_flight else _Z_CUT_SHORT
    step = float(start.mean() - rest.mean())
    first = float(start[: max(1, cut // 4)].mean() - rest.mean())
    is_apart = abs(step) > max(np.log1p(NEAR_FRACTION), student(found.freedom, least) * error)
    is_start = is_closed or first * np.sign(step) >= _FIRST_FRACTION * abs(step)
    places = np.linspace(-0.5, 0.5, logs.size)
    explained_by_line = float(places @ logs) ** 2 / float(places @ places)
    explained_by_step = cut * rest.size / logs.size * step**2
    return cut if is_apart and is_start and explained_by_step > explained_by_line else 0


def _mser_5(logs: Array) -> int:
    """Where the rest has the mean with the smallest standard error; 0 where that is at once, or not before half."""
    fives = batch_means(logs - logs.mean(), _MSER_BATCH)
    left = np.arange(fives.size, 0, -1)
    sums, squares = (np.cumsum(part[::-1])[::-1] for part in (fives, fives**2))
    scores = (squares - sums**2 / left) / left**2
    best = int(np.argmin(scores[: fives.size // 2 + 1]))
    return best * logs.size // fives.size if best < _MOST_CUT_FRACTION * fives.size else 0


def drift(values: Array, in_flight: float) -> Drift | None:
    """Whether a series grew or fell from its start to its end.

    A straight line through the logarithms of the values, in means of up to 100 batches; its standard error allows for
    the likeness of neighbours by an autoregression of what is left of the means. A jump half-way is taken off them as
    well, which would otherwise pass for likeness; and, where the requests in flight were replaced a hundred times, so
    that slow ups and downs are told from other shapes, a cubic curve. Where a straight line explains more of the means,
    or of their logarithms, than it does of a random walk, that is drift as well.

    Args:
        values: latencies in the order in which requests were due, shape (n,).
        in_flight: requests in flight at a time, on average [requests].

    Returns:
        None below 50 values, or where the requests in flight were replaced less than 10 times.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> values = rng.lognormal(0.0, 0.3, 500)
        >>> found = drift(values, 4.0)
        >>> found.is_found, found.is_telling
        (False, True)
        >>> found = drift(values * np.linspace(1, 2, 500), 4.0)
        >>> found.is_found, round(found.change_fraction, 1)
        (True, 1.1)

    Source: Woodward and Gray, "Global Warming and the Problem of Testing for Trend in Time Series Data", Journal of
    Climate 6 (1993), for the autoregression; Durlauf and Phillips, "Trends versus Random Walks in Time Series
    Analysis", Econometrica 56 (1988), for what a line explains of a random walk; its quantiles are by simulation.
    """
    if values.size < LEAST_REQUESTS:
        return None
    means = batch_means(_logs(values), batch_size(values.size, in_flight, MOST_BATCHES))
    return line(means, values.size / in_flight) if means.size >= 2 * LEAST_TIMES_OVER else None


def line(logs: Array, times_over: float) -> Drift:
    """The same of the logarithms of batches.

    Args:
        logs: one of each batch, shape (n,), n >= 10.
        times_over: how many times the requests in flight were replaced.
    """
    n = logs.size
    places = (np.arange(n) - (n - 1) / 2) / n
    spread = float(places @ places)
    change = float(places @ logs) / spread
    shapes = [np.ones(n), places, np.sign(places)]
    level, explained = _Z_DRIFT_SHORT, _EXPLAINED_SHORT
    if times_over >= _LONG_TIMES_OVER:
        level, explained = _Z_DRIFT, _EXPLAINED
        shapes += [places**2, places**3]
    shape = np.column_stack(shapes)
    residuals = logs - shape @ np.linalg.lstsq(shape, logs, rcond=None)[0]
    found = long_run(residuals, len(shapes))
    error = float(np.sqrt(found.variance / spread))
    reach, limit = student(found.freedom) * error, student(found.freedom, level) * error
    is_line = max(_explained(logs, places), _explained(np.exp(logs - logs.max()), places)) > explained
    return Drift(
        change_fraction=float(np.expm1(change)),
        low=float(np.expm1(change - reach)),
        high=float(np.expm1(change + reach)),
        is_found=bool(abs(change) > np.log1p(NEAR_FRACTION) and (abs(change) > limit or is_line)),
        is_telling=bool(limit + _Z_POWER * error <= np.log1p(_TOLD_FRACTION)),
    )


def _explained(values: Array, places: Array) -> float:
    """Share of the variance of values that a straight line explains."""
    centred = values - values.mean()
    square = float(centred @ centred)
    return float(places @ centred) ** 2 / (float(places @ places) * square) if square > 0 else 0.0


def _logs(values: Array) -> Array:
    """Logarithms, which make ratios of differences and take long tails in; nothing is less than a thousandth."""
    least = _FLOOR_FRACTION * float(values.mean())
    if least <= 0:
        return np.zeros(values.size)
    logs = np.asarray(np.maximum(values, least))
    return np.asarray(np.log(logs, out=logs))
