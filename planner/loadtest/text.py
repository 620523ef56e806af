"""Load points as text for a terminal."""

from collections.abc import Sequence

from planner.errors import visible
from planner.loadtest.progress import Progress
from planner.schema.benchmark import LoadPoint

_HEAD = ("load", "achieved/s", "out tok/s", "TTFT p50", "p95", "TPOT p50", "p95", "E2E p95", "goodput", "ok", "failed")


def load_table(points: Sequence[LoadPoint]) -> str:
    """One line per point, times in milliseconds, then what must be known of them; ends with a line break."""
    rows = [_HEAD, *(_row(point) for point in points)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    for point in points:
        lines += [f"{load_label(point)}: {visible(note)}" for note in _notes(point)]
    return "\n".join([*lines, "Times in milliseconds."]) + "\n"


def load_label(point: LoadPoint) -> str:
    """A load in two words.

    Example:
        >>> from planner.schema.benchmark import RequestCounts, Statistics
        >>> none = Statistics()
        >>> load_label(LoadPoint(
        ...     offered_requests_per_s=2.5, achieved_requests_per_s=2.4, requests=RequestCounts(sent=1, ok=1, failed=0),
        ...     input_tokens_per_s=0, output_tokens_per_s=0, ttft_s=none, itl_s=none, tpot_s=none, e2e_s=none))
        '2.5 requests/s'
    """
    if point.concurrency is not None:
        return f"{point.concurrency} user{'s' if point.concurrency > 1 else ''}"
    return f"{point.offered_requests_per_s or 0:.4g} requests/s"


def progress_text(label: str, now: Progress) -> str:
    """Where a point stands, on one line."""
    parts = [f"{now.sent} sent", f"{now.ok} ok", f"{now.failed} failed", f"{now.in_flight} in flight"]
    if now.ttft_p50_s is not None:
        parts.append(f"TTFT p50 {now.ttft_p50_s * 1000:.0f} ms")
    if now.output_tokens_per_s is not None:
        parts.append(f"{now.output_tokens_per_s:,.0f} tokens/s")
    if now.left_s is not None:
        parts.append(f"{now.left_s:.0f} s left")
    return f"{label}: {', '.join(parts)}"


def _row(point: LoadPoint) -> tuple[str, ...]:
    good = point.goodput_fraction
    return (
        load_label(point),
        f"{point.achieved_requests_per_s:.3g}",
        f"{point.output_tokens_per_s:,.0f}",
        _ms(point.ttft_s.p50),
        _ms(point.ttft_s.p95),
        _ms(point.tpot_s.p50),
        _ms(point.tpot_s.p95),
        _ms(point.e2e_s.p95),
        "-" if good is None else f"{good:.1%}",
        str(point.requests.ok),
        str(point.requests.failed),
    )


def _ms(time_s: float | None) -> str:
    if time_s is None:
        return "-"
    time_ms = time_s * 1000
    return f"{time_ms:,.0f}" if time_ms >= 100 else f"{time_ms:.3g}"


def _notes(point: LoadPoint) -> list[str]:
    found = list(point.warnings)
    if point.is_saturated:
        found.append("the server is saturated: more is offered than it can do")
    if point.is_steady is False:
        found.append("not steady: latencies show a trend; warm up longer, or measure longer")
    return found
