"""Results of inference-perf: `per_request_lifecycle_metrics.json`, and the files that it writes beside it.

Read as inference-perf 0.7.0 writes them. A request there does not tell its stage; stages follow each other, so that
requests in the order in which they were sent are dealt out by the counts of `stage_N_lifecycle_metrics.json`, which
also tell the load. The model and the address are in `config.yaml`. TTFT is from when the request was sent to its first
chunk with content. Gaps are taken between chunks as they came: its own "inter_token_latency" holds a gap of 0 for
every further token of a chunk. Output tokens are the server's, where it counted, whatever its own tokenizer says.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from planner.schema.profile import Engine
from planner.store.documents import load_document
from planner.store.files import sha256_of
from planner.store.foreign.result import (
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
    records_of,
    refusal,
    without_user,
)
from planner.store.foreign.texts import parse_json, read_text

TOOL = "inference-perf"
REQUESTS = "per_request_lifecycle_metrics.json"
_STAGE = re.compile(r"stage_(\d+)_lifecycle_metrics\.json")
_CONFIG = "config.yaml"
_OPTION = "run inference-perf with report.request_lifecycle.per_request: true"
_NOT_TOLD = (
    "when a request was due: latencies of an open loop count from when it was sent",
    "when the run began",
    "the version of the tool, that of the server, and its limits",
    "how its client did: lag and processor time",
)


class _Cached(Part):
    cached_tokens: TokenCount | None = None


class _Usage(Part):
    prompt_tokens: TokenCount | None = None
    completion_tokens: TokenCount | None = None
    prompt_tokens_details: _Cached | None = None


class _Response(Part):
    output_tokens: TokenCount = 0
    server_usage: _Usage | None = None
    chunk_times: list[Instant] | None = None

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        for number, (earlier_s, later_s) in enumerate(pairwise(self.chunk_times or [])):
            if later_s < earlier_s:
                raise ValueError(f"chunk_times[{number + 1}] is before the one before it")
        return self


class _Info(Part):
    input_tokens: TokenCount
    response_metrics: _Response | None = None


class _Error(Part):
    error_type: str
    error_msg: str = ""


class _Request(Part):
    start_time: Instant
    end_time: Instant
    info: _Info
    error: _Error | None

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.end_time < self.start_time:
            raise ValueError("end_time is before start_time")
        if self.chunk_s and self.chunk_s[0] < self.start_time:
            raise ValueError("chunk_times[0] is before start_time")
        return self

    @property
    def chunk_s(self) -> list[float]:
        """When chunks with content came [s]."""
        response = self.info.response_metrics
        return (response.chunk_times or []) if response is not None else []

    @property
    def is_counted_by_server(self) -> bool:
        """Whether its output tokens are the server's."""
        response = self.info.response_metrics
        usage = None if response is None else response.server_usage
        return usage is not None and usage.completion_tokens is not None

    def request(self) -> ForeignRequest:
        """As told."""
        response, chunk_s = self.info.response_metrics or _Response(), self.chunk_s
        usage = response.server_usage or _Usage()
        message = "" if self.error is None else f"{self.error.error_type}: {self.error.error_msg}"
        if self.error is None and not chunk_s:
            message = "no output tokens"
        return ForeignRequest(
            sent_s=self.start_time,
            first_token_s=chunk_s[0] if chunk_s else None,
            last_token_s=self.end_time,
            gaps_s=[later_s - earlier_s for earlier_s, later_s in pairwise(chunk_s)],
            input_tokens=usage.prompt_tokens or self.info.input_tokens or None,
            output_tokens=usage.completion_tokens or response.output_tokens or None,
            cached_input_tokens=usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None,
            outcome=failure_kind(message) if message else OK,
            message=message,
        )


class _Requests(Part):
    requests: list[_Request] = Field(min_length=1)


class _Load(Part):
    count: Count
    requested_rate: Rate | None = None
    concurrency: Users | None = None


class _Outcomes(Part):
    count: Count


class _Stage(Part):
    load_summary: _Load
    failures: _Outcomes


class _Server(Part):
    type: str = ""
    model_name: ModelName | None = None
    base_url: str = ""


class _Config(Part):
    server: _Server | None = None


