"""Which loads a sweep measures."""

from collections.abc import Sequence

from planner.schema.benchmark import LoadPoint

SHARES_OF_BEST = (0.25, 0.5, 0.75, 0.9)
"""Open-loop rates, as shares of the best throughput of the closed-loop points: from idle to nearly full."""


def open_loop_rates(points: Sequence[LoadPoint]) -> tuple[float, ...]:
    """Rates around what closed-loop points achieved [requests/s]; none where they achieved nothing.

    Args:
        points: measured so far.

    Example:
        >>> from planner.schema.benchmark import RequestCounts, Statistics
        >>> none = Statistics()
        >>> point = LoadPoint(
        ...     offered_requests_per_s=None, concurrency=8, achieved_requests_per_s=20.0,
        ...     requests=RequestCounts(sent=1, ok=1, failed=0), input_tokens_per_s=0, output_tokens_per_s=0,
        ...     ttft_s=none, itl_s=none, tpot_s=none, e2e_s=none)
        >>> open_loop_rates([point])
        (5.0, 10.0, 15.0, 18.0)
    """
    best_per_s = max((point.achieved_requests_per_s for point in points), default=0.0)
    return tuple(float(f"{share * best_per_s:.3g}") for share in SHARES_OF_BEST) if best_per_s > 0 else ()
