"""The latencies of a load point's requests, each from when it was due."""

from dataclasses import dataclass

import numpy as np

from planner.core.latency import time_per_output_token
from planner.core.quantiles import Array, Ints
from planner.loadtest.sample import UNKNOWN, Bools, Columns


@dataclass(frozen=True)
class Times:
    """Of the answers that came whole, in the order of the schedule; each of shape (ok,).

    Attributes:
        span_s: from the first scheduled send of all to the last completion [s].
    """

    due_s: Array
    ttft_s: Array
    tpot_s: Array
    e2e_s: Array
    output_tokens: Array
    span_s: float

    @classmethod
    def of(cls, sent: Columns, is_ok: Bools) -> "Times":
        due_s, first_s, last_s = sent.due_s[is_ok], sent.first_token_s[is_ok], sent.last_token_s[is_ok]
        # As the server counted; its chunks, where it did not.
        tokens = known(sent.output_tokens, sent.chunks)[is_ok].astype(np.float64)
        ends_s = sent.finished_s[is_ok & ~np.isnan(sent.finished_s)]
        return cls(
            due_s=due_s,
            ttft_s=first_s - due_s,
            tpot_s=time_per_output_token(first_s, last_s, tokens),
            e2e_s=last_s - due_s,
            output_tokens=tokens,
            span_s=max(0.0, float(ends_s.max() - sent.due_s.min())) if ends_s.size else 0.0,
        )


def known(told: Ints, otherwise: Ints) -> Ints:
    """Counts that the server told, and others where it told none."""
    return np.where(told == UNKNOWN, otherwise, told)
