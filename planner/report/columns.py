"""Rows of text in columns, for a terminal."""

from collections.abc import Collection, Sequence

INTERVAL = "[95 %]"
"""Heads a column of intervals, which stand close behind their figures."""


def aligned(rows: Sequence[tuple[str, ...]], left: Collection[str] = ()) -> list[str]:
    """A line for each row: columns to the right; intervals, and those named, to the left.

    Args:
        rows: the first one names the columns.
        left: names of columns of words.

    Example:
        >>> aligned([("load", "TTFT", INTERVAL), ("8", "20", "18 to 23")])
        ['load  TTFT [95 %]', '   8    20 18 to 23']
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    gaps = [1 if name == INTERVAL else 2 for name in rows[0]]
    sides = ["<" if name == INTERVAL or name in left else ">" for name in rows[0]]
    return [
        "".join(
            f"{'':{gap}}{cell:{side}{width}}" for cell, width, gap, side in zip(row, widths, gaps, sides, strict=True)
        )[2:].rstrip()
        for row in rows
    ]
