"""Which load a sweep measures next, from what it has measured so far: saturation first, then what the fit needs, and
the highest load within the service level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot, sqrt
from statistics import mean

from planner.loadtest.within_slo import NEAR, RATES, USERS, at_odds, bracket, is_failing, limits_of, vague_end
from planner.schema.benchmark import LoadPoint
from planner.schema.scenario import Slo
from planner.schema.sweep import RateWithinSlo, Saturation, SweepResult, UsersWithinSlo

MOST_USERS = 1024
"""Of a sweep that finds its loads itself; vLLM runs 256 requests at a time unless it is told otherwise."""
SHARES_OF_SATURATION = (0.25, 0.5, 0.75, 0.9)
"""Open-loop rates for the fit: from idle to nearly full."""
_FLAT_FRACTION = 0.05
"""Where two doublings of the users in a row each add less throughput, no more is to come; one alone may be chance."""
_FALLEN_FRACTION = 0.02
_MOST_REPEATS = 3
"""Of closed loops, over all of them: the best is measured twice, since the best of many is partly luck."""
_LEAST_SHARE = 0.02
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

    Users are doubled until throughput stops growing; where it falls, the neighbours of the best are looked at, and the
    best is measured again. Then come open-loop rates below the saturation throughput, as the fit needs them. Where
    there is a service level, the interval between the highest rate that met it and the lowest that did not is halved
    until they are within 5 %; then both ends are measured again, until they are clear. Where there are only users, the
    highest number of them is found in the same way.

    Args:
        points: measured so far, in that order; the same give the same load.
        slo: the service level; its limits may be None.
        most_users: of a closed loop.
        is_closed: whether there are only users, and no rates.

    Example:
        >>> next_load([], Slo())
        NextLoad(users=1, rate_per_s=None)
    """
    load = _climb(points, most_users) or _again(points)
    if load is not None:
        return load
    return _bisect_users(points, slo, most_users) if is_closed else _ladder(points) or _bisect_rates(points, slo)


def result_of(points: Sequence[LoadPoint], slo: Slo, is_closed: bool = False) -> SweepResult:
    """What a sweep found, as far as it got; is_closed as in `next_load`."""
    saturation = _saturation(points)
    found = SweepResult(saturation=saturation, rate_within_slo=None)
    if saturation is None or not limits_of(slo):
        return found
    ends = bracket(points, slo, USERS if is_closed else RATES)
    if ends.met is None and ends.missed is None:
        return found
    if not is_closed:
        within = RateWithinSlo(
            met_requests_per_s=ends.met,
            missed_requests_per_s=ends.missed,
            known_to_fraction=_known_to(points, [rate for rate in (ends.met, ends.missed) if rate is not None]),
        )
        return found.model_copy(update={"rate_within_slo": within})
    met, missed = (None if users is None else int(users) for users in (ends.met, ends.missed))
    return found.model_copy(update={"users_within_slo": UsersWithinSlo(met_users=met, missed_users=missed)})


def _known_to(points: Sequence[LoadPoint], rates: Sequence[float]) -> float | None:
    """How far what arrived at one of these rates may lie from it by chance; with 95 % confidence [fraction]."""
    reaches = [_reach([point for point in points if RATES.load_of(point) == rate], rate) for rate in rates]
    return max((reach for reach in reaches if reach is not None), default=None)


def _reach(repeats: Sequence[LoadPoint], rate_per_s: float) -> float | None:
    """Half of the interval in which chance puts the mean rate of all repeats, as a share of the rate."""
    intervals = [point.arrivals.ci95_requests_per_s for point in repeats if point.arrivals is not None]
    known = [(high - low) / 2 / rate_per_s for low, high in filter(None, intervals)]
    return hypot(*known) / len(known) if known else None


# ---- saturation


def _climb(points: Sequence[LoadPoint], most_users: int) -> NextLoad | None:
    """More users until it helps no more; then, where throughput has a peak, its neighbours."""
    by_users = _by_users(points)
    users = 1
    while users in by_users:
        if _was_late_once(points, users):
            return NextLoad(users=users)
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


def _again(points: Sequence[LoadPoint]) -> NextLoad | None:
    """The best closed loop, where it was measured only once."""
    users = [point.concurrency for point in points if point.concurrency is not None]
    best = _saturation(points)
    if best is None or users.count(best.users) > 1 or len(users) - len(set(users)) >= _MOST_REPEATS:
        return None
    return NextLoad(users=best.users)


