"""What a server counts of its prefix cache, where its answers do not tell."""

import asyncio
from typing import Any

import pytest

from planner.engines.counters import Counters
from planner.schema.benchmark import RequestRecord
from planner.workflows.bench import server_watch
from planner.workflows.bench.server_watch import ServerWatch

QUERIES, HITS = "vllm:prefix_cache_queries_total{engine=0}", "vllm:prefix_cache_hits_total{engine=0}"


def warnings(hits: float, cached_input_tokens: int | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    pages = [Counters(1.0, {QUERIES: 500.0, HITS: 400.0})] * 2 + [Counters(1.0, {QUERIES: 1500.0, HITS: 400.0 + hits})]

    async def read(_: Any) -> Counters:
        return pages.pop(0)

    monkeypatch.setattr(server_watch, "read_counters", read)

    async def work() -> list[str]:
        client: Any = None
        watch = ServerWatch(client)
        await watch.begin()
        watch.take(
            RequestRecord(
                index=0,
                due_s=0.0,
                sent_s=0.0,
                asked_input_tokens=9,
                asked_output_tokens=1,
                outcome="ok",
                cached_input_tokens=cached_input_tokens,
            )
        )
        await watch.end()
        assert watch.doubts == []
        return watch.warnings

    return asyncio.run(work())


def test_hits_during_the_load_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = warnings(250.0, None, monkeypatch)
    assert told.startswith("25% of the prompt tokens came from the server's prefix cache, by its /metrics")
    assert warnings(40.0, None, monkeypatch) == []
    assert warnings(250.0, 3, monkeypatch) == [], "the answers tell it themselves"
