"""The requests of a load point as columns: what figures are made of, in a fraction of the memory of records."""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from math import nan
from typing import Self

import numpy as np
from numpy.typing import NDArray

from planner.core.quantiles import Array, Counted, Ints, sums_by_request
from planner.engines.answers import OK
from planner.schema.benchmark import RequestRecord

Bools = NDArray[np.bool_]

US_PER_S = 1e6
LONGEST_GAP_US = 2**32 - 1
"""Longer gaps, of more than 71 minutes, are kept as this."""
UNKNOWN = -1
"""A count that the server did not tell."""
OTHERS = "others"
"""Stands for models beyond the first few that answered in place of the one asked."""
_MOST_MODELS = 20
_PENDING_GAPS = 1 << 14
"""Gaps are converted so many at a time: one by one would cost the load generator more than all else here."""
_TIMES, _COUNTS = 4, 8


@dataclass(frozen=True)
class Columns:
    """Requests in the order of the schedule; each column of shape (requests,).

    Attributes:
        due_s: when each was due, since the point's start; in a closed loop, when it was sent [s].
        sent_s: when each was sent; NaN where it never was [s].
        first_token_s: when its first chunk with content came; NaN where none did [s].
        last_token_s: when its last one came; NaN where the answer did not come whole [s].
        finished_s: when its answer ended, or failed; NaN where nobody knows [s].
        asked_input_tokens: prompt length asked for [tokens].
        input_tokens: as the server counted them, or UNKNOWN [tokens].
        asked_output_tokens: answer length asked for [tokens].
        output_tokens: as the server counted them, or UNKNOWN [tokens].
        cached_input_tokens: of input_tokens, those out of the server's prefix cache, or UNKNOWN [tokens].
        chunks: chunks with content; 0 where the answer did not come whole, UNKNOWN where they were not kept.
        outcome: place of its outcome among the kinds of the sample; 0 is ok.
    """

    due_s: Array
    sent_s: Array
    first_token_s: Array
    last_token_s: Array
    finished_s: Array
    asked_input_tokens: Ints
    input_tokens: Ints
    asked_output_tokens: Ints
    output_tokens: Ints
    cached_input_tokens: Ints
    chunks: Ints
    outcome: Ints

    def at(self, places: Ints) -> "Columns":
        """Some of the requests, in the order given.

        Args:
            places: in the order of the schedule, shape (k,).
        """
        if places.size == self.due_s.size and bool((np.diff(places) == 1).all()):
            return self  # all of them as they are, as nearly always: no copy of a hundred megabytes
        return Columns(*(getattr(self, column.name)[places] for column in fields(self)))


