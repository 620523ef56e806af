"""Loads of two runs that are one and the same, or the same share of what each server can do."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from planner.loadtest.sweep import SHARES_OF_SATURATION
from planner.loadtest.within_slo import NEAR
from planner.workflows.measurements import Measurement

SAME_LENGTH_FRACTION = 0.01
_SAME_RATE_FRACTION = 0.01
_ONE_LENGTH = 0.05
"""Logarithm of the ratio of mean lengths up to which loads of a run that does not tell what was asked are repeats."""


@dataclass(frozen=True)
class Load:
    """A load of a run, over all times that it was measured; in that order."""

    repeats: tuple[Measurement, ...]

    @property
    def run(self) -> str:
        """Name of the run."""
        return self.repeats[0].run

    @property
    def label(self) -> str:
        """The load in two words."""
        return self.repeats[0].label

    @property
    def users(self) -> int | None:
        """Of a closed loop."""
        return self.repeats[0].point.concurrency

    @property
    def requests_per_s(self) -> float | None:
        """Of an open loop; None where nobody told."""
        return self.repeats[0].point.offered_requests_per_s

    @cached_property
    def asked_tokens(self) -> tuple[float | None, float | None]:
        """Mean lengths of prompts and answers that were asked for; those counted where the file does not tell that."""
        return self._mean("input_tokens"), self._mean("output_tokens")

    def _mean(self, column: str) -> float | None:
        entries = [entry for repeat in self.repeats for entry in repeat.records if not entry.is_warmup]
        for name in (f"asked_{column}", column):
            counted = [count for entry in entries if (count := getattr(entry, name)) is not None]
            if counted:
                return float(np.mean(counted))
        return None

    def unlikeness(self, other: "Load") -> float:
        """How far the lengths of two loads are from each other: a run may have one load with several lengths."""
        pairs = zip(self.asked_tokens, other.asked_tokens, strict=True)
        return sum(abs(math.log(before / after)) for before, after in pairs if before and after)


@dataclass(frozen=True)
class Pair:
    """A load of each run that are compared, and what the two have in common, in a few words."""

    label: str
    first: Load
    second: Load

    @property
    def is_closed(self) -> bool:
        """Whether users wait for their answers."""
        return self.first.users is not None


def loads_of(run: Sequence[Measurement]) -> list[Load]:
    """The loads of a run, each once, in the order in which they were first measured."""
    loads: list[Load] = []
    for measured in run:
        load = Load((measured,))
        place = next((place for place, each in enumerate(loads) if _is_repeat(each, load)), None)
        if place is None:
            loads.append(load)
        else:
            loads[place] = Load((*loads[place].repeats, measured))
    return loads


def _is_repeat(first: Load, second: Load) -> bool:
    if (first.users, first.requests_per_s) != (second.users, second.requests_per_s):
        return False
    return first.repeats[0].workload is not None or first.unlikeness(second) <= _ONE_LENGTH


def same_loads(first: Sequence[Load], second: Sequence[Load]) -> list[Pair]:
    """Loads that both have, each once."""
    left, pairs = list(second), []
    for load in first:
        alike = [each for each in left if _is_same(load, each)]
        if alike:
            other = min(alike, key=lambda each: (load.unlikeness(each), _apart(load, each)))
            left.remove(other)
            pairs.append(Pair(load.label, load, other))
    return pairs


def _is_same(first: Load, second: Load) -> bool:
    if first.users is not None or second.users is not None:
        return first.users == second.users
    before, after = first.requests_per_s, second.requests_per_s
    if before is None or after is None:
        return before is after
    return abs(before - after) <= _SAME_RATE_FRACTION * max(before, after)


def _apart(first: Load, second: Load) -> float:
    return abs((first.requests_per_s or 0.0) - (second.requests_per_s or 0.0))


def same_shares(first: Sequence[Load], second: Sequence[Load], pairs: Sequence[Pair]) -> Iterator[Pair]:
    """Open loops of two sweeps at the same share of each one's saturation, where they are no pair already."""
    done = {(id(pair.first), id(pair.second)) for pair in pairs}
    for share in SHARES_OF_SATURATION:
        before, after = _at_share(first, share), _at_share(second, share)
        if before is not None and after is not None and (id(before), id(after)) not in done:
            yield Pair(f"{100 * share:.0f} % of saturation", before, after)


def _at_share(loads: Sequence[Load], share: float) -> Load | None:
    """The load that a sweep measured there, or so near that it measured no other."""
    sweep = loads[0].repeats[0].sweep if loads else None
    if sweep is None or sweep.saturation is None:
        return None
    wanted = share * sweep.saturation.requests_per_s
    rates = [(load, load.requests_per_s) for load in loads if load.users is None]
    near = [(abs(math.log(rate / wanted)), load) for load, rate in rates if rate and wanted > 0]
    distance, load = min(near, key=lambda each: each[0], default=(math.inf, None))
    # Rates are rounded to three digits, and the saturation was not yet known as well as at the end.
    return load if distance <= math.log(NEAR) + 0.01 else None