def _by_users(points: Sequence[LoadPoint]) -> dict[int, float]:
    """Throughput of each number of users, on average over the times that it was measured [tokens/s].

    0 where it could not be: what a load gave before it broke down says nothing.
    """
    measured: dict[int, list[float]] = {}
    for point in points:
        if point.concurrency is not None:
            measured.setdefault(point.concurrency, []).extend([_throughput(point)] if _is_sound(point) else [])
    return {users: mean(throughputs) if throughputs else 0.0 for users, throughputs in measured.items()}


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
    """Whether so many users could not be measured, so that more could not either."""
    return not any(_is_sound(point) for point in points if point.concurrency == users)


def _was_late_once(points: Sequence[LoadPoint], users: int) -> bool:
    """Whether the client did not keep up the only time: something else may have kept its machine busy."""
    at = [point for point in points if point.concurrency == users]
    return len(at) == 1 and _is_client_late(at[0]) and not is_failing(at[0])


def _is_client_late(point: LoadPoint) -> bool:
    return point.client is not None and point.client.is_saturated


def _is_sound(point: LoadPoint) -> bool:
    """Whether the client kept up, and nearly all requests were answered."""
    return not _is_client_late(point) and not is_failing(point)


def _throughput(point: LoadPoint) -> float:
    """Output while all users wait, where the load was long enough to tell [tokens/s]."""
    return point.output_tokens_per_s if point.busy_output_tokens_per_s is None else point.busy_output_tokens_per_s


def best_loops(points: Sequence[LoadPoint], users: int) -> list[tuple[float, float | None]]:
    """What each sound closed loop of so many users did.

    Args:
        points: all that were measured.
        users: of the saturation that was found.

    Returns:
        Throughput [tokens/s], and half of its 95 % interval as a share of it; None where it was too short for one.
    """
    loops = [point for point in points if point.concurrency == users and _is_sound(point) and point.output_tokens_per_s]
    ends = [point.ci95_output_tokens_per_s for point in loops]
    return [
        (_throughput(point), None if end is None else (end[1] - end[0]) / 2 / point.output_tokens_per_s)
        for point, end in zip(loops, ends, strict=True)
    ]


def _saturation(points: Sequence[LoadPoint]) -> Saturation | None:
    """The best throughput of the closed loops."""
    by_users = _by_users(points)
    users = max(by_users, key=lambda count: by_users[count], default=None)
    if users is None or not by_users[users]:
        return None
    best = [point for point in points if point.concurrency == users and _is_sound(point)]
    tokens_per_request = sum(point.output_tokens_per_s for point in best) / sum(
        point.achieved_requests_per_s for point in best
    )
    return Saturation(
        users=users,
        output_tokens_per_s=by_users[users],
        requests_per_s=by_users[users] / tokens_per_request,
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
        if rate_per_s > 0 and not any(rate_per_s / NEAR <= rate <= rate_per_s * NEAR for rate in measured):
            return NextLoad(rate_per_s=rate_per_s)
    return None


def _rounded(rate_per_s: float) -> float:
    return float(f"{rate_per_s:.{_DIGITS}g}")


# ---- the service level


def _bisect_rates(points: Sequence[LoadPoint], slo: Slo) -> NextLoad | None:
    """A rate between the highest that met the service level and the lowest that did not."""
    saturation = _saturation(points)
    if saturation is None or not limits_of(slo):
        return None
    again, ends = at_odds(points, slo, RATES), bracket(points, slo, RATES)
    if again is not None:
        return NextLoad(rate_per_s=again)
    if ends.missed is None:  # it was met at nine tenths of what the server can do
        rate_per_s = _rounded(saturation.requests_per_s * NEAR)
    elif ends.met is None:
        rate_per_s = max(_rounded(ends.missed / 2), _rounded(_LEAST_SHARE * saturation.requests_per_s))
    else:
        rate_per_s = _rounded(ends.between)
    if not ends.is_narrow and rate_per_s not in map(RATES.load_of, points):
        return NextLoad(rate_per_s=rate_per_s)
    edge = vague_end(points, slo, RATES)
    return None if edge is None else NextLoad(rate_per_s=edge)


def _bisect_users(points: Sequence[LoadPoint], slo: Slo, most_users: int) -> NextLoad | None:
    """A number of users between the highest that met the service level and the lowest that did not."""
    if _saturation(points) is None or not limits_of(slo):
        return None
    again, ends = at_odds(points, slo, USERS), bracket(points, slo, USERS)
    if again is not None:
        return NextLoad(users=int(again))
    more = min(most_users, 2 * round(ends.met or 1))
    users = more if ends.missed is None else max(1, round(ends.between))
    if not ends.is_narrow and users not in map(USERS.load_of, points):
        return NextLoad(users=users)
    edge = vague_end(points, slo, USERS)
    return None if edge is None else NextLoad(users=int(edge))
