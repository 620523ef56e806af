"""What a profile predicts for a load point that it was not fitted on, beside what was measured."""

import numpy as np

from planner.core.simulate import Arrivals, simulate
from planner.core.steptime import Floats, Timeline
from planner.errors import InputError
from planner.schema.profile import Profile


def measured_figures(timeline: Timeline) -> dict[str, float]:
    """Latencies and throughput of a load point as its client saw them, counted from when each request was sent.

    Args:
        timeline: the requests.

    Example:
        >>> alone = Timeline(np.array([0.0]), np.array([50]), np.array([3]), np.array([0.02, 0.03, 0.04]))
        >>> {name: round(value, 6) for name, value in measured_figures(alone).items()}["output_tokens_per_s"]
        75.0
    """
    return _figures(timeline, timeline.first_token_s, timeline.last_token_s)


def predicted_figures(profile: Profile, timeline: Timeline) -> dict[str, float]:
    """The same by simulation: the same requests, sent to one replica at the same moments.

    Args:
        profile: whose prediction it is.
        timeline: the requests; what became of them is not looked at.

    Raises:
        InputError: requests were answered that the profile's limits would have refused, so that a limit is wrong.
    """
    by_time = np.argsort(timeline.sent_s, kind="stable")
    served = simulate(
        profile,
        1,
        Arrivals.of(timeline.sent_s[by_time], timeline.prompt_tokens[by_time], timeline.output_tokens[by_time]),
    )
    if served.too_long:
        raise InputError("limits", f"{served.too_long} answered requests are longer than these limits allow")
    first_s, last_s = np.empty(by_time.size), np.empty(by_time.size)
    first_s[by_time], last_s[by_time] = served.first_token_s, served.last_token_s
    return _figures(timeline, first_s, last_s)


def relative_errors(predicted: dict[str, float], measured: dict[str, float]) -> dict[str, float]:
    """(predicted − measured) / measured of every figure that both have [fraction].

    Example:
        >>> relative_errors({"ttft_p50_s": 0.9, "tpot_p50_s": 0.1}, {"ttft_p50_s": 1.0})
        {'ttft_p50_s': -0.1}
    """
    return {
        name: round(predicted[name] / value - 1, 6)
        for name, value in measured.items()
        if name in predicted and value > 0
    }


def _figures(timeline: Timeline, first_s: Floats, last_s: Floats) -> dict[str, float]:
    """Figures of the requests that count, the warm-up being part of the load alone."""
    counted = timeline.counted
    sent_s, output_tokens = timeline.sent_s[counted], timeline.output_tokens[counted]
    first_s, last_s = first_s[counted], last_s[counted]
    ttft_s, e2e_s = first_s - sent_s, last_s - sent_s
    has_more = output_tokens > 1
    tpot_s = (last_s - first_s)[has_more] / (output_tokens[has_more] - 1)
    span_s = float(last_s.max() - sent_s.min())
    figures = {
        "ttft_mean_s": float(ttft_s.mean()),
        "ttft_p50_s": float(np.percentile(ttft_s, 50)),
        "ttft_p95_s": float(np.percentile(ttft_s, 95)),
        "e2e_mean_s": float(e2e_s.mean()),
        "output_tokens_per_s": float(output_tokens.sum()) / span_s if span_s > 0 else 0.0,
    }
    if tpot_s.size:
        figures["tpot_p50_s"] = float(np.percentile(tpot_s, 50))
        figures["tpot_p95_s"] = float(np.percentile(tpot_s, 95))
    return figures
