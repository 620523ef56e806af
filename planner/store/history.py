"""Traffic history: a trace of single requests, or counts per interval, as CSV."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planner.store.tables import Progress, Rows, read_rows
from planner.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

_LEAST_PARTIAL_HOUR = 0.5
"""A last hour seen for less than this is counted to the hour before: its rate would be mostly chance."""
_DAY_S, _WEEKS_S = 86_400.0, 14 * 86_400.0
_ON_GRID = 1e-3
"""Seconds by which a count's time may be off its interval's grid, for clocks written with few digits."""
_SHORTEST_INTERVAL_S = 1.0
_YEAR_S = 365.25 * _DAY_S
_LONGEST_SPAN_S = 20 * _YEAR_S
_SUMMED_BY = ("task", "model")


@dataclass(frozen=True)
class History:
    """Observed traffic.

    Attributes:
        requests_per_hour: rate of each hour or interval observed [requests/h], shape (bins,).
        hours: length of each [h], shape (bins,).
        input_tokens: prompt length of each request [tokens], or mean over the requests of a count, which
            stands in an array of one; None where the file has none. Shape (requests,) or (1,).
        cached_input_tokens: the cached part of it.
        output_tokens: generated length, likewise.
        rows: rows of the file that were used.
        is_trace: single requests rather than counts.
        sha256: of the file's bytes.
        notes: what was found, in plain words.
    """

    requests_per_hour: Array
    hours: Array
    input_tokens: Array | None
    cached_input_tokens: Array | None
    output_tokens: Array | None
    rows: int
    is_trace: bool
    sha256: str
    notes: tuple[str, ...]

    @property
    def requests_per_month(self) -> float:
        """The observed mean rate, kept up for a month [requests/month]."""
        return float(self.requests_per_hour @ self.hours / self.hours.sum() * HOURS_PER_MONTH)


def read_history(path: Path, progress: Progress = lambda _: None) -> History:
    """Reads a trace or counts, as CSV, compressed or not.

    Rows out of order, twins and gaps are counted and told; rows that cannot be read refuse the file.

    Args:
        path: the file.
        progress: told the fraction read, from 0 to 1.

    Raises:
        InputFileError: every mistake of the file, bad rows by line.
    """
    rows = read_rows(path, progress)
    return _from_counts(rows) if "requests" in rows.table else _from_trace(rows)


def _from_trace(rows: Rows) -> History:
    """Single requests. The window is what a constant stream of them would take: (last − first)·n/(n − 1)."""
    table, notes = _in_order(rows)
    time_s = table["timestamp"].to_numpy(dtype=np.float64)
    count = time_s.size
    if count < 2 or time_s[-1] == time_s[0]:
        raise rows.refuse("a trace needs at least two requests at different times")
    _check_span(rows, time_s)
    twins = int(table.drop(columns="line").duplicated().sum())
    if twins:
        notes.append(f"{_rows(twins)} equal to another; kept, since two requests can be alike")
    window_s = (time_s[-1] - time_s[0]) * count / (count - 1)
    edges_s = _hour_edges(window_s)
    counts, _ = np.histogram(time_s - time_s[0], bins=edges_s)
    empty = int((counts == 0).sum())
    if empty:
        notes.append(f"{empty} of {counts.size} hours without a request; taken as hours without demand")
    hours = np.diff(edges_s) / SECONDS_PER_HOUR
    lengths = {key: table[key].to_numpy(dtype=np.float64) for key in rows.token_columns}
    return History(
        requests_per_hour=counts / hours,
        hours=hours,
        input_tokens=lengths.get("input_tokens"),
        cached_input_tokens=lengths.get("cached_input_tokens"),
        output_tokens=lengths.get("output_tokens"),
        rows=count,
        is_trace=True,
        sha256=rows.sha256,
        notes=(f"{count:,} requests over {_span(window_s)}", *notes, *_short_span(window_s)),
    )


def _hour_edges(window_s: float) -> Array:
    hours = max(1, int(window_s // SECONDS_PER_HOUR))
    edges_s = np.arange(hours + 1) * SECONDS_PER_HOUR
    rest_s = window_s - edges_s[-1]
    if rest_s >= _LEAST_PARTIAL_HOUR * SECONDS_PER_HOUR:
        return np.append(edges_s, window_s)
    edges_s[-1] = window_s  # the short rest belongs to the hour before, and a trace below an hour is one bin
    return np.asarray(edges_s)


def _from_counts(rows: Rows) -> History:
    """Counts per interval: gaps in the file are missing data, not hours without demand."""
    table, notes = _in_order(rows)
    table = _without_twins(rows, table, notes)
    time_s = table["timestamp"].to_numpy(dtype=np.float64)
    if time_s.size < 2:
        raise rows.refuse("counts need at least two intervals")
    _check_span(rows, time_s)
    gaps_s = np.diff(time_s)
    values, occurrences = np.unique(gaps_s.round(3), return_counts=True)
    interval_s = float(values[np.argmax(occurrences)])
    if interval_s < _SHORTEST_INTERVAL_S:
        raise rows.refuse(f"has counts less than {_SHORTEST_INTERVAL_S:g} s apart")
    steps = gaps_s / interval_s
    off_grid = np.flatnonzero(np.abs(steps - steps.round()) * interval_s > _ON_GRID)
    if off_grid.size:
        lines = table["line"].iloc[off_grid + 1].to_list()
        raise rows.refuse_lines(lines, "timestamp", f"is off the interval of {interval_s:g} s, the most common")
    missing = int(steps.round().sum()) - steps.size
    if missing:
        notes.append(f"{missing:,} of {missing + time_s.size:,} intervals are missing; left out, not taken as zero")
    requests = table["requests"].to_numpy(dtype=np.float64)
    total = float(requests.sum())
    if total <= 0:
        raise rows.refuse("holds no request at all")
    means = {key: np.array([float(table[key].sum()) / total]) for key in rows.token_columns}
    window_s = interval_s * time_s.size
    interval_h = interval_s / SECONDS_PER_HOUR
    return History(
        requests_per_hour=requests / interval_h,
        hours=np.full(time_s.size, interval_h),
        input_tokens=means.get("input_tokens"),
        cached_input_tokens=means.get("cached_input_tokens"),
        output_tokens=means.get("output_tokens"),
        rows=time_s.size,
        is_trace=False,
        sha256=rows.sha256,
        notes=(
            f"{time_s.size:,} counts of {interval_s:g} s, {total:,.0f} requests over {_span(window_s)}",
            *notes,
            *_short_span(window_s),
        ),
    )


def _check_span(rows: Rows, time_s: Array) -> None:
    """Refuses times so far apart that one of them must be wrong: written in another unit, or from another clock."""
    if time_s[-1] - time_s[0] > _LONGEST_SPAN_S:
        line = int(rows.table["line"].iloc[rows.table["timestamp"].argmax()])
        message = f"is {_span(time_s[-1] - time_s[0])} after the first; {_span(_LONGEST_SPAN_S)} are the most"
        raise rows.refuse_lines([line], "timestamp", message)


def _in_order(rows: Rows) -> tuple["pd.DataFrame", list[str]]:
    times = rows.table["timestamp"].to_numpy()
    backwards = int((np.diff(times) < 0).sum())
    if not backwards:
        return rows.table, []
    note = f"{_rows(backwards)} earlier than the row before; sorted"
    return rows.table.sort_values("timestamp", kind="stable", ignore_index=True), [note]


def _without_twins(rows: Rows, table: "pd.DataFrame", notes: list[str]) -> "pd.DataFrame":
    """One row per interval: equal rows once, rows of several tasks or models added up."""
    is_twin = table.drop(columns="line").duplicated()
    if is_twin.any():
        notes.append(f"{_rows(int(is_twin.sum()))} equal to another; dropped")
        table = table[~is_twin]
    keys = [key for key in _SUMMED_BY if key in table]
    clash = table.duplicated(["timestamp", *keys], keep="first")
    if clash.any():
        raise rows.refuse_lines(table.loc[clash, "line"].to_list(), "timestamp", "stands twice with different counts")
    if keys and table.duplicated("timestamp").any():
        notes.append(f"counts of several rows per interval added up over {' and '.join(keys)}")
        sums = dict.fromkeys(("requests", *rows.token_columns), "sum")
        table = table.groupby("timestamp", as_index=False, sort=True).agg({**sums, "line": "first"})
    return table


def _short_span(window_s: float) -> Sequence[str]:
    if window_s < _DAY_S:
        return (f"{_span(window_s)} show neither a day nor a week: the busiest hour is not known",)
    if window_s < _WEEKS_S:
        return (f"{_span(window_s)} show no weekly pattern: two weeks are needed",)
    return ()


def _span(seconds: float) -> str:
    for unit, size in (("years", _YEAR_S), ("days", _DAY_S), ("hours", SECONDS_PER_HOUR), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} seconds"


def _rows(count: int) -> str:
    return "1 row is" if count == 1 else f"{count:,} rows are"
