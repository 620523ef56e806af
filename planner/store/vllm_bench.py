"""Results of `vllm bench serve --save-detailed`: one JSON file per load point, with every request."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from planner.errors import InputFileError, Problem
from planner.schema.base import LARGEST
from planner.schema.benchmark import RequestRecord
from planner.store.documents import read_bytes
from planner.store.files import shown_path

_MAX_BYTES = 2**30
_LISTS = ("input_lens", "output_lens", "ttfts", "itls", "start_times", "errors")

Seconds = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class VllmBenchResult(BaseModel):
    """What is used of such a file; it has much more."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=True)

    model_id: str
    date: str = ""
    request_rate: Annotated[float, Field(gt=0)]
    """Offered rate [requests/s]; infinite in a closed loop, and then written as a text."""
    max_concurrency: int | None = None
    input_lens: list[Count]
    output_lens: list[Count]
    ttfts: list[Seconds]
    itls: list[list[Seconds]]
    start_times: list[Annotated[float, Field(allow_inf_nan=False)]]
    errors: list[str]

    @model_validator(mode="after")
    def _has_the_same_requests_in_every_list(self) -> Self:
        sizes = {name: len(getattr(self, name)) for name in _LISTS}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"lists of requests differ in length: {sizes}")
        return self

    @property
    def rate_per_s(self) -> float | None:
        """Offered rate [requests/s]; None in a closed loop."""
        return self.request_rate if math.isfinite(self.request_rate) else None

    def records(self) -> list[RequestRecord]:
        """Every request, with times from the first send."""
        begin_s = min(self.start_times, default=0.0)
        return [self._record(index, begin_s) for index in range(len(self.start_times))]

    def _record(self, index: int, begin_s: float) -> RequestRecord:
        sent_s, gaps_s = self.start_times[index] - begin_s, self.itls[index]
        has_answer = not self.errors[index] and self.output_lens[index] > 0
        first_s = sent_s + self.ttfts[index]
        return RequestRecord(
            index=index,
            due_s=sent_s,
            sent_s=sent_s,
            first_token_s=first_s if has_answer else None,
            finished_s=first_s + sum(gaps_s) if has_answer else None,
            asked_input_tokens=self.input_lens[index],
            asked_output_tokens=self.output_lens[index],
            input_tokens=self.input_lens[index],
            output_tokens=self.output_lens[index],
            outcome="ok" if has_answer else "failed",
            message=self.errors[index][:200],
            gaps_s=gaps_s,
        )


def read_vllm_bench(path: Path) -> VllmBenchResult:
    """Reads a result.

    Raises:
        InputFileError: the file is no such result, or was saved without its requests.
    """
    file = shown_path(path)

    def refuse(field: str, message: str) -> InputFileError:
        return InputFileError([Problem(file, 0, 0, field, message)])

    try:
        data: Any = json.loads(read_bytes(path, _MAX_BYTES))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise refuse("", f"is not JSON: {error}") from error
    if not isinstance(data, dict) or "request_rate" not in data:
        raise refuse("", "is no result of `vllm bench serve`, and no run directory of `planner bench`")
    missing = [name for name in _LISTS if name not in data]
    if missing:
        message = f"{', '.join(missing)} missing: run `vllm bench serve` with --save-result --save-detailed"
        raise refuse("", message)
    try:
        return VllmBenchResult.model_validate(data)
    except ValidationError as error:
        problems = [
            Problem(file, 0, 0, ".".join(map(str, line["loc"])), line["msg"])
            for line in error.errors(include_url=False, include_input=False)
        ]
        raise InputFileError(problems) from error
