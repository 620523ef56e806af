"""What a server counts of itself, before and after a load: whether it is still the one it was."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from planner.engines.openai_http import OpenAIClient

_TIMEOUT_S = 5.0
_STARTED = "process_start_time_seconds"
_GENERATED = "vllm:generation_tokens_total"
_QUERIES, _HITS = "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"
_SAME_START_S = 0.5


@dataclass(frozen=True)
class Counters:
    """A server's `/metrics`, as far as they only ever grow.

    Attributes:
        started_s: when its process started, on its wall clock [s]; None where it does not say.
        totals: each counter by name and labels.
    """

    started_s: float | None = None
    totals: Mapping[str, float] = field(default_factory=dict)

    @property
    def generated_tokens(self) -> float | None:
        """Since it started, for anybody [tokens]; None where it does not say."""
        return self.total(_GENERATED)

    @property
    def cache_queries_tokens(self) -> float | None:
        """Prompt tokens that were looked up in the prefix cache, likewise."""
        return self.total(_QUERIES)

    @property
    def cache_hits_tokens(self) -> float | None:
        """Of them, those that were there, likewise."""
        return self.total(_HITS)

    def total(self, wanted: str) -> float | None:
        """A counter over all of its labels; None where there is none of this name."""
        found = [value for name, value in self.totals.items() if name.partition("{")[0] == wanted]
        return sum(found) if found else None


async def read_counters(client: OpenAIClient) -> Counters | None:
    """Asks `/metrics`; None where there is no such page, or no answer within five seconds."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reply = await client.get("/metrics")
    except OSError:  # a timeout is one
        return None
    return parse_counters(reply.text) if reply.status == 200 else None


def parse_counters(text: str) -> Counters | None:
    r"""Reads Prometheus' text format; None where it is something else, or holds no counter.

    Example:
        >>> parse_counters("# TYPE a_total counter\na_total 3\n").totals
        {'a_total{}': 3.0}
    """
    started_s, totals = None, {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == _STARTED:
                    started_s = float(sample.value)
                elif family.type == "counter" and not sample.name.endswith("_created"):
                    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                    totals[f"{sample.name}{{{labels}}}"] = float(sample.value)
    except (ValueError, IndexError, KeyError):  # a page of another kind
        return None
    return Counters(started_s, totals) if totals or started_s is not None else None


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
