"""Results of aiperf: `profile_export.jsonl` with a line for each request, and `profile_export_aiperf.json` beside it.

Read as aiperf 0.13.0 writes them (schema version 1.4 of the summary). The lines do not tell what was asked for; the
summary does. TTFT is from when the request was sent to its first chunk with content; "inter_chunk_latency" holds the
gaps between such chunks, which are gaps here too, while its "inter_token_latency" is the mean of a request. Of an open
loop it tells when a request was handed to a worker, but not when it was due.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from planner.errors import InputFileError, Problem
from planner.schema.profile import Engine
from planner.store.files import sha256_of, shown_path
from planner.store.foreign.result import (
    CANCELLED,
    MOST_TOLD,
    OK,
    ForeignPoint,
    ForeignRequest,
    ForeignResult,
    ModelName,
    Part,
    Rate,
    Seconds,
    TokenCount,
    Users,
    checked,
    failure_kind,
    rate_per_s,
    records_of,
    refusal,
    without_user,
)
from planner.store.foreign.texts import json_lines, parse_json, read_text

TOOL = "aiperf"
LINES, SUMMARY = "profile_export.jsonl", "profile_export_aiperf.json"
_SERVER = "server_metrics_export.json"
_EMULATOR, _VLLM = "planner_emulator_", "vllm:"
"""How the names of their metrics begin."""
_NS, _MS = 1e-9, 1e-3
_NOT_TOLD = (
    "when a request was due: latencies of an open loop count from when it was sent",
    "the version of the server, and its limits",
    "how its client did: lag and processor time",
)
_OPTION = f"run aiperf with --export-level records, which writes {LINES}"


_Nanoseconds = Annotated[int, Field(ge=0, lt=2**63)]
"""Since 1970."""


class _Milliseconds(Part):
    value: Seconds
    unit: Literal["ms"]


class _Gaps(Part):
    value: list[Seconds]
    unit: Literal["ms"]


class _Tokens(Part):
    value: TokenCount
    unit: Literal["tokens"]


class _Metrics(Part):
    time_to_first_token: _Milliseconds | None = None
    inter_chunk_latency: _Gaps | None = None
    usage_prompt_tokens: _Tokens | None = None
    usage_completion_tokens: _Tokens | None = None
    usage_prompt_cache_read_tokens: _Tokens | None = None
    input_sequence_length: _Tokens | None = None
    output_sequence_length: _Tokens | None = None


class _Metadata(Part):
    request_start_ns: _Nanoseconds
    request_end_ns: _Nanoseconds
    benchmark_phase: Literal["warmup", "profiling"]
    phase_name: str | None = None
    was_cancelled: bool = False

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.request_end_ns < self.request_start_ns:
            raise ValueError("request_end_ns is before request_start_ns")
        return self


class _Error(Part):
    code: int | None = None
    type: str | None = None
    message: str = ""


class _Record(Part):
    metadata: _Metadata
    metrics: _Metrics
    error: _Error | None = None

    def request(self, begin_ns: int) -> ForeignRequest:
        """As told, with times since a moment of aiperf's clock: since 1970 they have too many digits for seconds."""
        meta, metrics = self.metadata, self.metrics
        outcome, message = self._outcome()
        sent_s = (meta.request_start_ns - begin_ns) * _NS
        first = metrics.time_to_first_token
        first_s = None if first is None else sent_s + first.value * _MS
        gaps_s = [] if metrics.inter_chunk_latency is None else [gap * _MS for gap in metrics.inter_chunk_latency.value]
        return ForeignRequest(
            sent_s=sent_s,
            first_token_s=first_s,
            last_token_s=(meta.request_end_ns - begin_ns) * _NS,
            gaps_s=gaps_s,
            input_tokens=_count(metrics.usage_prompt_tokens or metrics.input_sequence_length),
            output_tokens=self.output_tokens,
            cached_input_tokens=_count(metrics.usage_prompt_cache_read_tokens),
            outcome=outcome,
            message=message,
            is_warmup=meta.benchmark_phase == "warmup",
        )

    @property
    def output_tokens(self) -> int | None:
        """As the server counted them, else as aiperf's tokenizer did."""
        return _count(self.metrics.usage_completion_tokens or self.metrics.output_sequence_length)

    @property
    def lacks_first_token(self) -> bool:
        """There is an answer, and nobody knows when it began."""
        return self.error is None and bool(self.output_tokens) and self.metrics.time_to_first_token is None

    def _outcome(self) -> tuple[str, str]:
        if self.metadata.was_cancelled:
            return CANCELLED, ""
        if self.error is not None:
            code = self.error.code or 0
            message = f"{self.error.type or ''} {self.error.message}".strip()
            return (f"http_{code}" if 400 <= code < 600 else failure_kind(message)), message
        return (OK, "") if self.metrics.time_to_first_token else ("failed", "no output tokens")


class _Phase(Part):
    name: str = ""
    kind: str = "profiling"
    type: str
    concurrency: Users | None = None
    users: Users | None = None
    rate: Rate | None = None


class _Model(Part):
    name: ModelName


class _Models(Part):
    items: list[_Model] = []


class _Endpoint(Part):
    urls: list[str] = []


class _Input(Part):
    phases: list[_Phase]
    models: _Models = _Models()
    endpoint: _Endpoint = _Endpoint()


class _Summary(Part):
    aiperf_version: str | None = None
    input_config: _Input
    start_time: str = ""
    was_cancelled: bool = False


