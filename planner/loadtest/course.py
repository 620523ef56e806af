"""How a load point went: which of its requests count, and whether these were steady."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from planner.core.batches import LEAST_BATCHES, batch_edges, batch_size
from planner.core.quantiles import Array, Ints
from planner.core.steady import MOST_BATCHES, Drift, drift, line, settled_from
from planner.loadtest.sample import Bools, Columns
from planner.loadtest.times import Times

PACE = "time between requests"
_CLOSED_FRACTION = 0.5
"""In a closed loop as many are in flight at all times: without the slow ups and downs of an open one, half as many
neighbours are alike."""


@dataclass(frozen=True)
class Course:
    """How a load point went.

    Attributes:
        kept: places of the requests that count, in the order in which they were due, shape (kept,).
        left_out: requests before them, which came while the server settled.
        settling_s: from the first request to the first that counts [s].
        in_flight: requests that shared a server's state, on average [requests]; None where that cannot be told.
        drifts: of those that count, by what was looked at; without what is too short to tell.
    """

    kept: Ints
    left_out: int
    settling_s: float
    in_flight: float | None
    drifts: Mapping[str, Drift]

    @property
    def is_steady(self) -> bool | None:
        """None where it cannot be told."""
        return is_steady(self.drifts)


def course(sent: Columns, is_ok: Bools, users: int | None) -> Course:
    """Looks at TTFT and TPOT, each for itself, since the length of answers is in neither, and at the pace of requests.

    Left out is what either latency shows to be a start that does not belong to the rest.

    Args:
        sent: the requests.
        is_ok: which of them were answered, shape (requests,).
        users: of a closed loop; None in an open one.

    Source: planner.core.steady.
    """
    order = np.argsort(sent.due_s, kind="stable")
    ranks = np.flatnonzero(is_ok[order])
    times = Times.of(sent.at(order[ranks]), np.ones(ranks.size, dtype=np.bool_))
    in_flight = requests_in_flight(times.due_s, times.e2e_s, users)
    if in_flight is None:
        return Course(order, 0, 0.0, None, {})
    has_tpot = ~np.isnan(times.tpot_s)
    series = ((times.ttft_s, ranks), (times.tpot_s[has_tpot], ranks[has_tpot]))
    cuts = ((settled_from(values, in_flight, users is not None), places) for values, places in series)
    left_out = max((int(places[cut]) for cut, places in cuts if cut), default=0)
    is_kept, due_s = ranks >= left_out, sent.due_s[order]
    return Course(
        kept=order[left_out:],
        left_out=left_out,
        settling_s=float(due_s[left_out] - due_s[0]),
        in_flight=in_flight,
        drifts=drifts(
            due_s[max(left_out, users or 0) :], times.ttft_s[is_kept], times.tpot_s[is_kept & has_tpot], in_flight
        ),
    )


def drifts(due_s: Array, ttft_s: Array, tpot_s: Array, in_flight: float) -> dict[str, Drift]:
    """Drift of the latencies and of the pace, by name; without what is too short to tell.

    Args:
        due_s: when each request was due, ascending; without those that a closed loop begins with, all at once [s].
        ttft_s: of those that were answered, in the same order [s].
        tpot_s: likewise, of those that have one [s].
        in_flight: requests that shared a server's state, on average [requests].
    """
    found = {"TTFT": drift(ttft_s, in_flight), "TPOT": drift(tpot_s, in_flight), PACE: pace(due_s, in_flight)}
    return {name: seen for name, seen in found.items() if seen is not None}


def is_steady(seen: Mapping[str, Drift]) -> bool | None:
    """Whether nothing drifted; None where no latency could have been seen to double.

    Args:
        seen: as drifts finds it.
    """
    if any(each.is_found for each in seen.values()):
        return False
    return True if any(each.is_telling for name, each in seen.items() if name != PACE) else None


def pace(due_s: Array, in_flight: float) -> Drift | None:
    """Drift of the time between requests, which in a closed loop is that between answers; None of too few.

    Args:
        due_s: when each was due, ascending [s], shape (n,).
        in_flight: requests that shared a server's state, on average [requests].
    """
    edges = batch_edges(due_s.size - 1, batch_size(due_s.size - 1, 2 * in_flight, MOST_BATCHES))
    if edges.size <= LEAST_BATCHES:
        return None
    spans_s = np.diff(due_s[edges]) / np.diff(edges)
    return line(np.log(spans_s), due_s.size / in_flight) if spans_s.min() > 0 else None


def requests_in_flight(due_s: Array, e2e_s: Array, users: int | None = None) -> float | None:
    """How many requests shared a server's state, by Little's law; None where there are too few to tell.

    Args:
        due_s: when each answered request was due, ascending [s], shape (n,).
        e2e_s: how long it took [s], shape (n,).
        users: of a closed loop; None in an open one.
    """
    if due_s.size < LEAST_BATCHES:
        return None
    span_s, lasted_s = float(due_s[-1] - due_s[0]), float(e2e_s.sum())
    if span_s <= 0 or lasted_s <= 0:
        return None
    return lasted_s / span_s * (1.0 if users is None else _CLOSED_FRACTION)
