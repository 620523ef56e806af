"""Two runs side by side, as a table for a terminal and as JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from planner.core.comparison import Compared, Comparison, Edge
from planner.report.columns import INTERVAL, aligned

_HEAD = ("load", "metric", "first", "second", "second / first", INTERVAL, "verdict")
_NONE = "–"


def compared_table(compared: Compared) -> str:
    """A row for each figure of each load."""
    first, second = compared.names
    rows = [_HEAD, *map(_row, compared.comparisons)]
    lines = aligned(rows, ("load", "metric", "verdict"))
    legend = (
        f"first: {first}; second: {second}",
        "better, worse: of the second, for certain; equal: within 5 %; unclear: more requests would tell",
        "ratios with their 95 % interval; verdicts leave 5 % of doubt to the whole table",
        *_legend_of_edges(compared.comparisons),
        *compared.notes,
    )
    return "\n".join([*lines, "", *legend]) + "\n"


def compared_json(compared: Compared) -> str:
    """The same as one document."""
    return json.dumps(asdict(compared), allow_nan=False, ensure_ascii=False) + "\n"


def _row(found: Comparison) -> tuple[str, ...]:
    first, second = _figure(found.first, found.first_edge), _figure(found.second, found.second_edge)
    if found.ratio is None:
        return found.load, found.metric, first, second, _NONE, _NONE, found.verdict
    interval = f"{found.ratio.low:.3f} to {found.ratio.high:.3f}"
    return found.load, found.metric, first, second, f"{found.ratio.value:.3f}", interval, found.verdict


def _figure(value: float | None, edge: Edge | None) -> str:
    if edge is None:
        return _NONE if value is None else f"{value:.4g}"
    if edge.met is None:
        return _NONE if edge.missed is None else f"below {edge.missed:.4g}"
    return f"from {edge.met:.4g}" if edge.missed is None else f"{edge.met:.4g} to {edge.missed:.4g}"


def _legend_of_edges(comparisons: Sequence[Comparison]) -> Iterator[str]:
    if any(found.first_edge is not None for found in comparisons):
        yield "within SLO: the highest load that met it and the lowest that missed it; the ratio as these allow"
