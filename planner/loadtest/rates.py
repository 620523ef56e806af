"""What a load point did in a second: requests, tokens, and requests within the service level."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from planner.core.batches import Interval
from planner.core.intervals import rate_error_fraction, share_interval
from planner.core.latency import meets_slo
from planner.core.quantiles import Array
from planner.loadtest.course import Course
from planner.loadtest.sample import Columns
from planner.loadtest.times import Times, known
from planner.schema.scenario import Slo


@dataclass(frozen=True)
class Rates:
    """Rates of the requests that count, and 95 % intervals; goodput is None where there is no service level.

    Attributes:
        requests_per_s: answered [requests/s].
        input_tokens_per_s: of the answered ones [tokens/s].
        output_tokens_per_s: likewise [tokens/s].
        goodput_per_s: within the service level [requests/s].
        goodput_fraction: likewise, of all that were sent.
        ci95_requests_per_s: None where it cannot be told, as the next ones.
        ci95_output_tokens_per_s: likewise.
        ci95_goodput_fraction: likewise.
    """

    requests_per_s: float
    input_tokens_per_s: float
    output_tokens_per_s: float
    goodput_per_s: float | None
    goodput_fraction: float | None
    ci95_requests_per_s: Interval | None
    ci95_output_tokens_per_s: Interval | None
    ci95_goodput_fraction: Interval | None

    @classmethod
    def of(cls, kept: Columns, times: Times, slo: Slo, went: Course, users: int | None) -> Self:
        """Rates over the time from when the first was due to the last completion.

        Args:
            kept: the requests that count, in the order in which they were due.
            times: of those that were answered.
            slo: the service level.
            went: how the load point went.
            users: of a closed loop; None in an open one.
        """
        is_ok = (kept.outcome == 0).astype(np.float64)
        tokens, good = np.zeros(is_ok.size), np.zeros(is_ok.size)
        tokens[is_ok > 0], good[is_ok > 0] = times.output_tokens, meets_slo(times.ttft_s, times.tpot_s, slo)
        has_slo = slo.ttft_p95_s is not None or slo.tpot_p95_s is not None

        def per_s(amounts: Array) -> float:
            return float(amounts.sum()) / times.span_s if times.span_s > 0 else 0.0

        # Those that a closed loop begins with come at once, and tell nothing of its pace.
        begin = 0 if users is None else max(0, users - went.left_out)

        def interval(amounts: Array) -> Interval | None:
            if went.in_flight is None:
                return None
            error = rate_error_fraction(amounts[begin:], kept.due_s[begin:], went.in_flight)
            rate_per_s = per_s(amounts)
            return None if error is None else (max(0.0, rate_per_s * (1 - error)), rate_per_s * (1 + error))

        is_estimable = has_slo and good.size > 0 and went.in_flight is not None
        return cls(
            requests_per_s=per_s(is_ok),
            input_tokens_per_s=per_s(known(kept.input_tokens, kept.asked_input_tokens).clip(0) * is_ok),
            output_tokens_per_s=per_s(tokens),
            goodput_per_s=per_s(good) if has_slo else None,
            goodput_fraction=float(good.mean()) if has_slo and good.size else None,
            ci95_requests_per_s=interval(is_ok),
            ci95_output_tokens_per_s=interval(tokens),
            ci95_goodput_fraction=share_interval(good, went.in_flight or 0.0) if is_estimable else None,
        )
