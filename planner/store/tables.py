"""CSV files of requests or counts as clean columns: numbers checked row by row, times in seconds."""

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import InputFileError, Problem
from planner.store.documents import read_bytes
from planner.store.files import shown_path

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[float], None]

_MAX_BYTES = 2**30
_MAX_ROWS = 20_000_000
_ROWS_AT_ONCE = 250_000
"""Rows are text until they are checked, and text takes ten times the room of numbers."""
_MOST_LINES_TOLD = 20

_OUR_NAME = {
    "contexttokens": "input_tokens",
    "generatedtokens": "output_tokens",
    "request tokens": "input_tokens",
    "response tokens": "output_tokens",
    "timestamp": "timestamp",
    "requests": "requests",
    "input_tokens": "input_tokens",
    "cached_input_tokens": "cached_input_tokens",
    "output_tokens": "output_tokens",
    "task": "task",
    "model": "model",
}
"""Our column names by those of the Azure LLM inference traces, of BurstGPT, and our own; all in lower case."""

_AZURE_COLUMN = "contexttokens"
"""Azure publishes its traces with times without a zone."""
_TIMES_ALLOWED = "must be seconds, or ISO 8601 with a zone as in 2026-11-24T10:00:00Z, alike in all rows"
_TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens")
_MOST = {"requests": 1e12, **dict.fromkeys(_TOKENS, 1e9)}
_MOST_SECONDS = 1e11
"""Seconds since 1970 get there in the year 5138; milliseconds passed it in 1973."""


@dataclass(frozen=True)
class Rows:
    """A file's rows in its order.

    Attributes:
        file: as the user named it.
        table: `timestamp` [s], `requests` where the file holds counts, token columns, `task`, `model`, and
            `line`, the line of the file.
        sha256: of the file's bytes.
    """

    file: str
    table: "pd.DataFrame"
    sha256: str

    @property
    def token_columns(self) -> list[str]:
        """The token columns that the file has."""
        return [key for key in _TOKENS if key in self.table]

    def refuse(self, message: str) -> InputFileError:
        """An error for the whole file."""
        return InputFileError([Problem(self.file, 0, 0, "", message)])

    def refuse_lines(self, lines: Sequence[int], field: str, message: str) -> InputFileError:
        """An error for the lines given."""
        mistakes = _Mistakes(self.file)
        mistakes.add(field, message, lines)
        return InputFileError(mistakes.problems())


def read_rows(path: Path, progress: Progress = lambda _: None) -> Rows:
    """Reads a CSV file, compressed by gzip or not.

    Args:
        path: the file.
        progress: told the fraction read, from 0 to 1.

    Raises:
        InputFileError: the file cannot be read, a column is missing, or rows hold what they must not.
    """
    import pandas as pd  # noqa: PLC0415 - half a second that plans without a history do not pay

    file = shown_path(path)
    raw = read_bytes(path, _MAX_BYTES)
    text = _text(file, raw)
    lines = text.count(b"\n") + 1
    if lines > _MAX_ROWS:
        raise InputFileError([Problem(file, 0, 0, "", f"has {lines:,} lines; {_MAX_ROWS:,} are the most")])
    layout, mistakes, parts = _layout(file, text), _Mistakes(file), []
    for cells in _cells(file, text, layout):
        parts.append(_as_numbers(cells, layout, mistakes))
        progress(sum(map(len, parts)) / lines)
    if mistakes.problems():
        raise InputFileError(mistakes.problems())
    if not any(map(len, parts)):
        raise InputFileError([Problem(file, 0, 0, "", "holds no rows")])
    return Rows(file, pd.concat(parts, ignore_index=True), hashlib.sha256(raw).hexdigest())


@dataclass
class _Mistakes:
    """Rows that break a rule: the first of each kind one by one, the others counted."""

    file: str
    _lines: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, name: str, message: str, lines: Sequence[int], given: Sequence[str] = ()) -> None:
        """Lines in which a field breaks a rule, and what they hold."""
        told = self._lines.setdefault((name, message), [])
        self._counts[name, message] = self._counts.get((name, message), 0) + len(lines)
        room = _MOST_LINES_TOLD + 1 - len(told)
        values = [f"; given: {value[:60]!r}" for value in given[:room]] or [""] * len(lines[:room])
        told += zip(map(int, lines[:room]), values, strict=True)

    def problems(self) -> list[Problem]:
        """All of them; the last of a kind tells how many more there are."""
        found = []
        for (name, message), lines in self._lines.items():
            found += [Problem(self.file, line, 0, name, message + given) for line, given in lines[:_MOST_LINES_TOLD]]
            more = self._counts[name, message] - _MOST_LINES_TOLD
            if more > 0:
                line = lines[_MOST_LINES_TOLD][0]
                found.append(Problem(self.file, line, 0, name, f"{message}; and so in {more:,} rows from here on"))
        return found


@dataclass
class _Layout:
    """What the header and the first rows tell of all: our column names, and how times are written."""

    names: list[str]
    zone_is_optional: bool
    times_are_numbers: bool | None = None


