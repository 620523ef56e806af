"""Break-evens: volumes, and API prices, at which the best hosting or hybrid option costs as much as the best API."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.core.decide import Candidate
from planner.core.outcome import Hosting
from planner.core.question import Question
from planner.core.rules import Rules
from planner.core.search import first_on_path, price_factors
from planner.core.volumes import hosting_lead_usd, volumes_between, volumes_to_price

Array = NDArray[np.float64]

_NEXT_TO_NOTHING = 1e-6
"""Where hosting is cheaper at the lowest volume looked at, it is at this fraction of it too, or an end is sought."""
_LOOKS_BETWEEN = 33
"""Volumes between two that were priced, at which hosting alone is held against the APIs: a cheap look."""


@dataclass(frozen=True)
class VolumeScan:
    """Every option at a range of volumes.

    Attributes:
        requests_per_month: volumes of month 1, ascending [requests/month], shape (volumes,).
        candidates: every option at each volume; hybrids come and go.
        cheaper: volumes at which hosting or a hybrid is cheaper than every API, as (low, high); low 0 and high
            infinite where no end was found.
    """

    requests_per_month: Array
    candidates: list[list[Candidate]]
    cheaper: list[tuple[float, float]]


@dataclass(frozen=True)
class _Look:
    """What there is at one volume.

    Attributes:
        candidates: every option.
        leader: the best hosting or hybrid option, among those that are compared; empty where there is none.
        advantage_usd: of the leader over the best API.
        in_house: hybrids that are none, since their best split serves everything in house.
    """

    candidates: list[Candidate]
    leader: str
    advantage_usd: float
    in_house: frozenset[str]


def _look(question: Question, rules: Rules, volume: float) -> _Look:
    at = question.at_volume(volume)
    hybrids = at.hybrids()
    candidates = rules.candidates([*at.unmixed(), *(hybrid for hybrid in hybrids if hybrid.is_split)])
    compared = rules.compared(candidates)
    others = sorted((each for each in compared if each.kind != "api"), key=lambda candidate: candidate.rank)
    in_house = frozenset(hybrid.name for hybrid in hybrids if hybrid.is_whole)
    return _Look(candidates, others[0].name if others else "", hosting_advantage_usd(compared), in_house)


def scan_volumes(
    question: Question, rules: Rules, progress: Callable[[float], None] = lambda _: None
) -> VolumeScan | None:
    """Looks for the volumes at which the best hosting or hybrid option beats the best API option.

    Whole replicas make cost against volume a saw-tooth, and a hybrid ends where its best split serves
    everything in house, so there may be several such ranges. Their ends are found to a ten-millionth; a gap
    that such an end leaves may be missed where it is narrower than 1.5 %, or beyond some forty replicas.

    Args:
        question: what is asked.
        rules: say which options are compared.
        progress: told the fraction of volumes done, from 0 to 1.

    Returns:
        The scan, or None where there is no hosting or no API option to compare.
    """
    hosting = [option for option in question.hosting if rules.compares_machines(option)]
    if not hosting or not question.api:
        return None
    looks: dict[float, _Look] = {}

    def look_at(volumes: Sequence[float], done: float, done_after: float) -> None:
        for number, volume in enumerate(volumes):
            progress(done + (done_after - done) * number / len(volumes))
            looks[volume] = _look(question, rules, volume)

    look_at(volumes_to_price(question, hosting).tolist(), 0.0, 0.8)
    # Where hosting alone is dearer, a hybrid makes or unmakes a range: look closer where one leads, and where one ends.
    closer = [
        volumes_between(question, hosting, low, high)
        for low, high in itertools.pairwise(sorted(looks))
        if max(looks[low].advantage_usd, looks[high].advantage_usd) > 0 and _hosting_lags(question, hosting, low, high)
    ]
    look_at(list(itertools.chain(*closer)), 0.8, 1.0)
    for low, high in itertools.pairwise(sorted(looks)):
        ending = _hybrids_that_matter(looks[low], looks[high])
        if ending and _hosting_lags(question, hosting, low, high):
            for name in ending:
                look_at(_both_sides_of_end(question.pair(name), low, high), 1.0, 1.0)

    volumes = sorted(looks)
    cheaper = _ranges(
        volumes,
        [looks[volume].advantage_usd for volume in volumes],
        lambda volume: _look(question, rules, volume).advantage_usd > 0,
    )
    return VolumeScan(np.array(volumes), [looks[volume].candidates for volume in volumes], cheaper)


def api_price_change(question: Question, rules: Rules) -> float | None:
    """Smallest change of all API prices at which the best API option costs as much as the best other [fraction].

    Args:
        question: what is asked.
        rules: say which options are compared.

    Returns:
        -0.3 where prices must fall by 30 % for the API to draw level; None where no change between
        a thousandth and a thousandfold does it, or there is nothing to compare.
    """
    if not question.hosting or not question.api or question.workload.requests.sum() <= 0:
        return None

    def is_cheaper(factor: float) -> bool:
        return hosting_advantage_usd(rules.compared(rules.candidates(question.at_api_prices(factor).outcomes()))) > 0

    now = is_cheaper(1.0)
    found = first_on_path(lambda factor: is_cheaper(factor) != now, price_factors(not now, 1000.0))
    return None if found is None else found - 1


def hosting_advantage_usd(candidates: Sequence[Candidate]) -> float:
    """By how much the best hosting or hybrid option beats the best API option, per accepted answer [USD]."""
    best = {"api": math.inf, "other": math.inf}
    for candidate in candidates:
        side = "api" if candidate.kind == "api" else "other"
        best[side] = min(best[side], candidate.rank[0])
    if math.isinf(best["other"]):
        return -math.inf
    return best["api"] - best["other"]


def _hosting_lags(question: Question, hosting: Sequence[Hosting], low: float, high: float) -> bool:
    """Whether hosting alone is dearer than an API anywhere between two volumes."""
    return bool(np.any(hosting_lead_usd(question, hosting, np.geomspace(low, high, _LOOKS_BETWEEN)) <= 0))


def _ranges(
    volumes: Sequence[float], advantages: Sequence[float], is_cheaper: Callable[[float], bool]
) -> list[tuple[float, float]]:
    cheaper: list[tuple[float, float]] = []
    for index, value in enumerate(advantages):
        is_first = index == 0 or advantages[index - 1] <= 0
        if value > 0 and is_first:
            cheaper.append((_start(volumes, index, is_cheaper), math.inf))
        if value <= 0 and not is_first:
            cheaper[-1] = (cheaper[-1][0], _turn(is_cheaper, volumes[index - 1], volumes[index]))
    return cheaper


def _start(volumes: Sequence[float], index: int, is_cheaper: Callable[[float], bool]) -> float:
    if index > 0:
        return _turn(is_cheaper, volumes[index - 1], volumes[index])
    lowest = volumes[0] * _NEXT_TO_NOTHING
    return 0.0 if is_cheaper(lowest) else _turn(is_cheaper, lowest, volumes[0])


def _turn(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition turns between two positive values, to a ten-millionth; a jump is as good as a crossing."""
    holds_below = holds(low)
    turned = first_on_path(lambda value: holds(value) != holds_below, [low, high])
    return high if turned is None else turned


def _hybrids_that_matter(low: _Look, high: _Look) -> list[str]:
    """Hybrids that are whole at one of two volumes only, and lead where they exist, or exist in between alone."""
    existing = {candidate.name for look in (low, high) for candidate in look.candidates}
    leaders = {low.leader, high.leader}
    return sorted(name for name in low.in_house ^ high.in_house if name in leaders or name not in existing)


def _both_sides_of_end(pair: Question, low: float, high: float) -> tuple[float, float]:
    """Volumes just before and just behind where a pair's best split begins or ceases to serve all in house."""

    def is_whole(volume: float) -> bool:
        (hybrid,) = pair.at_volume(volume).hybrids()
        return hybrid.is_whole

    is_whole_below = is_whole(low)
    end = first_on_path(lambda volume: is_whole(volume) != is_whole_below, [low, high])
    return (low, high) if end is None else (end * (1 - 2e-7), end)
