"""Whether the server fell behind; a simple rule, stated."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_REQUESTS = 20
_BEHIND_FRACTION, _STANDARD_ERRORS = 0.1, 3.0
_EARLY_FRACTION, _LEAST_EARLY = 0.1, 5


def is_backlog_growing(due_s: Array, finished_s: Array) -> bool:
    """Whether the server fell behind an open-loop schedule: it served less than 0.9 of what arrived.

    Looked at is the later half of the schedule, so that a server that fills up from empty does not count: requests
    in flight must have grown over it by more than a tenth of those that arrived in it, and by more than three
    standard errors, the square root of the two numbers in flight. Where the earliest requests alone, which found
    the server idle, took longer than a quarter of the schedule, it was too short to tell.

    Args:
        due_s: when each request was due [s], shape (n,).
        finished_s: when its answer ended or failed [s], shape (n,).

    Returns:
        False where it cannot be told.

    Example:
        A server that takes 0.2 s for each, one after the other, at 4 and at 10 requests/s:

        >>> due_s = np.arange(200) / 4
        >>> is_backlog_growing(due_s, due_s + 0.2)
        False
        >>> is_backlog_growing(np.arange(200) / 10, np.arange(1, 201) / 5)
        True
    """
    if due_s.size < LEAST_REQUESTS:
        return False
    order = np.argsort(due_s, kind="stable")
    begin_s, end_s = due_s[order[0]], due_s[order[-1]]
    early = order[: max(_LEAST_EARLY, round(_EARLY_FRACTION * due_s.size))]
    if np.median(finished_s[early] - due_s[early]) > (end_s - begin_s) / 4:
        return False
    middle_s = (begin_s + end_s) / 2
    arrived = np.count_nonzero(due_s > middle_s)
    before = np.count_nonzero((due_s <= middle_s) & (finished_s > middle_s))
    after = np.count_nonzero(finished_s > end_s)
    limit = max(_BEHIND_FRACTION * arrived, _STANDARD_ERRORS * np.sqrt(before + after))
    return bool(after - before > limit)
