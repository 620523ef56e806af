"""Results of `vllm bench serve --save-result --save-detailed`: a JSON document per load, with every request.

Read as vLLM 0.32 writes them. Its TTFT is from the call of the request function to the first chunk with choices, and
its gaps are between all such chunks: in a chat the first chunk has a role and no content, so that the first gap, of
microseconds, is no gap between tokens. Where chunks are one more than tokens, that chunk is left out, and the first
token counts from the one after it. Of an open loop it keeps for how long its own limit of concurrency held a request
back, which is part of the latency here as it is where planner measures.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from planner.schema.base import Name
from planner.schema.profile import Engine
from planner.store.files import sha256_of
from planner.store.foreign.result import (
    ForeignPoint,
    ForeignRequest,
    ForeignResult,
    Instant,
    Part,
    Seconds,
    TokenCount,
    Users,
    checked,
    failure_kind,
    records_of,
    refusal,
)

TOOL = "vllm bench serve"
_LISTS = ("input_lens", "output_lens", "ttfts", "itls", "start_times", "errors")
_OPTION = "run `vllm bench serve` with --save-result --save-detailed"
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)")
_NOT_TOLD = (
    "the address and version of the server, and its limits",
    "when a request was due, but for how long it waited for one of max_concurrency",
    "how its client did: lag and processor time",
)


class _Result(Part):
    model_id: Name
    endpoint_type: str = ""
    date: str = ""
    request_rate: Annotated[float, Field(gt=0, allow_inf_nan=True, strict=False)]
    """Infinite in a closed loop, and then written as a text [requests/s]."""
    max_concurrency: Users | None = None
    input_lens: list[TokenCount]
    output_lens: list[TokenCount]
    ttfts: list[Seconds]
    itls: list[list[Seconds]]
    start_times: list[Instant]
    queue_times: list[Seconds] = []
    errors: list[str]

    @model_validator(mode="after")
    def _has_the_same_requests_in_every_list(self) -> Self:
        sizes = {name: len(getattr(self, name)) for name in _LISTS}
        if self.queue_times:
            sizes["queue_times"] = len(self.queue_times)
        if len(set(sizes.values())) > 1:
            raise ValueError(f"lists of requests differ in length: {sizes}")
        if not self.start_times:
            raise ValueError("holds no requests")
        return self

    @property
    def rate_per_s(self) -> float | None:
        """None in a closed loop."""
        return self.request_rate if math.isfinite(self.request_rate) else None

    def request(self, index: int) -> ForeignRequest:
        sent_s, tokens, message = self.start_times[index], self.output_lens[index], self.errors[index]
        waited_s = self.queue_times[index] if self.queue_times and self.rate_per_s is not None else 0.0
        due_s = sent_s - waited_s
        if message or tokens == 0:
            kind = failure_kind(message)
            return ForeignRequest(sent_s, due_s=due_s, outcome=kind, message=message or "no output tokens")
        first_s, gaps_s = sent_s + self.ttfts[index], self.itls[index]
        if "chat" in self.endpoint_type and len(gaps_s) == tokens:
            first_s, gaps_s = first_s + gaps_s[0], gaps_s[1:]
        return ForeignRequest(
            sent_s=sent_s,
            first_token_s=first_s,
            last_token_s=first_s + sum(gaps_s),
            gaps_s=gaps_s,
            input_tokens=self.input_lens[index],
            output_tokens=tokens,
            due_s=due_s,
        )


def is_vllm_bench(data: Mapping[str, Any]) -> bool:
    """Whether a document looks like such a result, be it whole or not."""
    return "request_rate" in data and ("model_id" in data or "input_lens" in data)


def read_vllm_bench(path: Path, documents: Sequence[Any]) -> ForeignResult:
    """The result that a file holds.

    Args:
        path: of the file.
        documents: as read: one, or several by `--append-result`.

    Raises:
        InputFileError: it was saved without its requests, or holds what it must not.
    """
    found = [_checked(path, data, line if len(documents) > 1 else 0) for line, data in enumerate(documents, start=1)]
    first, *others = found
    for line, other in enumerate(others, start=2):
        if other.model_id != first.model_id:
            raise refusal(path, f"is of another model than line 1: {other.model_id}", "model_id", line)
    date = _DATE.fullmatch(first.date)
    return ForeignResult(
        tool=TOOL,
        version=None,
        path=path,
        sha256=sha256_of(path),
        points=tuple(map(_point, found)),
        not_told=_NOT_TOLD,
        model=first.model_id,
        engine=Engine(name="vllm"),
        started_at="{}-{}-{}T{}:{}:{}".format(*date.groups()) if date else first.date,
    )


def _checked(path: Path, data: Any, line: int) -> _Result:
    missing = [name for name in _LISTS if isinstance(data, Mapping) and name not in data]
    if missing:
        raise refusal(path, f"{', '.join(missing)} missing: {_OPTION}", line=line)
    return checked(_Result, data, path, line)


def _point(found: _Result) -> ForeignPoint:
    records = records_of([found.request(index) for index in range(len(found.start_times))])
    rate_per_s = found.rate_per_s
    # Neither a rate nor a limit: all at once.
    return ForeignPoint(rate_per_s, None if rate_per_s is not None else found.max_concurrency or len(records), records)
