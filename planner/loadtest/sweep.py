"""Which load a sweep measures next, from what it has measured so far: saturation first, then what the fit needs, and
the highest rate within the service level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt

from planner.schema.benchmark import LoadPoint
from planner.schema.scenario import Slo
from planner.schema.sweep import RateWithinSlo, Saturation, SweepResult

MOST_USERS = 1024
"""Of a sweep that finds its loads itself; vLLM runs 256 requests at a time unless it is told otherwise."""
SHARES_OF_SATURATION = (0.25, 0.5, 0.75, 0.9)
"""Open-loop rates for the fit: from idle to nearly full."""
_FLAT_FRACTION = 0.05
"""Where two doublings of the users in a row each add less throughput, no more is to come; one alone may be chance."""
_FALLEN_FRACTION = 0.02
_NEAR = 1.05
"""The highest rate within the service level is known to 5 %."""
_FAR = 1.5
"""Where there are too few requests for an interval, a percentile so far from its limit is taken to be clear."""
_LEAST_SHARE = 0.02
_MOST_REPEATS = 3
_MOST_FAILED_FRACTION = 0.1
_DIGITS = 3


@dataclass(frozen=True)
class NextLoad:
    """A load to be measured: users of a closed loop, or requests per second of an open one."""

    users: int | None = None
    rate_per_s: float | None = None


def next_load(
    points: Sequence[LoadPoint], slo: Slo, most_users: int = MOST_USERS, is_closed: bool = False
) -> NextLoad | None:
    """The next load of a sweep; None where all is found.

    Users are doubled until throughput stops growing, and where it falls, the neighbours of the best are looked at.
    Then come open-loop rates below the saturation throughput, as the fit needs them. Where there is a service level,
    the interval between the highest rate that met it and the lowest that did not is halved until they are within 5 %;
    a rate whose percentile might be on either side of the limit is measured again, three times at most.

    Args:
        points: measured so far, in that order; the same give the same load.
        slo: the service level; its limits may be None.
        most_users: of a closed loop.
        is_closed: whether there are only users, and no rates.

    Example:
        >>> next_load([], Slo())
        NextLoad(users=1, rate_per_s=None)
    """
    load = _climb(points, most_users)
    return load if load is not None or is_closed else _ladder(points) or _bisect(points, slo)


def result_of(points: Sequence[LoadPoint], slo: Slo) -> SweepResult:
    """What a sweep found, as far as it got."""
    saturation = _saturation(points)
    return SweepResult(saturation=saturation, rate_within_slo=_rate_within(points, slo) if saturation else None)


# ---- saturation


def _climb(points: Sequence[LoadPoint], most_users: int) -> NextLoad | None:
    """More users until it helps no more; then, where throughput has a peak, its neighbours."""
    by_users = {point.concurrency: _throughput(point) for point in points if point.concurrency is not None}
    users = 1
    while users in by_users:
        if users >= most_users or _is_flat(by_users, users) or _is_broken(points, users):
            break
        users = min(2 * users, most_users)
    else:
        return NextLoad(users=users)
    best = max(by_users, key=lambda count: by_users[count])
    if by_users[max(by_users)] < (1 - _FALLEN_FRACTION) * by_users[best]:
        peak = max(_doubled(by_users), key=lambda count: by_users[count])
        for between in (round(peak * sqrt(2)), round(peak / sqrt(2))):
            if between not in by_users and 1 <= between <= most_users:
                return NextLoad(users=between)
    return None


def _is_flat(by_users: dict[int, float], users: int) -> bool:
    """Whether throughput has stopped growing with the last two doublings."""
    doubled = [count for count in _doubled(by_users) if count <= users]
    gains = [by_users[later] / by_users[before] - 1 for before, later in pairwise(doubled) if by_users[before] > 0]
    return len(gains) > 1 and max(gains[-2:]) < _FLAT_FRACTION


def _doubled(by_users: dict[int, float]) -> list[int]:
    """The users of the climb: powers of two, and the most."""
    most = max(by_users)
    return sorted(count for count in by_users if count & (count - 1) == 0 or count == most)


def _is_broken(points: Sequence[LoadPoint], users: int) -> bool:
    """Whether the last load says that more users would not be measured."""
    return any(point.concurrency == users and not _is_sound(point) for point in points)


def _is_sound(point: LoadPoint) -> bool:
    """Whether the client kept up, and nearly all requests were answered."""
    is_client_full = point.client is not None and point.client.is_saturated
    return not is_client_full and not _is_failing(point)


def _is_failing(point: LoadPoint) -> bool:
    return not point.requests.ok or point.requests.failed > _MOST_FAILED_FRACTION * point.requests.sent


def _throughput(point: LoadPoint) -> float:
    """Output while all users wait, where the load was long enough to tell [tokens/s]."""
    return point.output_tokens_per_s if point.busy_output_tokens_per_s is None else point.busy_output_tokens_per_s


def _saturation(points: Sequence[LoadPoint]) -> Saturation | None:
    """The best throughput of the closed loops."""
    closed = [point for point in points if point.concurrency is not None]
    best = max(filter(_is_sound, closed), key=_throughput, default=None)
    if best is None or not best.output_tokens_per_s or best.concurrency is None:
        return None
    by_users = {point.concurrency: _throughput(point) for point in closed if point.concurrency is not None}
    tokens_per_request = best.output_tokens_per_s / best.achieved_requests_per_s
    return Saturation(
        users=best.concurrency,
        output_tokens_per_s=_throughput(best),
        requests_per_s=_throughput(best) / tokens_per_request,
        is_lower_bound=not _is_flat(by_users, max(by_users)),
    )


# ---- open loops


def _ladder(points: Sequence[LoadPoint]) -> NextLoad | None:
    """Rates for the fit that nothing near was measured at."""
    saturation = _saturation(points)
    if saturation is None:
        return None
    measured = [point.offered_requests_per_s for point in points if point.offered_requests_per_s is not None]
    for share in SHARES_OF_SATURATION:
        rate_per_s = _rounded(share * saturation.requests_per_s)
        if rate_per_s > 0 and not any(rate_per_s / _NEAR <= rate <= rate_per_s * _NEAR for rate in measured):
            return NextLoad(rate_per_s=rate_per_s)
    return None


def _bisect(points: Sequence[LoadPoint], slo: Slo) -> NextLoad | None:
    """A rate between the highest that met the service level and the lowest that did not."""
    saturation = _saturation(points)
    if saturation is None or not _limits(slo):
        return None
    unclear = [rate for rate, met in _verdicts(points, slo).items() if met is None]
    if unclear:
        return NextLoad(rate_per_s=unclear[0])
    low, high = _bracket(points, slo)
    if low is None and high is None:
        return None
    if high is None:  # it was met at nine tenths of what the server can do
        high = _rounded(saturation.requests_per_s * _NEAR)
        return NextLoad(rate_per_s=high) if high not in _verdicts(points, slo) else None
    if low is None:
        lower = _rounded(high / 2)
        return NextLoad(rate_per_s=lower) if lower > _LEAST_SHARE * saturation.requests_per_s else None
    between = _rounded(sqrt(low * high))
    return NextLoad(rate_per_s=between) if high > _NEAR * low and between not in (low, high) else None


def _bracket(points: Sequence[LoadPoint], slo: Slo) -> tuple[float | None, float | None]:
    """The highest rate that met the service level below the lowest that did not, and that one [requests/s]."""
    verdicts = _verdicts(points, slo)
    high = min((rate for rate, met in verdicts.items() if met is False), default=None)
    below = [rate for rate, met in verdicts.items() if met and (high is None or rate < high)]
    return max(below, default=None), high


def _verdicts(points: Sequence[LoadPoint], slo: Slo) -> dict[float, bool | None]:
    """Whether each rate meets the service level, over all times that it was measured; None where another is needed."""
    by_rate: dict[float, list[LoadPoint]] = {}
    for point in points:
        if point.offered_requests_per_s is not None:
            by_rate.setdefault(point.offered_requests_per_s, []).append(point)
    return {rate: _verdict(repeats, slo) for rate, repeats in by_rate.items()}


def _verdict(repeats: Sequence[LoadPoint], slo: Slo) -> bool | None:
    worst = [max((_over(point, name, limit) for name, limit in _limits(slo)), default=0.0) for point in repeats]
    is_clear = any(_is_clear(point, slo) for point in repeats)
    if not is_clear and len(repeats) < _MOST_REPEATS:
        return None
    return sum(worst) / len(worst) <= 1.0


def _over(point: LoadPoint, name: str, limit: float) -> float:
    """The percentile over its limit; 2 where the server did not keep up or gave no figure."""
    found = getattr(point, name).p95
    return 2.0 if found is None or point.is_saturated or _is_failing(point) else min(2.0, found / limit)


def _is_clear(point: LoadPoint, slo: Slo) -> bool:
    """Whether chance alone would not put the point on the other side of a limit."""
    if point.is_saturated or _is_failing(point):
        return True
    sides = []
    for name, limit in _limits(slo):
        found = getattr(point, name)
        p95 = inf if found.p95 is None else found.p95
        low, high = found.ci95_p95 or (p95 / _FAR, p95 * _FAR)
        sides.append(-1 if high <= limit else 1 if low > limit else 0)
    return 1 in sides or 0 not in sides


def _limits(slo: Slo) -> list[tuple[str, float]]:
    given = (("ttft_s", slo.ttft_p95_s), ("tpot_s", slo.tpot_p95_s))
    return [(name, limit) for name, limit in given if limit is not None]


def _rate_within(points: Sequence[LoadPoint], slo: Slo) -> RateWithinSlo | None:
    if not _limits(slo):
        return None
    low, high = _bracket(points, slo)
    return None if low is None and high is None else RateWithinSlo(met_requests_per_s=low, missed_requests_per_s=high)


def _rounded(rate_per_s: float) -> float:
    return float(f"{rate_per_s:.{_DIGITS}g}")