class Sample:
    """Requests that count, in the order in which they ended; those of the warm-up are passed over.

    A request takes 96 bytes, and 4 more for each gap between the chunks of an answer that came whole. Adding one
    costs few microseconds, so that it can be done between chunks.
    """

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        """What was said about the first failure of each kind."""
        self.other_models: Counter[str] = Counter()
        """Answers by other models than the one asked."""
        self._times = array("d")
        self._counts = array("q")
        self._kinds: dict[str, int] = {OK: 0}
        self._pending_s = array("d")
        self._gaps_us = array("I")

    @classmethod
    def of(cls, records: Iterable[RequestRecord]) -> Self:
        """A sample of records.

        Example:
            >>> sample = Sample.of(
            ...     [
            ...         RequestRecord(
            ...             index=0,
            ...             due_s=0.0,
            ...             sent_s=0.1,
            ...             first_token_s=0.5,
            ...             asked_input_tokens=9,
            ...             asked_output_tokens=3,
            ...             outcome="ok",
            ...             gaps_s=[0.1, 0.2],
            ...         )
            ...     ]
            ... )
            >>> len(sample), sample.gaps_us.tolist(), sample.columns().last_token_s.round(6).tolist()
            (1, [100000, 200000], [0.8])
        """
        sample = cls()
        for record in records:
            sample.add(record)
        return sample

    def add(self, record: RequestRecord) -> None:
        """Adds a request that ended, however it ended."""
        if record.is_warmup:
            return
        kind, chunks = record.outcome, 0
        if kind == OK:
            chunks = UNKNOWN if record.gaps_s is None else len(record.gaps_s) + 1
            self._pending_s.fromlist(record.gaps_s or [])
            if len(self._pending_s) > _PENDING_GAPS:
                self._convert()
        elif record.message:
            self.messages.setdefault(kind, record.message)
        if record.model is not None:
            is_listed = record.model in self.other_models or len(self.other_models) < _MOST_MODELS
            self.other_models[record.model if is_listed else OTHERS] += 1
        times = (record.due_s, record.sent_s, record.first_token_s, record.finished_s)
        self._times.fromlist([nan if time_s is None else time_s for time_s in times])
        counts = (
            record.index,
            record.asked_input_tokens,
            record.input_tokens,
            record.asked_output_tokens,
            record.output_tokens,
            record.cached_input_tokens,
            chunks,
            self._kinds.setdefault(kind, len(self._kinds)),
        )
        self._counts.fromlist([UNKNOWN if count is None else count for count in counts])

    def extend(self, other: "Sample") -> None:
        """Adds the requests of another sample."""
        places = [self._kinds.setdefault(kind, len(self._kinds)) for kind in other.kinds]
        counts = other._table().copy()
        counts[:, -1] = np.asarray(places)[counts[:, -1]]
        self._convert()
        self._gaps_us.frombytes(other.gaps_us.tobytes())
        self._times.extend(other._times)
        self._counts.frombytes(counts.tobytes())
        self.messages = {**other.messages, **self.messages}
        self.other_models += other.other_models

    def __len__(self) -> int:
        return len(self._times) // _TIMES

    @property
    def places(self) -> Ints:
        """Where in the schedule each of them stands, ascending; shape (requests,)."""
        return np.sort(self._table()[:, 0])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Outcomes by their places in the column; ok is the first."""
        return tuple(self._kinds)

    @property
    def gaps_us(self) -> Counted:
        """Gaps between the chunks of answers that came whole, those of an answer next to each other [µs].

        A view: while somebody holds it, nothing can be added.
        """
        self._convert()
        return np.asarray(self._gaps_us, dtype=np.uint32)

    @property
    def gaps_per_request(self) -> Ints:
        """How many of the gaps each request has, in their order."""
        return np.maximum(0, self._table()[:, 6] - 1)

    @property
    def gap_owners(self) -> Ints:
        """Which row of the columns each of the gaps belongs to, shape (gaps,)."""
        rows = np.empty(len(self), dtype=np.int64)
        rows[np.argsort(self._table()[:, 0], kind="stable")] = np.arange(len(self))
        return np.repeat(rows, self.gaps_per_request)

    def as_ended(self, values: Bools) -> Bools:
        """A column in the order in which requests ended, as the gaps are, from one in that of the schedule."""
        found = np.empty_like(values)
        found[np.argsort(self._table()[:, 0], kind="stable")] = values
        return found

    def columns(self) -> Columns:
        """All but the gaps, in the order of the schedule."""
        times, counts = np.asarray(self._times).reshape(-1, _TIMES), self._table()
        chunks = counts[:, 6]
        lasted_s = sums_by_request(self.gaps_us, self.gaps_per_request) / US_PER_S
        last_s = np.where(chunks > 0, times[:, 2] + lasted_s, np.where(chunks == UNKNOWN, times[:, 3], nan))
        order = np.argsort(counts[:, 0], kind="stable")
        due_s, sent_s, first_s, finished_s = (times[order, column] for column in range(_TIMES))
        return Columns(
            due_s, sent_s, first_s, last_s[order], finished_s, *(counts[order, column] for column in range(1, _COUNTS))
        )

    def _table(self) -> Ints:
        return np.asarray(self._counts).reshape(-1, _COUNTS)

    def _convert(self) -> None:
        if self._pending_s:
            gaps_us = np.minimum(np.rint(np.asarray(self._pending_s) * US_PER_S), LONGEST_GAP_US)
            self._gaps_us.frombytes(gaps_us.astype(np.uint32).tobytes())
            self._pending_s = array("d")


@dataclass
class Outcome:
    """What a load point gave.

    Attributes:
        sample: the requests sent; those of the warm-up are in no figure.
        loop_lags_s: how late the load generator's own timer ran, time and again [s]; empty where nobody looked.
        cpu_fraction: processor time of this process over the time that it watched itself; 1 is one core. None where
            somebody else measured.
        knows_due: whether the requests of an open loop tell when they were due, and not only when they were sent.
        is_interrupted: it was stopped before its end.
        is_out_of_time: not by somebody, but since the time for it was over.
        given_up: why, where too many requests failed; empty where it was not.
        used: up to where in the schedule requests were sent, those of a warm-up with a schedule of its own aside
            [requests]; 0 where somebody else measured.
        start_s: the first scheduled send of a request that counts, on time.perf_counter [s]; None where nothing was
            sent, or somebody else measured.
    """

    sample: Sample = field(default_factory=Sample)
    loop_lags_s: "array[float]" = field(default_factory=lambda: array("d"))
    cpu_fraction: float | None = None
    knows_due: bool = True
    is_interrupted: bool = False
    is_out_of_time: bool = False
    given_up: str = ""
    used: int = 0
    start_s: float | None = None
