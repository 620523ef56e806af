"""Schedules as CSV: what a load point was going to send, and when; those of open loops can be replayed as traces."""

import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputFileError, Problem
from planner.store.files import shown_path, writing

Array = NDArray[np.float64]
Tokens = NDArray[np.int32]

_TIME_COLUMNS = ("timestamp", "think_s")
_COLUMNS = ("input_tokens", "output_tokens", "is_warmup")
_ROWS_AT_ONCE = 8192
_MOST_ROWS = 20_000_000
_MOST_TOKENS = 1_000_000_000
_MOST_TOLD = 20
_LONGEST_LINE = 200
_TOKENS_ALLOWED = f"must be a whole number from 1 to {_MOST_TOKENS:,}"


@dataclass(frozen=True)
class SavedSchedule:
    """The requests of a load point in the order in which they are sent, those of the warm-up first.

    Attributes:
        timestamp_s: when each is due, ascending, measured ones from 0 [s]; None in a closed loop. Shape (requests,).
        think_s: how long a user waits before each [s]; None where nobody waits, and in an open loop.
        input_tokens: prompt length [tokens], shape (requests,).
        output_tokens: answer length [tokens], shape (requests,).
        warmup: how many of them are warm-up [requests].
    """

    timestamp_s: Array | None
    think_s: Array | None
    input_tokens: Tokens
    output_tokens: Tokens
    warmup: int = 0


