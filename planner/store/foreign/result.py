"""What the result files of load-test tools have in common, whatever the tool."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from planner.errors import InputFileError, Problem
from planner.schema.base import LARGEST
from planner.schema.benchmark import RequestRecord
from planner.schema.profile import Engine
from planner.store.documents import field_name
from planner.store.files import shown_path

OK, CANCELLED = "ok", "cancelled"
"""Outcomes as the records of a load test name them."""
LONGEST_MESSAGE = 200
"""Of what was said about a failure [characters]."""
MOST_TOLD = 20
"""Mistakes of a file; one with more is of another kind."""
_DECIMALS = 9
"""Of seconds: differences of two large times have more digits than either clock."""

Seconds = Annotated[float, Field(ge=0, le=LARGEST)]
Instant = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
"""A time on a clock of the tool's own [s]."""
Count = Annotated[int, Field(ge=0, le=10**12)]
TokenCount = Annotated[int, Field(ge=0, le=10**7)]
"""Of one request; no model takes or gives more [tokens]."""
Rate = Annotated[float, Field(gt=0, le=LARGEST)]
"""[requests/s]"""
Users = Annotated[int, Field(ge=1, le=10**9)]
ModelName = Annotated[str, Field(max_length=120, pattern=r"^(\S(.*\S)?)?$")]
"""Empty where the tool leaves it to the server."""

_Part = TypeVar("_Part", bound=BaseModel)


class Part(BaseModel):
    """What is used of a file of somebody else's; it may hold more, and later versions may add to it."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class ForeignPoint:
    """One load of a result.

    Attributes:
        requests_per_s: rate that was asked for; None in a closed loop [requests/s].
        concurrency: users of a closed loop; None in an open one.
        records: its requests, by when they were sent, with times from the first send.
        knows_due: whether due_s is when each was due, and not when it was sent.
    """

    requests_per_s: float | None
    concurrency: int | None
    records: tuple[RequestRecord, ...]
    knows_due: bool = False


@dataclass(frozen=True)
class ForeignResult:
    """A result as its tool's reader gives it.

    Attributes:
        tool: as its users call it.
        version: of the tool; None where the file does not tell.
        path: the file with the requests.
        sha256: of its bytes.
        points: its loads.
        not_told: what the tool does not keep, in plain words.
        notes: what must be known of this result, likewise.
        model: that was asked; None where it does not tell.
        engine: that served; None likewise.
        url: of the server; empty where it does not tell.
        started_at: as the tool wrote it; empty likewise.
        is_emulated: the file shows that the server was our emulator.
    """

    tool: str
    version: str | None
    path: Path
    sha256: str
    points: tuple[ForeignPoint, ...]
    not_told: tuple[str, ...]
    notes: tuple[str, ...] = ()
    model: str | None = None
    engine: Engine | None = None
    url: str = ""
    started_at: str = ""
    is_emulated: bool = False


@dataclass(frozen=True)
class ForeignRequest:
    """One request as a tool tells of it, with times on the tool's own clock [s].

    Attributes:
        sent_s: when it was sent.
        first_token_s: when the first token came; None where none did.
        last_token_s: when the last one came, or the answer ended; None where nobody knows.
        gaps_s: between successive chunks; None where the tool does not keep them.
        input_tokens: None where nobody counted.
        output_tokens: likewise.
        cached_input_tokens: likewise.
        due_s: when it was due; None where the tool does not tell.
        outcome: ok, cancelled, or a kind of failure.
        message: what was said about a failure.
        is_warmup: in no figure of the tool's either.
    """

    sent_s: float
    first_token_s: float | None = None
    last_token_s: float | None = None
    gaps_s: list[float] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    due_s: float | None = None
    outcome: str = OK
    message: str = ""
    is_warmup: bool = False


def records_of(requests: list[ForeignRequest]) -> tuple[RequestRecord, ...]:
    """Records in the order in which requests were sent, with times from the first one that counts.

    Example:
        >>> records_of([ForeignRequest(7.5), ForeignRequest(7.0, 7.25, 7.5, [0.25])])[0].first_token_s
        0.25
    """
    counted = [request for request in requests if not request.is_warmup]
    begin_s = min((_due_s(request) for request in counted or requests), default=0.0)

    def since(time_s: float | None) -> float | None:
        return None if time_s is None else round(time_s - begin_s, _DECIMALS)

    return tuple(
        RequestRecord(
            index=index,
            is_warmup=request.is_warmup,
            due_s=round(_due_s(request) - begin_s, _DECIMALS),
            sent_s=since(request.sent_s),
            first_token_s=since(request.first_token_s),
            finished_s=since(request.last_token_s),
            asked_input_tokens=None,
            asked_output_tokens=None,
            input_tokens=request.input_tokens,
            output_tokens=request.output_tokens,
            cached_input_tokens=request.cached_input_tokens,
            outcome=request.outcome,
            message=without_user(request.message)[:LONGEST_MESSAGE],
            gaps_s=request.gaps_s if request.outcome == OK or request.gaps_s else [],
        )
        for index, request in enumerate(sorted(requests, key=_due_s))
    )


def rate_per_s(records: Sequence[RequestRecord]) -> float:
    """Rate of a schedule that has no one rate, such as a trace's: that of its requests [requests/s]."""
    due_s = [record.due_s for record in records if not record.is_warmup]
    return (len(due_s) - 1) / (due_s[-1] - due_s[0]) if due_s and due_s[-1] > due_s[0] else 0.0


