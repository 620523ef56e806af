"""Where the answer changes: break-even volumes, and the API price at which the choice turns."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.core.capacity import MOST_REPLICAS, sizing_load
from planner.core.outcome import Outcome
from planner.core.question import Question

Array = NDArray[np.float64]

_POINTS = 121
_MOST_SCANNED_REPLICAS = 400
_VOLUMES_BELOW_NOW, _VOLUMES_ABOVE_NOW = 1e3, 1e2
_VOLUMES_WITHOUT_NOW = (1e3, 1e9)
_PRICE_FACTORS = (1e-3, 1e3)
_STEPS_LOOKED_AT = 20


@dataclass(frozen=True)
class VolumeScan:
    """Costs of every option over a range of volumes.

    Attributes:
        requests_per_month: volumes of month 1, ascending [requests/month], shape (volumes,).
        outcomes: every option's outcome at each volume.
        cheaper: volumes at which hosting or a hybrid is cheaper, as (low, high); high infinite: no end was found.
    """

    requests_per_month: Array
    outcomes: list[list[Outcome]]
    cheaper: list[tuple[float, float]]


def scan_volumes(question: Question, progress: Callable[[float], None] = lambda _: None) -> VolumeScan | None:
    """Looks for the volumes at which the best hosting or hybrid option beats the best API option.

    Whole replicas make cost against volume a saw-tooth, so there may be several such ranges. The scan steps
    by a tenth or so, and looks at both sides of each hosting option's first steps where all months are alike;
    what it finds is refined to a millionth. A range narrower than a step may be missed.

    Args:
        question: what is asked.
        progress: told the fraction of volumes done, from 0 to 1.

    Returns:
        The scan, or None where there is no hosting or no API option to compare.
    """
    if not question.hosting or not question.api:
        return None
    volumes = _volumes(question)
    outcomes = []
    for done, volume in enumerate(volumes):
        progress(done / volumes.size)
        outcomes.append(question.at_volume(float(volume)).outcomes())
    rate = question.rate_fraction_per_year
    advantages = [hosting_advantage_usd(at, rate) for at in outcomes]

    def is_cheaper(volume: float) -> bool:
        return hosting_advantage_usd(question.at_volume(volume).outcomes(), rate) > 0

    cheaper: list[tuple[float, float]] = []
    for index, value in enumerate(advantages):
        is_first = index == 0 or advantages[index - 1] <= 0
        if value > 0 and is_first:
            low = _turn(is_cheaper, volumes[index - 1], volumes[index]) if index else float(volumes[0])
            cheaper.append((low, math.inf))
        if value <= 0 and not is_first:
            cheaper[-1] = (cheaper[-1][0], _turn(is_cheaper, volumes[index - 1], volumes[index]))
    return VolumeScan(volumes, outcomes, cheaper)


def api_price_change(question: Question) -> float | None:
    """Change of all API prices at which the best API option costs as much as the best other [fraction].

    Returns:
        -0.3 where prices must fall by 30 % for the API to draw level; None where no change between
        a thousandth and a thousandfold does it, or there is nothing to compare.
    """
    if not question.hosting or not question.api or question.workload.requests.sum() <= 0:
        return None
    rate = question.rate_fraction_per_year

    def is_cheaper(factor: float) -> bool:
        return hosting_advantage_usd(question.at_api_prices(factor).outcomes(), rate) > 0

    low, high = _PRICE_FACTORS
    if is_cheaper(low) or not is_cheaper(high):
        return None
    return _turn(is_cheaper, low, high) - 1


def hosting_advantage_usd(outcomes: Sequence[Outcome], rate_fraction_per_year: float) -> float:
    """By how much the best hosting or hybrid option beats the best API option, per accepted answer [USD]."""
    best = {"api": math.inf, "other": math.inf}
    for outcome in outcomes:
        cost = outcome.cost_per_success_usd(rate_fraction_per_year)
        side = "api" if outcome.kind == "api" else "other"
        best[side] = min(best[side], math.inf if cost is None else cost)
    if math.isinf(best["other"]):
        return -math.inf
    return best["api"] - best["other"]


def _turn(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition turns between two positive values, to a ten-millionth; a jump is as good as a crossing."""
    holds_below = holds(low)
    while high / low > 1 + 1e-7:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) == holds_below else (low, middle)
    return math.sqrt(low * high)


def _volumes(question: Question) -> Array:
    now = float(question.workload.requests[0])
    low, high = (now / _VOLUMES_BELOW_NOW, now * _VOLUMES_ABOVE_NOW) if now > 0 else _VOLUMES_WITHOUT_NOW
    # Loads in replicas grow in proportion, so the volume that fills so many replicas is known at once.
    full = question.at_volume(high)
    peak = float(full.workload.shape.relative_load.max())
    most = max(float(hosting.mean_load_replicas(full.workload).max()) * peak for hosting in question.hosting)
    volumes = [np.array([now])]
    if np.ptp(full.workload.requests) == 0:
        steps = np.arange(1, _STEPS_LOOKED_AT + 1)
        for hosting in question.hosting:
            volume_per_replica = high / float(hosting.mean_load_replicas(full.workload)[0])
            for level in (1.0, sizing_load(full.workload.shape, question.attainment_fraction), peak):
                at_step = volume_per_replica / level * steps
                volumes += [at_step, at_step * (1 + 1e-6)]
    # Wide enough to hold the volume of today, and never so wide that machines for it could not be counted.
    high = min(max(high * min(1.0, _MOST_SCANNED_REPLICAS / most), now * 1.5), high * 0.99 * MOST_REPLICAS / most)
    high = max(high, now)
    low = min(low, high / _VOLUMES_BELOW_NOW)
    merged = np.unique(np.concatenate([*volumes, np.geomspace(low, high, _POINTS)]))
    return np.asarray(merged[(merged >= low) & (merged <= high) & (merged > 0)])
