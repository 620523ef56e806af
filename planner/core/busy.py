"""What a server does while all users of a closed loop wait for it: throughput without start and end."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LEAST_FRACTION = 0.25
"""A window that is shorter than this share of the load says too little."""


def busy_window(sent_s: Array, finished_s: Array, users: int) -> tuple[float, float] | None:
    """From when half of the users had their first answer until the last request was sent.

    Before, the answers of all users began together, and after, there were fewer users than asked.

    Args:
        sent_s: when each request was sent [s], shape (n,).
        finished_s: when its answer ended or failed [s], shape (n,).
        users: of the closed loop.

    Returns:
        Begin and end [s]; None where that is less than a quarter of the time from the first request to the last answer.

    Example:
        Two users, whose requests take one second each:

        >>> sent_s = np.repeat(np.arange(5.0), 2)
        >>> busy_window(sent_s, sent_s + 1, 2)
        (1.0, 4.0)
    """
    if sent_s.size <= users:
        return None
    first = np.argsort(sent_s, kind="stable")[:users]
    begin_s, end_s = float(np.median(finished_s[first])), float(sent_s.max())
    whole_s = float(finished_s.max() - sent_s.min())
    return (begin_s, end_s) if end_s - begin_s > _LEAST_FRACTION * whole_s else None


def tokens_within(first_s: Array, last_s: Array, tokens: Array, begin_s: float, end_s: float) -> float:
    """Output tokens that came within a time [tokens].

    The first token of a request counts when it came, the others as if they had come evenly until the last.

    Args:
        first_s: when the first token of each answer came [s], shape (n,).
        last_s: when its last one came [s], shape (n,).
        tokens: of each answer [tokens], shape (n,).
        begin_s: begin of the time [s].
        end_s: its end [s].

    Example:
        >>> tokens_within(np.array([1.0]), np.array([2.0]), np.array([11.0]), 1.5, 9.0)
        5.0
    """
    span_s = last_s - first_s
    inside_s = np.clip(np.minimum(last_s, end_s) - np.maximum(first_s, begin_s), 0.0, None)
    share = np.divide(inside_s, span_s, out=np.zeros_like(span_s), where=span_s > 0)
    at_once = (span_s <= 0) & (first_s >= begin_s) & (first_s < end_s)
    begins = (first_s >= begin_s) & (first_s < end_s)
    later = np.maximum(tokens - 1, 0)
    return float((later * np.where(at_once, 1.0, share) + begins).sum())