def _text(file: str, raw: bytes) -> bytes:
    """A file's text, unpacked where it is compressed, whatever its name."""

    def refuse(message: str) -> InputFileError:
        return InputFileError([Problem(file, 0, 0, "", message)])

    text = raw
    if raw.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(io.BytesIO(raw)) as stream:
                text = stream.read(_MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise refuse(f"is damaged or cut off gzip: {error}") from error
        if len(text) > _MAX_BYTES:
            raise refuse(f"unpacks to more than {_MAX_BYTES:,} bytes")
    elif file.lower().endswith(".gz"):
        raise refuse("is not gzip, whatever its name says")
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse("is UTF-16; save it as UTF-8")
    if text[:1000].lstrip().startswith(b"{"):
        raise refuse("holds JSON, which is not in this version; allowed: CSV")
    return text


def _layout(file: str, text: bytes) -> _Layout:
    with _told_of(file, text):
        (theirs,) = _read_csv(text, header=None, nrows=1).to_numpy().tolist() or [[]]
    plain = [str(name).strip().lower() for name in theirs]
    names = [_OUR_NAME.get(name, "") for name in plain]
    problems = []
    if "timestamp" not in names:
        problems.append(Problem(file, 1, 0, "timestamp", "the column is missing"))
    if "requests" not in names and not {"input_tokens", "output_tokens"} <= set(names):
        message = "needs the columns timestamp, input_tokens, output_tokens; or timestamp, requests for counts"
        problems.append(Problem(file, 1, 0, "", message))
    twice = sorted({name for name in names if name and names.count(name) > 1})
    problems += [Problem(file, 1, 0, name, "two columns have this meaning") for name in twice]
    if problems:
        raise InputFileError(problems)
    return _Layout(names, _AZURE_COLUMN in plain)


def _cells(file: str, text: bytes, layout: _Layout) -> Iterator["pd.DataFrame"]:
    """The file's cells as text under our column names, with their line, some rows at a time."""
    import pandas as pd  # noqa: PLC0415 - see above

    has_quotes, line = b'"' in text, 2
    kept = [bool(name) for name in layout.names]
    with _told_of(file, text):
        for part in _read_csv(text, chunksize=_ROWS_AT_ONCE):
            if not isinstance(part.index, pd.RangeIndex):
                raise InputFileError([Problem(file, line, 0, "", f"has more fields than the {len(kept)} of line 1")])
            # A quoted cell may hold line breaks, so that a row takes several lines.
            breaks = sum(part[name].str.count("\n").to_numpy() for name in part) if has_quotes else np.zeros(len(part))
            ends = line + np.cumsum(np.asarray(breaks, dtype=np.int64) + 1)
            cells = part.set_axis(layout.names, axis="columns").loc[:, kept]
            cells = cells.assign(line=np.concatenate(([line], ends[:-1])) if len(part) else [])
            yield cells[(cells.drop(columns="line") != "").any(axis="columns")]
            line = int(ends[-1]) if len(part) else line


def _read_csv(text: bytes, **how: Any) -> Any:
    """Pandas' reader, told to leave all cells text, so that a bad number is told by its line and not by pandas."""
    import pandas as pd  # noqa: PLC0415 - see above

    return pd.read_csv(
        io.BytesIO(text), dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8-sig", **how
    )


@contextmanager
def _told_of(file: str, text: bytes) -> Iterator[None]:
    """What the reader cannot read, told of the file and its line."""
    import pandas as pd  # noqa: PLC0415 - see above

    try:
        yield
    except UnicodeDecodeError:
        try:
            text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = text.count(b"\n", 0, error.start) + 1
            raise InputFileError([Problem(file, line, 0, "", "is not UTF-8 text")]) from error
        raise
    except pd.errors.EmptyDataError as error:
        raise InputFileError([Problem(file, 0, 0, "", "is empty")]) from error
    except (ValueError, pd.errors.ParserError) as error:
        ragged = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if ragged:
            problem = Problem(file, int(ragged[2]), 0, "", f"has {ragged[3]} fields; allowed: {ragged[1]}")
        else:
            problem = Problem(file, 0, 0, "", f"is not CSV: {str(error).rpartition('C error: ')[2].strip()}")
        raise InputFileError([problem]) from error


def _as_numbers(cells: "pd.DataFrame", layout: _Layout, mistakes: _Mistakes) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - see above

    def check(is_bad: Any, name: str, message: str) -> None:
        if is_bad.any():
            mistakes.add(name, message, cells["line"][is_bad].to_list(), cells[name][is_bad].to_list())

    table = cells.copy()
    for name, most in _MOST.items():
        if name in table:
            table[name] = pd.to_numeric(cells[name], errors="coerce")
            check(~table[name].between(0, most), name, f"must be a number from 0 to {most:.0e}")
    seconds = _as_seconds(cells["timestamp"], layout)
    table["timestamp"] = seconds
    check(~np.isfinite(seconds), "timestamp", _TIMES_ALLOWED)
    check(np.isfinite(seconds) & (seconds.abs() >= _MOST_SECONDS), "timestamp", "must be seconds, not parts of seconds")
    if {"cached_input_tokens", "input_tokens"} <= set(table):
        check(table["cached_input_tokens"] > table["input_tokens"], "cached_input_tokens", "is above input_tokens")
    return table


def _as_seconds(cells: "pd.Series[str]", layout: _Layout) -> "pd.Series[float]":
    """Times in seconds; NaN where they could not be read."""
    import pandas as pd  # noqa: PLC0415 - see above

    seconds = pd.to_numeric(cells, errors="coerce")
    if layout.times_are_numbers is None:
        layout.times_are_numbers = bool(np.isfinite(seconds).mean() > 0.5)
    if layout.times_are_numbers:
        return seconds
    # In a zone with summer time an hour comes twice a year, so a time without its zone is a guess.
    is_clear = cells.str.contains(r"(?:[Zz]|[+-]\d{2}:?\d{2})\s*$", regex=True) | layout.zone_is_optional
    times = pd.to_datetime(cells.where(is_clear), format="ISO8601", utc=True, errors="coerce")
    return (times - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