def is_aiperf_summary(data: Mapping[str, Any]) -> bool:
    """Whether a document looks like aiperf's summary, which has no requests."""
    return "aiperf_version" in data and "input_config" in data


def is_aiperf_line(data: Any) -> bool:
    """Whether the first line of a file looks like a request."""
    return isinstance(data, Mapping) and {"metadata", "metrics"} <= set(data)


def requests_beside(summary: Path) -> Path:
    """The file with the requests that belongs to a summary.

    Raises:
        InputFileError: there is none.
    """
    path = summary.with_name(LINES) if summary.name == SUMMARY else summary.with_suffix(".jsonl")
    if not path.is_file():
        raise refusal(summary, f"holds no requests, and {shown_path(Path(path.name))} is not beside it: {_OPTION}")
    return path


def read_aiperf(path: Path, text: str) -> ForeignResult:
    """The result whose requests a file holds.

    Args:
        path: of the file.
        text: of it.

    Raises:
        InputFileError: every mistake; or the summary is not beside it.
    """
    records = _records(path, text)
    summary_path = path.with_name(SUMMARY) if path.name == LINES else path.with_suffix(".json")
    if not summary_path.is_file():
        beside = shown_path(Path(summary_path.name))
        raise refusal(path, f"does not tell the load, and {beside}, which does, is not beside it")
    summary = checked(_Summary, parse_json(summary_path, read_text(summary_path)), summary_path)
    names = _metrics_of_server(path)
    given = summary.input_config
    return ForeignResult(
        tool=TOOL,
        version=summary.aiperf_version,
        path=path,
        sha256=sha256_of(path),
        points=_points(summary_path, given.phases, records),
        not_told=_NOT_TOLD,
        notes=tuple(_notes(summary, records)),
        model=given.models.items[0].name if len(given.models.items) == 1 else None,
        engine=Engine(name="vllm") if any(name.startswith(_VLLM) for name in names) else None,
        url=without_user(given.endpoint.urls[0]) if given.endpoint.urls else "",
        started_at=summary.start_time,
        is_emulated=any(name.startswith(_EMULATOR) for name in names),
    )


def _records(path: Path, text: str) -> list[_Record]:
    records: list[_Record] = []
    problems: list[Problem] = []
    for number, data in json_lines(path, text):
        try:
            records.append(checked(_Record, data, path, number))
        except InputFileError as error:
            problems += error.problems
        if len(problems) >= MOST_TOLD:
            problems.append(Problem(shown_path(path), number, 0, "", "reading ends here: too many mistakes"))
            break
    if problems:
        raise InputFileError(problems)
    if any(record.lacks_first_token for record in records):
        raise refusal(path, "lacks time_to_first_token: run aiperf with --streaming", "metrics")
    return records


def _points(summary: Path, phases: list[_Phase], records: list[_Record]) -> tuple[ForeignPoint, ...]:
    """One for each phase that was measured; the warm-up belongs to the first."""
    measured = [(number, phase) for number, phase in enumerate(phases) if phase.kind != "warmup"]
    if not measured:
        raise refusal(summary, "holds none that was measured", "input_config.phases")
    begin_ns = min(record.metadata.request_start_ns for record in records)
    points: list[ForeignPoint] = []
    for number, phase in measured:
        is_first, is_only = not points, len(measured) == 1
        requests = [
            record.request(begin_ns)
            for record in records
            if (
                is_first
                if record.metadata.benchmark_phase == "warmup"
                else is_only or record.metadata.phase_name == phase.name
            )
        ]
        field = f"input_config.phases[{number}]"
        if not requests:
            raise refusal(summary, f"has no requests in {LINES}", field)
        points.append(_point(summary, phase, field, requests))
    return tuple(points)


def _point(summary: Path, phase: _Phase, field: str, requests: list[ForeignRequest]) -> ForeignPoint:
    records = records_of(requests)
    match phase.type:
        case "concurrency":
            return ForeignPoint(None, phase.concurrency or 1, records)
        case "user_centric" if phase.users is not None:
            return ForeignPoint(None, phase.users, records)
        case "poisson" | "gamma" | "constant" | "fixed_schedule":
            return ForeignPoint(phase.rate or rate_per_s(records), None, records)
    allowed = "concurrency, user_centric, poisson, gamma, constant, fixed_schedule"
    raise refusal(summary, f"must be one of {allowed}; given: {phase.type!r}", f"{field}.type")


def _notes(summary: _Summary, records: list[_Record]) -> Iterator[str]:
    if summary.was_cancelled:
        yield f"{TOOL}: the run was cut off"
    by_client = sum(
        record.metrics.usage_completion_tokens is None for record in records if record.output_tokens is not None
    )
    if by_client:
        yield f"{TOOL}: its own tokenizer counted the tokens of {by_client} answers; --use-server-token-count does not"


def _metrics_of_server(path: Path) -> frozenset[str]:
    """Names of what the server told of itself, where aiperf asked it."""
    beside = path.with_name(_SERVER if path.name == LINES else f"{path.stem}_server_metrics.json")
    if not beside.is_file():
        return frozenset()
    data = parse_json(beside, read_text(beside))
    metrics = data.get("metrics") if isinstance(data, Mapping) else None
    return frozenset(metrics) if isinstance(metrics, Mapping) else frozenset()


def _count(tokens: _Tokens | None) -> int | None:
    return None if tokens is None else tokens.value
