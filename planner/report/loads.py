"""Load points as a table for a terminal."""

from collections.abc import Sequence

from planner.schema.benchmark import LoadPoint

_COLUMNS = (
    "load",
    "requests/s",
    "ok",
    "failed",
    "in tok/s",
    "out tok/s",
    "TTFT p50",
    "p95",
    "TPOT p50",
    "p95",
    "E2E p95",
)


def load_table(points: Sequence[LoadPoint]) -> str:
    """One line per load point, times in milliseconds; a load beyond capacity is marked.

    Args:
        points: as measured or simulated.
    """
    rows = [_COLUMNS, *(_row(point) for point in points)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*lines, "Times in ms."]) + "\n"


def _row(point: LoadPoint) -> tuple[str, ...]:
    is_open = point.offered_requests_per_s is not None
    load = f"{point.offered_requests_per_s:.4g}/s" if is_open else f"{point.concurrency} users"
    return (
        f"{load} (too much)" if point.is_saturated and is_open else load,
        f"{point.achieved_requests_per_s:.4g}",
        f"{point.requests.ok:,}",
        f"{point.requests.failed:,}",
        f"{point.input_tokens_per_s:,.0f}",
        f"{point.output_tokens_per_s:,.0f}",
        _ms(point.ttft_s.p50),
        _ms(point.ttft_s.p95),
        _ms(point.tpot_s.p50),
        _ms(point.tpot_s.p95),
        _ms(point.e2e_s.p95),
    )


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:,.1f}"
