"""The server during a load point, apart from its answers: whether it went away, and what it counted."""

import asyncio
import time
from collections.abc import Callable
from typing import get_args

from planner.engines.counters import Counters, is_alternating, read_counters, restart
from planner.engines.openai_http import OpenAIClient
from planner.loadtest.counts import ClientCounts, Counted, disagreement
from planner.loadtest.outage import Outages
from planner.loadtest.probe import Looks
from planner.loadtest.remarks import CACHED_FRACTION
from planner.loadtest.server_figures import Counts, Window, server_figures
from planner.loadtest.telemetry import Telemetry
from planner.schema.benchmark import RequestRecord
from planner.schema.telemetry import CrossCheck, ServerFigures

_SETTLE_S, _AGAIN_S = 2.0, 0.1
"""How long a server may still be busy with requests that were cut off, or its counters behind its answers."""
_SEVERAL = "several servers answer at this address in turn: what each of them counts is not compared with the answers"


class ServerWatch:
    """Of one load point: `begin`, then every request that ends, then `end`.

    Where several servers share an address, each `/metrics` may be another one's, which looks like a restart. So they
    are read twice before the load, and again and again during it, and mean nothing where they are of several.
    """

    def __init__(
        self,
        client: OpenAIClient,
        telemetry: Telemetry | None = None,
        is_shared: bool = False,
        expects_no_cache: bool = True,
    ) -> None:
        """Watches a server.

        Args:
            client: of the server.
            telemetry: looks at it and at its GPUs meanwhile; None leaves that out.
            is_shared: whether others use it on purpose, so that it counts more than our requests.
            expects_no_cache: whether no prompt should come from its prefix cache.
        """
        self._expects_no_cache = expects_no_cache
        self.warnings: list[str] = []
        """What must be known of the point."""
        self.doubts: list[str] = []
        """Why it must not be trusted."""
        self.figures: ServerFigures | None = None
        """The server's side of the point; None where nobody saw any of it."""
        self.looks = Looks()
        """What was seen during the point."""
        self._client = client
        self._telemetry = telemetry
        self._is_shared = is_shared
        self._before: Counters | None = None
        self._is_several = False
        self._busy_before = 0
        self._outages = Outages()
        self._counts = ClientCounts()
        self._is_cache_told = False
        self._from_s, self._until_s = float("inf"), float("-inf")

    async def begin(self) -> None:
        """Before the first request."""
        first = await read_counters(self._client)
        second = await self._settled(self._is_idle) if first is not None else None
        if first is not None and second is not None:
            self._is_several = bool(restart(first, second))
            self._before = None if self._is_several else second
            self._busy_before = 0 if self._is_shared else round(second.busy_with)
        if self._telemetry is not None:
            await self._telemetry.begin(has_page=first is not None)

    def take(self, entry: RequestRecord) -> None:
        """A request that ended, of the warm-up too."""
        self._outages.take(entry)
        self._counts.take(entry)
        self._is_cache_told |= entry.cached_input_tokens is not None
        if entry.sent_s is not None:
            self._from_s = min(self._from_s, entry.sent_s)
            self._until_s = max(self._until_s, entry.sent_s if entry.finished_s is None else entry.finished_s)

    async def end(self, start_s: float | None = None) -> None:
        """After the last request; start_s is the first scheduled send that counts, on time.perf_counter [s]."""
        looks = await self._telemetry.end() if self._telemetry is not None else None
        if self._telemetry is not None and self._telemetry.lost:
            self.warnings.append(f"the server and its GPUs were not looked at: {self._telemetry.lost}")
        self.looks = looks or Looks()
        after = await self._settled(self._has_caught_up) if self._before is not None else None
        how = "" if self._before is None or after is None else restart(self._before, after)
        starts_s = [one.server.started_s for one in self.looks.seen if one.server is not None]
        self._is_several |= is_alternating(started_s for started_s in starts_s if started_s is not None)
        when = self._outages.told()
        if when:
            self.warnings.append(when)
        counts = Counts(told_output_tokens=self._told_output_tokens)
        if self._is_several:
            self.warnings.append(_SEVERAL)
        elif how:
            self.doubts.append(f"the server was restarted in between ({self._client.target.shown(how)})")
        elif self._outages.refused:
            self.doubts.append("the server could not be reached for a time, as when it is restarted")
        elif self._before is not None and after is None:
            self.warnings.append("its /metrics did not answer after the load: what it counted is not compared")
        elif self._before is not None and after is not None:
            counts = Counts(self._before, after, self._compared(self._before, after), self._told_output_tokens)
            self._look_at_cache(self._before, after)
        self._sum_up(counts, start_s)

    @property
    def _told_output_tokens(self) -> int:
        told = self._counts.bounds("output_tokens")
        return 0 if told is None else told.least

    def _is_idle(self, page: Counters) -> bool:
        return self._is_shared or page.busy_with == 0

    def _has_caught_up(self, page: Counters) -> bool:
        """Whether a page counts all that was answered, and nothing is left of what was cut off."""
        before = self._before or Counters()
        checks = self._checks(before, page).values()
        return self._is_idle(page) and all(check.server >= check.client for check in checks)

    async def _settled(self, is_settled: Callable[[Counters], bool]) -> Counters | None:
        """The page when it is as it should be, or when there was time enough for that; None where there is none."""
        until_s = time.perf_counter() + _SETTLE_S
        page = await read_counters(self._client)
        while page is not None and not is_settled(page) and time.perf_counter() < until_s:
            await asyncio.sleep(_AGAIN_S)
            page = await read_counters(self._client) or page
        return page

    def _checks(self, before: Counters, after: Counters) -> dict[Counted, CrossCheck]:
        checks: dict[Counted, CrossCheck] = {}
        for name in get_args(Counted):
            first, last, bounds = before.count(name), after.count(name), self._counts.bounds(name)
            if last is not None and bounds is not None:
                # A server that has answered nothing yet may not have the counter.
                server = max(0, round(last - (first or 0.0)))
                checks[name] = CrossCheck(server=server, client=bounds.least, client_most=bounds.most)
        return checks

    def _compared(self, before: Counters, after: Counters) -> dict[Counted, CrossCheck]:
        """What the server counted against what its answers told."""
        checks = self._checks(before, after)
        told = disagreement(checks, self._busy_before)
        if told and self._is_shared:
            self.warnings.append(f"{told}; others use it, as --shared-server says")
        elif told:
            self.doubts.append(f"{told}; where others use it on purpose, --shared-server makes this a warning")
        return checks

    def _look_at_cache(self, before: Counters, after: Counters) -> None:
        """Hits of the prefix cache, where answers do not tell them; vLLM's do only when it is asked to."""
        queries, hits = (
            (after.count(term) or 0.0) - (before.count(term) or 0.0)
            for term in ("prefix_cache_queries_tokens", "prefix_cache_hits_tokens")
        )
        if self._expects_no_cache and not self._is_cache_told and queries > 0 and hits > CACHED_FRACTION * queries:
            self.warnings.append(
                f"{hits / queries:.0%} of the prompt tokens came from the server's prefix cache, by its /metrics: it "
                "looks faster than it is with prompts that it has not seen"
            )

    def _sum_up(self, counts: Counts, start_s: float | None) -> None:
        is_seen = bool(self.looks.seen) or counts.before is not None
        if start_s is not None and is_seen and self._from_s <= self._until_s:
            window = Window(start_s, self._from_s, self._until_s)
            gpus = self._telemetry.gpus if self._telemetry is not None else ()
            looks = self.looks
            if self._is_several:  # one page says nothing of the others
                looks = Looks([one for one in looks.seen if one.server is None], looks.missed)
            self.figures = server_figures(window, looks, gpus, counts)
            self._look_for_idle_gpus(self.figures)

    def _look_for_idle_gpus(self, figures: ServerFigures) -> None:
        """Those of which the server uses none: what they draw would be taken for its own."""
        busy = {gpu.index: gpu.utilization_fraction for gpu in figures.gpus if gpu.utilization_fraction is not None}
        idle = [str(index) for index, level in busy.items() if not level.max]
        if idle and len(idle) < len(busy):
            self.warnings.append(
                f"nothing ran on GPU {', '.join(idle)}, whose power is counted too: --gpus names those of the server"
            )
