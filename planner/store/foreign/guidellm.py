"""Results of guidellm: `benchmarks.json`, with a benchmark for each load.

Read as guidellm 0.8.1 writes them (report version 2). It keeps when the first and the last token of a request came,
and nothing between: TPOT follows, and ITL does not. Its own "TPOT" counts the wait for the first token in, its "ITL"
is the mean of a request, and its TTFT is from when the request was sent, not from when it was due; the times that
they are made of are taken, and not these. Of an open loop it tells when each request was due.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from planner.store.files import sha256_of
from planner.store.foreign.result import (
    CANCELLED,
    OK,
    Count,
    ForeignPoint,
    ForeignRequest,
    ForeignResult,
    Instant,
    ModelName,
    Part,
    Rate,
    TokenCount,
    Users,
    checked,
    failure_kind,
    iso_utc,
    rate_per_s,
    records_of,
    refusal,
    without_user,
)

TOOL = "guidellm"
_OPTION = "run guidellm with --metrics kind=generative,sample_size=null, or leave --metrics out"
_STREAMING = "run guidellm with --backend kind=openai_http,stream=true"
_NOT_TOLD = (
    "gaps between tokens: itl_s is null, and tpot_s is of the first and the last token",
    "which engine served, its version and its limits",
    "how its client did: processor time",
)


class _Strategy(Part):
    type_: str
    streams: Users | None = None
    max_concurrency: Users | None = None
    rate: Rate | None = None

    @property
    def is_open(self) -> bool:
        """Requests go out at times of their own."""
        return self.type_ in ("constant", "poisson", "trace")


class _Backend(Part):
    target: str = ""
    model: ModelName | None = None


class _Config(Part):
    strategy: _Strategy
    backend: _Backend = _Backend()


class _Timings(Part):
    targeted_start: Instant | None = None
    resolve_start: Instant | None = None
    request_start: Instant | None = None
    first_token_iteration: Instant | None = None
    last_token_iteration: Instant | None = None
    token_iterations: TokenCount = 0
    request_end: Instant | None = None
    resolve_end: Instant | None = None

    @property
    def sent_s(self) -> float | None:
        return self.resolve_start if self.request_start is None else self.request_start

    @property
    def ended_s(self) -> float | None:
        return self.resolve_end if self.request_end is None else self.request_end

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        order = ("request_start", "first_token_iteration", "last_token_iteration")
        known = [(name, time_s) for name in order if (time_s := getattr(self, name)) is not None]
        for (before, earlier_s), (after, later_s) in pairwise(known):
            if later_s < earlier_s:
                raise ValueError(f"{after} is before {before}")
        return self


class _Info(Part):
    timings: _Timings
    error: str | None = None


class _Tokens(Part):
    total_tokens: TokenCount | None = None
    cached_tokens: TokenCount | None = None


class _Request(Part):
    info: _Info
    input_metrics: _Tokens = _Tokens()
    output_metrics: _Tokens = _Tokens()

    @property
    def output_tokens(self) -> int:
        """As counted; its chunks with content, where nobody counted."""
        return self.output_metrics.total_tokens or self.info.timings.token_iterations

    @property
    def is_whole(self) -> bool:
        """It has an answer."""
        return self.output_tokens > 0


class _Requests(Part):
    successful: list[_Request]
    errored: list[_Request]
    incomplete: list[_Request]


class _Made(Part):
    successful: Count
    errored: Count
    incomplete: Count


class _Scheduled(Part):
    measure_start_time: Instant
    measure_end_time: Instant
    requests_made: _Made


class _Benchmark(Part):
    config: _Config
    scheduler_metrics: _Scheduled
    requests: _Requests
    start_time: Instant


class _Metadata(Part):
    guidellm_version: str | None = None


class _Report(Part):
    metadata: _Metadata = _Metadata()
    benchmarks: Annotated[list[_Benchmark], Field(min_length=1)]


def is_guidellm(data: Mapping[str, Any]) -> bool:
    """Whether a document looks like such a report, be it whole or not."""
    metadata = data.get("metadata")
    return "benchmarks" in data and (isinstance(metadata, Mapping) and "guidellm_version" in metadata)


def read_guidellm(path: Path, data: Mapping[str, Any]) -> ForeignResult:
    """The result that a report holds.

    Args:
        path: of its file.
        data: as read.

    Raises:
        InputFileError: it was saved without its requests, or holds what it must not.
    """
    benchmarks = data["benchmarks"]
    bare = [
        number
        for number, benchmark in enumerate(benchmarks if isinstance(benchmarks, list) else [])
        if isinstance(benchmark, Mapping) and "requests" not in benchmark
    ]
    if bare:
        raise refusal(path, f"is missing: {_OPTION}", f"benchmarks[{bare[0]}].requests")
    report = checked(_Report, data, path)
    for number, benchmark in enumerate(report.benchmarks):
        _check_count(path, number, benchmark)
    first = report.benchmarks[0]
    return ForeignResult(
        tool=TOOL,
        version=report.metadata.guidellm_version,
        path=path,
        sha256=sha256_of(path),
        points=tuple(_point(path, number, benchmark) for number, benchmark in enumerate(report.benchmarks)),
        not_told=_NOT_TOLD,
        model=first.config.backend.model or None,
        url=without_user(first.config.backend.target),
        started_at=iso_utc(first.start_time),
    )


def _check_count(path: Path, number: int, benchmark: _Benchmark) -> None:
    """A sample of the requests would be a load that nobody sent."""
    made, kept = benchmark.scheduler_metrics.requests_made, benchmark.requests
    for name in ("successful", "errored", "incomplete"):
        sent, held = getattr(made, name), len(getattr(kept, name))
        if held < sent:
            field = f"benchmarks[{number}].requests.{name}"
            raise refusal(path, f"holds {held} of {sent} requests: {_OPTION}", field)


def _point(path: Path, number: int, benchmark: _Benchmark) -> ForeignPoint:
    strategy = benchmark.config.strategy
    requests = list(_requests(path, number, benchmark))
    if not requests:
        raise refusal(path, "holds no requests", f"benchmarks[{number}].requests")
    records = records_of(requests)
    field = f"benchmarks[{number}].config.strategy"
    match strategy.type_:
        case "synchronous":
            return ForeignPoint(None, 1, records)
        case "concurrent" | "throughput":
            limit = strategy.streams or strategy.max_concurrency or len(records)
            return ForeignPoint(None, min(limit, len(records)), records)
        case "constant" | "poisson":
            if strategy.rate is None:
                raise refusal(path, "is missing", f"{field}.rate")
            return ForeignPoint(strategy.rate, None, records, knows_due=True)
        case "trace":
            return ForeignPoint(rate_per_s(records), None, records, knows_due=True)
    allowed = "synchronous, concurrent, throughput, constant, poisson, trace"
    raise refusal(path, f"must be one of {allowed}; given: {strategy.type_!r}", f"{field}.type_")


def _requests(path: Path, number: int, benchmark: _Benchmark) -> Iterator[ForeignRequest]:
    """All that were sent. What lies outside guidellm's time of measuring, as warm-up and cool-down, is in no figure."""
    begin_s, end_s = benchmark.scheduler_metrics.measure_start_time, benchmark.scheduler_metrics.measure_end_time
    is_open, kept = benchmark.config.strategy.is_open, benchmark.requests
    if any(entry.is_whole and entry.info.timings.first_token_iteration is None for entry in kept.successful):
        field = f"benchmarks[{number}].requests.successful"
        raise refusal(path, f"lacks the times of first tokens: {_STREAMING}", field)
    for outcome, entries in ((OK, kept.successful), ("failed", kept.errored), (CANCELLED, kept.incomplete)):
        for entry in entries:
            timings = entry.info.timings
            sent_s, ended_s, first_s = timings.sent_s, timings.ended_s, timings.first_token_iteration
            if sent_s is None:  # it never got out of guidellm's own queue
                continue
            is_ok = outcome == OK and first_s is not None
            message = entry.info.error or ("no output tokens" if outcome == OK and not is_ok else "")
            yield ForeignRequest(
                sent_s=sent_s,
                first_token_s=first_s,
                last_token_s=timings.last_token_iteration or first_s if is_ok else ended_s,
                input_tokens=entry.input_metrics.total_tokens,
                output_tokens=entry.output_tokens if is_ok else None,
                cached_input_tokens=entry.input_metrics.cached_tokens,
                due_s=timings.targeted_start if is_open else None,
                outcome=outcome if is_ok or outcome == CANCELLED else failure_kind(message),
                message=message,
                is_warmup=(ended_s is not None and ended_s < begin_s) or sent_s > end_s,
            )
