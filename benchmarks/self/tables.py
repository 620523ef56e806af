"""Figures of several clients as a table in Markdown: each against its limit, and against ours."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Figures = Mapping[str, float]
"""One run of one client: row's name → value; what a client does not tell is left out."""


@dataclass(frozen=True)
class Row:
    """A figure that is compared.

    Attributes:
        name: with its unit.
        limit: that ours is held to; None where it is only told.
        kind: whether the limit is a floor or a ceiling, for the value or for its size without its sign.
        decimals: shown.
    """

    name: str
    limit: float | None = None
    kind: Literal["at most", "at least", "within"] = "at most"
    decimals: int = 2

    def is_kept(self, value: float) -> bool:
        """Whether a value of ours keeps the limit; any does where there is none."""
        if self.limit is None:
            return True
        if self.kind == "at least":
            return value >= self.limit
        return (abs(value) if self.kind == "within" else value) <= self.limit

    def limit_shown(self) -> str:
        """The limit in words."""
        if self.limit is None:
            return ""
        return f"{'±' if self.kind == 'within' else {'at most': '≤ ', 'at least': '≥ '}[self.kind]}{self.limit:,.6g}"


def table(rows: Sequence[Row], rounds: Mapping[str, Sequence[Figures]], ours: str) -> str:
    """A table in Markdown.

    Medians over the rounds. Behind each of ours: its share of the limit, and ✗ where it is missed. Behind each of the
    others: its multiple of ours.

    Args:
        rows: what is told.
        rounds: client → its figures, round by round; one that failed in every round has none.
        ours: the client that limits are for.
    """
    names = list(rounds)
    lines = ["| | limit | " + " | ".join(names) + " |", "| --- | ---: |" + " ---: |" * len(names)]
    for row in rows:
        values = {name: median(row.name, rounds[name]) for name in names}
        cells = [_cell(row, name, values, ours) for name in names]
        lines.append(f"| {row.name} | {row.limit_shown()} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def missed(rows: Sequence[Row], figures: Sequence[Figures]) -> list[str]:
    """The rows whose limit our medians do not keep."""
    return [row.name for row in rows if (value := median(row.name, figures)) is not None and not row.is_kept(value)]


def median(name: str, figures: Sequence[Figures]) -> float | None:
    """Of a figure over rounds; None where no round has it."""
    values = [entry[name] for entry in figures if name in entry]
    return statistics.median(values) if values else None


def _cell(row: Row, name: str, values: Mapping[str, float | None], ours: str) -> str:
    value, our_value = values[name], values.get(ours)
    if value is None:
        return "–"
    shown = f"{value:,.{row.decimals}f}"
    if name == ours:
        if row.limit is None:
            return shown
        return f"{shown} ({abs(value) / row.limit:.0%}{'' if row.is_kept(value) else ' ✗'})"
    if our_value and value * our_value > 0:
        return f"{shown} ({value / our_value:.2f}×)"
    return shown
