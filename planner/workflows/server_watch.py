"""The server during a load point, apart from its answers: whether it went away, and what it counted."""

from planner.engines.answers import OK
from planner.engines.counters import Counters, read_counters, restart
from planner.engines.openai_http import OpenAIClient
from planner.loadtest.outage import Outages
from planner.loadtest.remarks import CACHED_FRACTION
from planner.schema.benchmark import RequestRecord

_NEAR_FRACTION, _NEAR_TOKENS = 0.02, 10


class ServerWatch:
    """Of one load point: `begin`, then every request that ends, then `end`.

    Where several servers share an address, each `/metrics` may be another one's, which looks like a restart. So they
    are read twice before the load, and mean nothing where they differ already.
    """

    def __init__(self, client: OpenAIClient) -> None:
        self.warnings: list[str] = []
        """What must be known of the point."""
        self.doubts: list[str] = []
        """Why it must not be trusted."""
        self._client = client
        self._before: Counters | None = None
        self._outages = Outages()
        self._tokens = self._uncounted = 0
        self._is_cache_told = False

    async def begin(self) -> None:
        """Before the first request."""
        first = await read_counters(self._client)
        second = await read_counters(self._client) if first is not None else None
        if first is not None and second is not None and not restart(first, second):
            self._before = second

    def take(self, entry: RequestRecord) -> None:
        """A request that ended, of the warm-up too."""
        self._outages.take(entry)
        self._is_cache_told |= entry.cached_input_tokens is not None
        if entry.outcome == OK and entry.output_tokens is not None:
            self._tokens += entry.output_tokens
        else:
            self._uncounted += 1

    async def end(self) -> None:
        """After the last request."""
        after = await read_counters(self._client) if self._before is not None else None
        how = "" if self._before is None or after is None else restart(self._before, after)
        when = self._outages.told()
        if when:
            self.warnings.append(when)
        if how:
            self.doubts.append(f"the server was restarted in between ({self._client.target.shown(how)})")
        elif self._outages.refused:
            self.doubts.append("the server could not be reached for a time, as when it is restarted")
        elif self._before is not None and after is not None:
            self._compare(self._before, after)
            self._look_at_cache(self._before, after)

    def _compare(self, before: Counters, after: Counters) -> None:
        """Tokens that the server generated, against those that its answers told."""
        if before.generated_tokens is None or after.generated_tokens is None:
            return
        generated = after.generated_tokens - before.generated_tokens
        near = _NEAR_TOKENS + _NEAR_FRACTION * self._tokens
        told = f"its /metrics count {generated:,.0f} tokens generated, its answers {self._tokens:,}"
        if generated < self._tokens - near:
            self.warnings.append(f"{told}: one of them is wrong")
        elif generated > self._tokens + near and not self._uncounted:
            self.warnings.append(f"{told}: somebody else uses the server, or one of them is wrong")

    def _look_at_cache(self, before: Counters, after: Counters) -> None:
        """Hits of the prefix cache, where answers do not tell them; vLLM's do only when it is asked to."""
        queries = (after.cache_queries_tokens or 0.0) - (before.cache_queries_tokens or 0.0)
        hits = (after.cache_hits_tokens or 0.0) - (before.cache_hits_tokens or 0.0)
        if not self._is_cache_told and queries > 0 and hits > CACHED_FRACTION * queries:
            self.warnings.append(
                f"{hits / queries:.0%} of the prompt tokens came from the server's prefix cache, by its /metrics: it "
                "looks faster than it is with prompts that it has not seen"
            )