def is_inference_perf(data: Any) -> bool:
    """Whether a document looks like a list of its requests."""
    keys = {"start_time", "end_time", "info"}
    return isinstance(data, list) and bool(data) and isinstance(data[0], Mapping) and len(keys & set(data[0])) > 1


def refuse_summary(path: Path, data: Mapping[str, Any]) -> None:
    """Raises where a document is one of its summaries.

    Raises:
        InputFileError: it is, and how to get the requests.
    """
    if {"load_summary", "successes", "failures"} <= set(data):
        raise refusal(path, f"holds no requests: {_OPTION}, and give {REQUESTS}")


def read_inference_perf(path: Path, data: list[Any]) -> ForeignResult:
    """The result whose requests a file holds.

    Args:
        path: of the file.
        data: as read.

    Raises:
        InputFileError: every mistake; or the files that tell the load are not beside it.
    """
    entries = sorted(checked(_Requests, {"requests": data}, path).requests, key=lambda entry: entry.start_time)
    answered = [entry for entry in entries if entry.error is None]
    if answered and not any(entry.chunk_s for entry in answered):
        raise refusal(path, "lacks the times of chunks: run inference-perf with api.streaming: true", "info")
    server = _server(path)
    by_client = sum(not entry.is_counted_by_server for entry in answered)
    note = f"{TOOL}: its own tokenizer counted the output tokens of {by_client} answers"
    return ForeignResult(
        tool=TOOL,
        version=None,
        path=path,
        sha256=sha256_of(path),
        points=tuple(_points(path, entries)),
        not_told=_NOT_TOLD,
        notes=(note,) if by_client else (),
        model=server.model_name or None,
        engine=Engine(name=server.type) if server.type and server.type != "mock" else None,
        url=without_user(server.base_url),
    )


def _points(path: Path, entries: Sequence[_Request]) -> Iterator[ForeignPoint]:
    """Requests in the order in which they were sent, dealt out to the stages that they were sent in."""
    stages = _stages(path)
    total = sum(stage.load_summary.count for _, stage in stages)
    if total != len(entries):
        raise refusal(path, f"holds {len(entries)} requests, and the files of its stages count {total}")
    begin = 0
    for stage_path, stage in stages:
        load, of_stage = stage.load_summary, entries[begin : begin + stage.load_summary.count]
        begin += load.count
        failed = sum(entry.error is not None for entry in of_stage)
        if failed != stage.failures.count:
            message = f"counts {stage.failures.count} failures, and {REQUESTS} has {failed} in its place: another run's"
            raise refusal(stage_path, message, "failures.count")
        if load.concurrency is None and load.requested_rate is None:
            raise refusal(stage_path, "tells neither a rate nor a concurrency", "load_summary")
        rate = load.requested_rate if load.concurrency is None else None  # beside users it is a count of requests
        yield ForeignPoint(rate, load.concurrency, records_of([entry.request() for entry in of_stage]))


def _stages(path: Path) -> list[tuple[Path, _Stage]]:
    """The files of the stages, in their order."""
    prefix = path.name.removesuffix(REQUESTS)
    found: dict[int, Path] = {}
    for beside in path.parent.iterdir():
        name = _STAGE.fullmatch(beside.name.removeprefix(prefix))
        if name and beside.name.startswith(prefix) and path.name.endswith(REQUESTS):
            found[int(name[1])] = beside
    if not found:
        needed = "does not tell the load, and stage_0_lifecycle_metrics.json, which does, is not beside it"
        raise refusal(path, f"{needed}: run inference-perf with report.request_lifecycle.per_stage: true")
    stages = []
    for _, beside in sorted(found.items()):
        data = parse_json(beside, read_text(beside))
        stages.append((beside, checked(_Stage, data, beside)))
    return [(beside, stage) for beside, stage in stages if stage.load_summary.count]


def _server(path: Path) -> _Server:
    """What the configuration says of the server; nothing, where it is not there."""
    beside = path.with_name(path.name.removesuffix(REQUESTS) + _CONFIG)
    if not beside.is_file():
        return _Server()
    document = load_document(beside)
    return checked(_Config, document.data, beside).server or _Server()