def write_schedule(path: Path, schedule: SavedSchedule) -> None:
    """Writes a new file, some rows at a time; times to the microsecond.

    Raises:
        EnvironmentLackingError: it is there already, or cannot be written.
    """
    # All columns as text per row: a loop over plain numbers is several times faster than the csv module.
    with writing(path), path.open("x", encoding="ascii", newline="\n") as file:
        time_s = schedule.think_s if schedule.timestamp_s is None else schedule.timestamp_s
        name = "think_s" if schedule.timestamp_s is None else "timestamp"
        file.write(",".join(((name,) if time_s is not None else ()) + _COLUMNS) + "\n")
        for first in range(0, schedule.input_tokens.size, _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            prompts, answers = schedule.input_tokens[rows].tolist(), schedule.output_tokens[rows].tolist()
            flags = [int(first + row < schedule.warmup) for row in range(len(prompts))]
            if time_s is None:
                lines = [f"{a},{b},{c}\n" for a, b, c in zip(prompts, answers, flags, strict=True)]
            else:
                columns = zip(time_s[rows].tolist(), prompts, answers, flags, strict=True)
                lines = [f"{t:.6f},{a},{b},{c}\n" for t, a, b, c in columns]
            file.write("".join(lines))


def is_schedule(path: Path) -> bool:
    """Whether a file begins as the schedules do that are written here."""
    try:
        with path.open("rb") as file:
            return _layout(file.readline(_LONGEST_LINE)) is not None
    except OSError:
        return False


def read_schedule(path: Path) -> SavedSchedule:
    """Reads a schedule.

    Raises:
        InputFileError: it cannot be read, or holds what no schedule does; every mistake with its line and field.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> asked = SavedSchedule(np.array([-0.5, 0.25]), None, np.array([9, 8]), np.array([7, 6]), warmup=1)
        >>> write_schedule(folder / "schedule-000.csv", asked)
        >>> print((folder / "schedule-000.csv").read_text(), end="")
        timestamp,input_tokens,output_tokens,is_warmup
        -0.500000,9,7,1
        0.250000,8,6,0
        >>> read_schedule(folder / "schedule-000.csv").warmup
        1
    """
    reader = _Reader(shown_path(path))
    with _opened(path, reader) as file:
        header = file.readline(_LONGEST_LINE)
        names = _layout(header)
        if names is None:
            allowed = f"{','.join(_COLUMNS)}, with {' or '.join(_TIME_COLUMNS)} before them"
            reader.refuse(1, "", f"is no header of a schedule; allowed: {allowed}")
            raise InputFileError(reader.problems)
        for line in iter(lambda: file.readline(_LONGEST_LINE), b""):
            if not reader.read(names, line):
                break
    if not reader.prompts and not reader.problems:
        reader.refuse(0, "", "holds no requests")
    if reader.problems:
        raise InputFileError(reader.problems)
    times = np.array(reader.times)
    return SavedSchedule(
        timestamp_s=times if names[0] == "timestamp" else None,
        think_s=times if names[0] == "think_s" else None,
        input_tokens=np.array(reader.prompts, dtype=np.int32),
        output_tokens=np.array(reader.answers, dtype=np.int32),
        warmup=reader.warmup,
    )


def _layout(header: bytes) -> tuple[str, ...] | None:
    names = tuple(header.decode("ascii", "replace").removesuffix("\n").removesuffix("\r").split(","))
    is_ours = names == _COLUMNS or (names[0] in _TIME_COLUMNS and names[1:] == _COLUMNS)
    return names if is_ours else None


@contextmanager
def _opened(path: Path, reader: "_Reader") -> Iterator[BinaryIO]:
    try:
        if path.exists() and not path.is_file():
            raise OSError("is not a regular file")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        reader.refuse(0, "", f"cannot be read: {error.strerror or error}")
        raise InputFileError(reader.problems) from error


class _Reader:
    """Columns as they grow, and the mistakes found on the way."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._line = 1
        self.times, self.prompts, self.answers = array("d"), array("i"), array("i")
        self.warmup = 0
        self.problems: list[Problem] = []

    def refuse(self, line: int, field: str, message: str) -> None:
        """A mistake."""
        self.problems.append(Problem(self._file, line, 0, field, message))

    def read(self, names: tuple[str, ...], line: bytes) -> bool:
        """Reads a line; False where there is no point in reading more."""
        self._line += 1
        before = len(self.problems)
        text = line.decode("ascii", "backslashreplace")
        cells = text.rstrip("\r\n").split(",")
        if not text.endswith("\n"):
            self._wrong("", "is cut off, or too long")
        elif len(cells) != len(names):
            self._wrong("", f"has {len(cells)} fields; allowed: {len(names)}")
        else:
            self._cells(names, cells)
        if len(self.problems) - before and len(self.problems) >= _MOST_TOLD:
            self._wrong("", "reading ends here: too many mistakes")
            return False
        if self._line > _MOST_ROWS:
            self._wrong("", f"reading ends here: {_MOST_ROWS:,} rows are the most")
            return False
        return text.endswith("\n")

    def _cells(self, names: tuple[str, ...], cells: list[str]) -> None:
        *time, prompt, answer, flag = cells
        if time:
            self.times.append(self._time(names[0], time[0]))
        self.prompts.append(self._tokens("input_tokens", prompt))
        self.answers.append(self._tokens("output_tokens", answer))
        if flag == "1":
            if self.warmup < len(self.prompts) - 1:
                self._wrong("is_warmup", "must be 0 after the first request that is no warm-up")
            self.warmup += 1
        elif flag != "0":
            self._wrong("is_warmup", f"must be 0 or 1; given: {flag[:60]!r}")

    def _time(self, name: str, text: str) -> float:
        least = 0.0 if name == "think_s" else self.times[-1] if self.times else -math.inf
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self._wrong(name, f"must be a number of seconds; given: {text[:60]!r}")
            return self.times[-1] if self.times else 0.0
        if value < least:
            allowed = "at least 0" if name == "think_s" else "at least that of the row before"
            self._wrong(name, f"must be {allowed}; given: {text[:60]!r}")
        return value

    def _tokens(self, name: str, text: str) -> int:
        value = int(text) if text.isdigit() and text.isascii() and len(text) <= 10 else 0
        if 1 <= value <= _MOST_TOKENS:
            return value
        self._wrong(name, f"{_TOKENS_ALLOWED}; given: {text[:60]!r}")
        return 1

    def _wrong(self, field: str, message: str) -> None:
        self.refuse(self._line, field, message)
