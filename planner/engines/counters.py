"""A server's `/metrics`: what it counts of itself, and whether it is still the one it was."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from planner.engines.metric_names import BROKEN_OFF, COUNTS, GAUGES, STARTED, TIMES, Count, Gauge, Time
from planner.engines.openai_http import OpenAIClient

TIMEOUT_S = 5.0
"""A page that takes longer is passed over."""
_SAME_START_S = 0.5
_LATEST_PREFIXES = tuple(
    name.removesuffix("_total")
    for name in (STARTED, *(name for names in (*GAUGES.values(), *COUNTS.values()) for name in names))
)


class Buckets(NamedTuple):
    """A histogram: how many values were at most each upper edge, and the sum of all."""

    counts: Mapping[float, float]
    """By upper edge, ascending; the last is infinite."""
    sum: float


@dataclass(frozen=True)
class Counters:
    """A page of `/metrics`, as far as somebody looks at it.

    Attributes:
        started_s: when the server's process started, on its wall clock [s]; None where it does not say.
        totals: each counter by name and labels; they only ever grow.
        gauges: what goes up and down, by name, one value for each set of labels.
        histograms: times by name, over all labels.
    """

    started_s: float | None = None
    totals: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    histograms: Mapping[str, Buckets] = field(default_factory=dict)

    @property
    def generated_tokens(self) -> float | None:
        """Since it started, for anybody [tokens]; None where it does not say."""
        return self.count("output_tokens")

    def total(self, wanted: str, without: frozenset[str] = frozenset()) -> float | None:
        """A counter over all of its labels, but those that hold one of some; None where there is none of this name."""
        found = [
            0.0 if without and without & _labels(name) else value
            for name, value in self.totals.items()
            if name.partition("{")[0] == wanted
        ]
        return sum(found) if found else None

    def count(self, term: Count) -> float | None:
        """A counter by our term for it; None where the page has it under none of its names."""
        found = (self.total(name, BROKEN_OFF if term == "requests" else frozenset()) for name in COUNTS[term])
        return next((total for total in found if total is not None), None)

    def gauge(self, term: Gauge) -> tuple[float, ...]:
        """A gauge by our term for it, one value for each engine; empty where the page does not have it."""
        return next((self.gauges[name] for name in GAUGES[term] if name in self.gauges), ())

    def times(self, term: Time) -> Buckets | None:
        """A histogram by our term for it; None where the page does not have it."""
        return next((self.histograms[name] for name in TIMES[term] if name in self.histograms), None)

    @property
    def busy_with(self) -> float:
        """Requests that are running or waiting, as far as it says."""
        return sum((*self.gauge("running"), *self.gauge("waiting")))


async def read_counters(client: OpenAIClient, is_latest: bool = False) -> Counters | None:
    """Asks `/metrics`; None where there is no such page, or no answer within five seconds.

    Args:
        client: of the server.
        is_latest: leaves histograms and the counters of others out, which make up most of a page, and of reading it.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reply = await client.get("/metrics")
    except OSError:  # a timeout is one
        return None
    if reply.status != 200:
        return None
    return parse_counters(_latest_lines(reply.text) if is_latest else reply.text)


def parse_counters(text: str) -> Counters | None:
    r"""Reads Prometheus' text format; None where it is something else, or holds no counter.

    Example:
        >>> parse_counters("# TYPE a_total counter\na_total 3\n").totals
        {'a_total{}': 3.0}
    """
    started_s: float | None = None
    totals: dict[str, float] = {}
    gauges: dict[str, list[float]] = defaultdict(list)
    histograms: dict[str, Buckets] = {}
    is_wanted = {name for names in (*GAUGES.values(), *TIMES.values()) for name in names}
    try:
        for family in text_string_to_metric_families(text):
            if family.type == "histogram" and family.name in is_wanted:
                histograms[family.name] = _buckets(family.samples)
            for sample in family.samples:
                if sample.name == STARTED:
                    started_s = float(sample.value)
                elif family.type == "counter" and not sample.name.endswith("_created"):
                    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                    totals[f"{sample.name}{{{labels}}}"] = float(sample.value)
                elif family.type == "gauge" and sample.name in is_wanted and math.isfinite(sample.value):
                    gauges[sample.name].append(float(sample.value))
    except (ValueError, IndexError, KeyError):  # a page of another kind
        return None
    if not totals and started_s is None:
        return None
    return Counters(started_s, totals, {name: tuple(values) for name, values in gauges.items()}, histograms)


def restart(before: Counters, after: Counters) -> str:
    """What shows that another process answers than before; empty where nothing does.

    Example:
        >>> restart(Counters(100.0), Counters(160.0))
        'its process started 60.0 s later than the one before'
        >>> restart(Counters(None, {"a": 3.0, "b": 0.0}), Counters(None, {"a": 1.0}))
        'a went back from 3 to 1'
    """
    if before.started_s is not None and after.started_s is not None:
        later_s = after.started_s - before.started_s
        if abs(later_s) > _SAME_START_S:
            return (
                f"its process started {abs(later_s):.1f} s {'later' if later_s > 0 else 'earlier'} than the one before"
            )
    for name, value in before.totals.items():
        now = after.totals.get(name, 0.0)
        if now < value:
            return f"{name} went back from {value:g} to {now:g}"
    return ""


def is_alternating(started_s: Iterable[float]) -> bool:
    """Whether a process answered again after another one had: several servers share the address.

    Example:
        >>> is_alternating([10.0, 10.0, 70.0, 70.0]), is_alternating([10.0, 70.0, 10.01])
        (False, True)
    """
    seen: list[float] = []
    for start_s in started_s:
        if seen and abs(start_s - seen[-1]) <= _SAME_START_S:
            continue
        if any(abs(start_s - other_s) <= _SAME_START_S for other_s in seen):
            return True
        seen.append(start_s)
    return False


def _buckets(samples: Iterable[Sample]) -> Buckets:
    """Over all labels but the edge."""
    counts: dict[float, float] = defaultdict(float)
    total = 0.0
    for sample in samples:
        if sample.name.endswith("_bucket"):
            counts[float(sample.labels["le"])] += sample.value
        elif sample.name.endswith("_sum"):
            total += sample.value
    return Buckets(dict(sorted(counts.items())), total)


def _labels(name: str) -> frozenset[str]:
    return frozenset(name.partition("{")[2].rstrip("}").split(","))


def _latest_lines(text: str) -> str:
    lines = (line for line in text.split("\n") if line.removeprefix("# TYPE ").startswith(_LATEST_PREFIXES))
    return "\n".join(lines) + "\n"
