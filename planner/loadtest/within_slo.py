"""The highest load within a service level: it lies between one that met it and one that did not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import mean

from planner.schema.benchmark import LoadPoint
from planner.schema.scenario import Slo

NEAR = 1.05
"""The highest load is known to 5 %."""
_FAR = 1.5
"""Where there are too few requests for an interval, a percentile so far from its limit is taken to be clear."""
_MOST_REPEATS, _EDGE_REPEATS = 3, 2
"""How often a load is measured at most, and each of the two between which the service level ends at least."""
_MOST_FAILED_FRACTION = 0.1


@dataclass(frozen=True)
class Axis:
    """What makes a load higher.

    Attributes:
        load_of: how high a load point is; None for one of another kind.
        step: between two that can be told apart.
    """

    load_of: Callable[[LoadPoint], float | None]
    step: float


RATES = Axis(lambda point: point.offered_requests_per_s, 0.0)
"""Of open loops [requests/s]."""
USERS = Axis(lambda point: point.concurrency, 1.0)
"""Of closed loops."""


@dataclass(frozen=True)
class Bracket:
    """Between which loads a service level ends.

    Attributes:
        met: the highest load that met it, below all that did not; None where none did.
        missed: the lowest that did not; None where all did.
        step: between two loads that can be told apart.
    """

    met: float | None
    missed: float | None
    step: float = 0.0

    @property
    def is_narrow(self) -> bool:
        """Whether both ends are known, and within 5 % or neighbours."""
        if self.met is None or self.missed is None:
            return False
        return self.missed <= max(NEAR * self.met, self.met + self.step)

    @property
    def between(self) -> float:
        """The geometric mean of both ends."""
        return sqrt((self.met or 0.0) * (self.missed or 0.0))


def limits_of(slo: Slo) -> list[tuple[str, float]]:
    """Metrics that are limited, and their limits [s]."""
    given = (("ttft_s", slo.ttft_p95_s), ("tpot_s", slo.tpot_p95_s))
    return [(name, limit) for name, limit in given if limit is not None]


def bracket(points: Sequence[LoadPoint], slo: Slo, axis: Axis) -> Bracket:
    """Where a service level ends, by the loads measured so far.

    Args:
        points: all of them.
        slo: the service level.
        axis: along which loads are compared.
    """
    verdicts = _verdicts(_by_load(points, axis), slo)
    missed = min((load for load, is_met in verdicts.items() if not is_met), default=None)
    met = max((load for load, is_met in verdicts.items() if is_met and load < (missed or inf)), default=None)
    return Bracket(met, missed, axis.step)


def at_odds(points: Sequence[LoadPoint], slo: Slo, axis: Axis) -> float | None:
    """A load that missed the service level below another that met it, or that other one: one of them was chance.

    None where there are none, or both were measured often enough.

    Args:
        points: all that were measured so far.
        slo: the service level.
        axis: along which loads are compared.
    """
    by_load = _by_load(points, axis)
    verdicts = _verdicts(by_load, slo)
    missed = min((load for load, is_met in verdicts.items() if not is_met), default=inf)
    met_above = min((load for load, is_met in verdicts.items() if is_met and load > missed), default=None)
    pair = () if met_above is None else (missed, met_above)
    return next((load for load in pair if len(by_load[load]) < _MOST_REPEATS), None)


def vague_end(points: Sequence[LoadPoint], slo: Slo, axis: Axis) -> float | None:
    """An end of the bracket that was measured only once, or whose percentile might be on either side of its limit.

    None where both are known well enough. Other loads do not matter, however uncertain.

    Args:
        points: all that were measured so far.
        slo: the service level.
        axis: along which loads are compared.
    """
    by_load, ends = _by_load(points, axis), bracket(points, slo, axis)
    return next((load for load in (ends.met, ends.missed) if load and _is_vague(by_load[load], slo)), None)


def is_failing(point: LoadPoint) -> bool:
    """Whether more requests of a load failed than a service level could bear."""
    return not point.requests.ok or point.requests.failed > _MOST_FAILED_FRACTION * point.requests.sent


def _by_load(points: Sequence[LoadPoint], axis: Axis) -> dict[float, list[LoadPoint]]:
    by_load: dict[float, list[LoadPoint]] = {}
    for point in points:
        if (load := axis.load_of(point)) is not None:
            by_load.setdefault(load, []).append(point)
    return by_load


def _verdicts(by_load: dict[float, list[LoadPoint]], slo: Slo) -> dict[float, bool]:
    """Whether each load meets the service level, on average over all times that it was measured."""
    return {load: mean(_worst(point, slo) for point in repeats) <= 1 for load, repeats in by_load.items()}


def _is_vague(repeats: Sequence[LoadPoint], slo: Slo) -> bool:
    """Whether an end of the bracket is to be measured again."""
    is_clear = any(_is_clear(point, slo) for point in repeats)
    return len(repeats) < (_EDGE_REPEATS if is_clear else _MOST_REPEATS)


def _worst(point: LoadPoint, slo: Slo) -> float:
    """The percentile over its limit, of the metric that is the worst."""
    return max((_over(point, name, limit) for name, limit in limits_of(slo)), default=0.0)


def _over(point: LoadPoint, name: str, limit: float) -> float:
    """The percentile over its limit; 2 where the server did not keep up or gave no figure."""
    found = getattr(point, name).p95
    return 2.0 if found is None or point.is_saturated or is_failing(point) else min(2.0, found / limit)


def _is_clear(point: LoadPoint, slo: Slo) -> bool:
    """Whether chance alone would not put the point on the other side of a limit."""
    if point.is_saturated or is_failing(point):
        return True
    sides = []
    for name, limit in limits_of(slo):
        found = getattr(point, name)
        p95 = inf if found.p95 is None else found.p95
        low, high = found.ci95_p95 or (p95 / _FAR, p95 * _FAR)
        sides.append(-1 if high <= limit else 1 if low > limit else 0)
    # What still grew may have met a limit only since the load ended too soon.
    return 1 in sides or (0 not in sides and point.is_steady is not False)
