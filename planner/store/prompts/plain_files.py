"""Text and CSV files as they are, whatever their cells hold."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from planner.errors import InputFileError, Problem
from planner.store.documents import read_bytes
from planner.store.files import shown_path


def read_text(path: Path, most_bytes: int) -> str:
    """A file of UTF-8 text, without the mark that some programs put at its start.

    Raises:
        InputFileError: there is no such file, it is larger than `most_bytes`, or it is not such text.
    """
    raw = read_bytes(path, most_bytes)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputFileError([Problem(shown_path(path), line, 0, "", "is not UTF-8 text")]) from error


@contextmanager
def large_cells(most_chars: int) -> Iterator[None]:
    """Lets cells of CSV be as large as that while it lasts: the limit is one for the whole process."""
    before = csv.field_size_limit(most_chars)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def csv_lines(text: str) -> Iterator[tuple[int, list[str] | ValueError]]:
    r"""Rows of CSV, each with the line that it begins in; a mistake in place of the last one that is read.

    Nothing can be read behind a quote that is not closed, or a cell that is too large.

    Example:
        >>> list(csv_lines('a,b\n"1\n2",3\n4,5\n'))
        [(1, ['a', 'b']), (2, ['1\n2', '3']), (4, ['4', '5'])]
        >>> list(csv_lines('a\n"1'))
        [(1, ['a']), (2, ValueError('is not CSV: unexpected end of data'))]
    """
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    begin = 1
    try:
        for cells in lines:
            yield begin, cells
            begin = lines.line_num + 1
    except csv.Error as error:
        yield begin, ValueError(f"is not CSV: {error}")


def twin_columns(names: Sequence[str]) -> str:
    """Why a header cannot be read, where columns have one name; empty where it can. Columns without names are no twins.

    Example:
        >>> twin_columns(["a", "b", "a", "", ""])
        'has columns twice: a'
    """
    twins = sorted({name for name in names if name and names.count(name) > 1})
    return f"has columns twice: {', '.join(twins)[:200]}" if twins else ""