def _due_s(request: ForeignRequest) -> float:
    return request.sent_s if request.due_s is None else request.due_s


def failure_kind(text: str) -> str:
    """The kind of a failure out of what a tool says about it.

    Example:
        >>> failure_kind("Client error '429 Too Many Requests'"), failure_kind("TimeoutError"), failure_kind("no")
        ('http_429', 'timeout', 'failed')
    """
    status = re.search(r"(?:error|http)\D{0,12}\b([45]\d\d)\b", text, re.IGNORECASE)
    if status:
        return f"http_{status[1]}"
    return "timeout" if re.search(r"time(d )?.?out", text, re.IGNORECASE) else "failed"


def without_user(text: str) -> str:
    """A text whose addresses show neither user nor password.

    Example:
        >>> without_user("no answer of http://me:secret@host/v1")
        'no answer of http://***@host/v1'
    """
    return re.sub(r"(?<=://)[^/@\s]+@", "***@", text)


def iso_utc(time_s: float) -> str:
    """A time since 1970 [s] as ISO 8601; empty where it is none.

    Example:
        >>> iso_utc(1795646967.8), iso_utc(1e15)
        ('2026-11-25T22:49:27+00:00', '')
    """
    try:
        return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""


def refusal(path: Path, message: str, field: str = "", line: int = 0) -> InputFileError:
    """An error for one thing of a file."""
    return InputFileError([Problem(shown_path(path), line, 0, field, message)])


def checked(model: type[_Part], data: Any, path: Path, line: int = 0) -> _Part:
    """The part of a file that a model asks for.

    Args:
        model: what is needed.
        data: as read.
        path: of the file.
        line: that it stands in, from 1; 0 where it is the whole file.

    Raises:
        InputFileError: every mistake, with its field.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
    told = [
        Problem(shown_path(path), line, 0, field_name(mistake["loc"]), _words(mistake["type"], mistake))
        for mistake in mistakes[:MOST_TOLD]
    ]
    if len(mistakes) > MOST_TOLD:
        told.append(Problem(shown_path(path), line, 0, "", f"has {len(mistakes):,} mistakes; the first are told"))
    raise InputFileError(told)


def _words(kind: str, mistake: Any) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(mistake["ctx"]["error"])
    given = mistake["input"]
    shown = {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(given), repr(given)[:60])
    return f"{mistake['msg'].replace('Input should', 'must')}; given: {shown}"
