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
    def found(self) -> dict[str, Drift]:
        """What drifted."""
        return {name: seen for name, seen in self.drifts.items() if seen.is_found}

    @property
    def is_steady(self) -> bool | None:
        """None where nothing drifted, and no latency could have been seen to double."""
        if self.found:
            return False
        return True if any(seen.is_telling for name, seen in self.drifts.items() if name != PACE) else None


def course(sent: Columns, is_ok: Bools, users: int | None) -> Course:
    """Looks at TTFT and TPOT, each for itself, and at the pace of requests, which in a closed loop is the throughput.

    Left out is what either latency shows to be a start that does not belong to the rest.

    Args:
        sent: the requests.
        is_ok: which of them were answered, shape (requests,).
        users: of a closed loop; None in an open one.

    Source: planner.core.steady.
    """
    order = np.argsort(sent.due_s, kind="stable")
    answered = order[is_ok[order]]
    times = Times.of(sent.at(answered), np.ones(answered.size, dtype=np.bool_))
    in_flight = _in_flight(times, users)
    if in_flight is None:
        return Course(order, 0, 0.0, None, {})
    has_tpot = ~np.isnan(times.tpot_s)
    latencies = {"TTFT": (times.ttft_s, answered), "TPOT": (times.tpot_s[has_tpot], answered[has_tpot])}
    ranks = np.empty(order.size, dtype=np.int64)
    ranks[order] = np.arange(order.size)
    cuts = ((settled_from(values, in_flight), places) for values, places in latencies.values())
    left_out = max((int(ranks[places[cut]]) for cut, places in cuts if cut), default=0)
    kept = order[left_out:]
    found = {name: drift(values[ranks[places] >= left_out], in_flight) for name, (values, places) in latencies.items()}
    found[PACE] = pace(sent.due_s[order], left_out if users is None else max(left_out, users), in_flight)
    return Course(
        kept=kept,
        left_out=left_out,
        settling_s=float(sent.due_s[kept[0]] - sent.due_s[order[0]]),
        in_flight=in_flight,
        drifts={name: seen for name, seen in found.items() if seen is not None},
    )


def pace(due_s: Array, begin: int, in_flight: float) -> Drift | None:
    """Drift of the time between requests; None where there are too few.

    Args:
        due_s: when each was due, ascending [s], shape (n,).
        begin: the first that counts: after those that a closed loop begins with, all at once.
        in_flight: requests that shared a server's state, on average [requests].
    """
    due_s = due_s[begin:]
    edges = batch_edges(due_s.size - 1, batch_size(due_s.size - 1, 2 * in_flight, MOST_BATCHES))
    if edges.size <= LEAST_BATCHES:
        return None
    spans_s = np.diff(due_s[edges]) / np.diff(edges)
    return line(np.log(spans_s), due_s.size / in_flight) if spans_s.min() > 0 else None


def _in_flight(times: Times, users: int | None) -> float | None:
    """By Little's law."""
    if times.due_s.size < LEAST_BATCHES:
        return None
    span_s, lasted_s = float(times.due_s[-1] - times.due_s[0]), float(times.e2e_s.sum())
    if span_s <= 0 or lasted_s <= 0:
        return None
    return lasted_s / span_s * (1.0 if users is None else _CLOSED_FRACTION)
