"""When so many requests fail that going on would tell nothing about the server."""

from collections import deque
from math import sqrt

IN_A_ROW = 50
"""So many failures one after the other, and the server is broken rather than busy."""
LATEST = 200
"""Answers whose share of failures is looked at."""
_LEAST_FRACTION = 0.5
"""A server that turns away less than this may just be offered too much, and that is worth measuring."""
_DEVIATIONS = 4.75
"""Of a binomial share: chance alone goes beyond it once in a million."""


def storm(in_a_row: int, failed: int, latest: int, max_error_fraction: float) -> str:
    """Why a load point is to be given up; empty where it is not.

    It is where failures come one after the other, or where more than half of the latest answers are failures, and more
    of them than chance would make where `max_error_fraction` fails. With 1 it never is.

    Args:
        in_a_row: failures since the last answer that came whole.
        failed: failures among the latest answers.
        latest: how many answers these are, at most LATEST.
        max_error_fraction: that the user allows.

    Example:
        >>> storm(in_a_row=3, failed=120, latest=200, max_error_fraction=0.05)
        '120 of the latest 200 requests failed'
        >>> storm(in_a_row=3, failed=120, latest=200, max_error_fraction=0.5)
        ''
    """
    if max_error_fraction >= 1:
        return ""
    if in_a_row >= IN_A_ROW:
        return f"{in_a_row} requests failed one after the other"
    spread = _DEVIATIONS * sqrt(max_error_fraction * (1 - max_error_fraction) / LATEST)
    is_most = failed > max(_LEAST_FRACTION, max_error_fraction + spread) * LATEST
    return f"{failed} of the latest {latest} requests failed" if latest >= LATEST and is_most else ""


class StormWatch:
    """Takes answers one after the other, and tells when it is enough."""

    def __init__(self, max_error_fraction: float) -> None:
        self._max_error_fraction = max_error_fraction
        self._latest: deque[bool] = deque(maxlen=LATEST)
        self._failed = self._in_a_row = 0

    def take(self, is_ok: bool) -> str:
        """Why the point is to be given up after this answer; empty where it is not."""
        if len(self._latest) == LATEST and not self._latest[0]:
            self._failed -= 1
        self._latest.append(is_ok)
        if is_ok:
            self._in_a_row = 0
            return ""
        self._failed += 1
        self._in_a_row += 1
        return storm(self._in_a_row, self._failed, len(self._latest), self._max_error_fraction)
