"""When the server could not be reached during a load point, as its requests tell."""

from planner.engines.answers import OK
from planner.schema.benchmark import RequestRecord

_NO_CONNECTION = frozenset({"connect", "timeout_connect"})
_LOST = _NO_CONNECTION | {"reset_before_headers", "reset_before_output", "reset_mid_stream"}


class Outages:
    """Takes the requests of a point as they end.

    An outage goes from the first connection that was lost or refused to the first token of a request that was sent
    after it. A fault of single connections looks like many short ones.
    """

    def __init__(self) -> None:
        self.lost = self.refused = self.more = 0
        """Connections that broke, connections that never came to be, and outages after the first."""
        self.from_s: float | None = None
        """Start of the first, in seconds since the point's start; None where there was none."""
        self.until_s: float | None = None
        """Its end; None where nothing was answered any more."""
        self._lost_s: float | None = None

    def take(self, entry: RequestRecord) -> None:
        """Takes a request that ended, of the warm-up too."""
        if entry.outcome in _LOST:
            self.lost += entry.outcome not in _NO_CONNECTION
            self.refused += entry.outcome in _NO_CONNECTION
            if self._lost_s is None and entry.finished_s is not None:
                self._lost_s = entry.finished_s
                if self.from_s is None:
                    self.from_s = entry.finished_s
                else:
                    self.more += 1
        elif self._lost_s is not None and entry.outcome == OK and (entry.sent_s or 0.0) > self._lost_s:
            if self.until_s is None and not self.more:
                self.until_s = entry.first_token_s
            self._lost_s = None

    def told(self) -> str:
        """When, and how much of it; empty where there was none.

        Example:
            >>> outages = Outages()
            >>> outages.from_s, outages.until_s, outages.lost, outages.refused = 2.5, 4.0, 3, 12
            >>> outages.told()
            'no answer from 2.50 s to 4.00 s after the start: 3 connections were lost, 12 could not be made'
        """
        if self.from_s is None:
            return ""
        until = "to the end" if self.until_s is None else f"to {self.until_s:.2f} s after the start"
        more = f", and {self.more} more times" if self.more else ""
        counts = f"{self.lost} connections were lost, {self.refused} could not be made"
        return f"no answer from {self.from_s:.2f} s {until}{more}: {counts}"
