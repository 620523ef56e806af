"""CSV files of requests or counts as clean columns: numbers checked row by row, times in seconds."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import InputFileError, Problem
from planner.store.documents import read_bytes

if TYPE_CHECKING:
    import pandas as pd

_MAX_BYTES = 2**30
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
        return InputFileError(_bad_lines(self.file, lines, field, message))


def read_rows(path: Path) -> Rows:
    """Reads a CSV file, compressed where its name ends in .gz.

    Raises:
        InputFileError: the file cannot be read, a column is missing, or rows hold what they must not.
    """
    import pandas as pd  # noqa: PLC0415 - half a second that plans without a history do not pay

    file = str(path)
    raw = read_bytes(path, _MAX_BYTES)
    sha256 = hashlib.sha256(raw).hexdigest()
    text = _unpacked(file, raw) if path.suffix == ".gz" else raw
    try:
        # As text first, so that a bad number is told by its line and not by pandas.
        cells = pd.read_csv(
            io.BytesIO(text), dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8-sig"
        )
    except (ValueError, pd.errors.ParserError) as error:
        is_empty = isinstance(error, pd.errors.EmptyDataError)
        reason = "is empty" if is_empty else f"is not CSV: {str(error).rpartition('C error: ')[2].strip()}"
        raise InputFileError([Problem(file, 0, 0, "", reason)]) from error
    if not isinstance(cells.index, pd.RangeIndex):
        raise InputFileError([Problem(file, 1, 1, "", "rows have more fields than the header")])
    theirs = [str(name).strip().lower() for name in cells.columns]
    cells.columns = [_OUR_NAME.get(name, "") for name in theirs]
    _check_columns(file, list(cells.columns))
    cells = cells[[name for name in cells.columns if name]].copy()
    cells["line"] = np.arange(2, len(cells) + 2)
    cells = cells[(cells.drop(columns="line") != "").any(axis=1)].reset_index(drop=True)
    return Rows(file, _as_numbers(file, cells, zone_is_optional=_AZURE_COLUMN in theirs), sha256)


def _unpacked(file: str, raw: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(raw)) as stream:
            text = stream.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputFileError([Problem(file, 0, 0, "", f"is not a gzip file: {error}")]) from error
    if len(text) > _MAX_BYTES:
        raise InputFileError([Problem(file, 0, 0, "", f"unpacks to more than {_MAX_BYTES:,} bytes")])
    return text


def _check_columns(file: str, names: list[str]) -> None:
    problems = []
    if "timestamp" not in names:
        problems.append(Problem(file, 1, 1, "timestamp", "the column is missing"))
    if "requests" not in names and not {"input_tokens", "output_tokens"} <= set(names):
        message = "needs the columns timestamp, input_tokens, output_tokens; or timestamp, requests for counts"
        problems.append(Problem(file, 1, 1, "", message))
    twice = sorted({name for name in names if name and names.count(name) > 1})
    problems += [Problem(file, 1, 1, name, "two columns have this meaning") for name in twice]
    if problems:
        raise InputFileError(problems)


def _as_numbers(file: str, cells: "pd.DataFrame", zone_is_optional: bool) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - see above

    if cells.empty:
        raise InputFileError([Problem(file, 0, 0, "", "holds no rows")])
    problems: list[Problem] = []
    table = cells.copy()
    for name in ("requests", *_TOKENS):
        if name in table:
            table[name] = pd.to_numeric(cells[name], errors="coerce")
            is_bad = ~np.isfinite(table[name]) | (table[name] < 0)
            problems += _bad_lines(file, cells.loc[is_bad, "line"].to_list(), name, "must be a number >= 0")
    table["timestamp"] = _as_seconds(cells["timestamp"], zone_is_optional)
    is_bad = ~np.isfinite(table["timestamp"])
    problems += _bad_lines(file, cells.loc[is_bad, "line"].to_list(), "timestamp", _TIMES_ALLOWED)
    if not problems and {"cached_input_tokens", "input_tokens"} <= set(table):
        is_bad = table["cached_input_tokens"] > table["input_tokens"]
        problems += _bad_lines(
            file, table.loc[is_bad, "line"].to_list(), "cached_input_tokens", "is above input_tokens"
        )
    if problems:
        raise InputFileError(problems)
    return table


def _as_seconds(cells: "pd.Series[str]", zone_is_optional: bool) -> "pd.Series[float]":
    """Times in seconds; NaN where they could not be read."""
    import pandas as pd  # noqa: PLC0415 - see above

    seconds = pd.to_numeric(cells, errors="coerce")
    if np.isfinite(seconds).mean() > 0.5:
        return seconds
    # In a zone with summer time an hour comes twice a year, so a time without its zone is a guess.
    is_clear = cells.str.contains(r"(?:[Zz]|[+-]\d{2}:?\d{2})\s*$", regex=True) | zone_is_optional
    times = pd.to_datetime(cells.where(is_clear), format="ISO8601", utc=True, errors="coerce")
    return (times - pd.Timestamp(0, tz="UTC")).dt.total_seconds()


def _bad_lines(file: str, lines: Sequence[int], field: str, message: str) -> list[Problem]:
    problems = [Problem(file, int(line), 1, field, message) for line in lines[:_MOST_LINES_TOLD]]
    more = len(lines) - _MOST_LINES_TOLD
    if more > 0:
        problems.append(Problem(file, int(lines[_MOST_LINES_TOLD]), 1, field, f"{message}; and so in {more:,} rows"))
    return problems
