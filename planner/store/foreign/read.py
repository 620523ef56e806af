"""Result files of load-test tools, recognised by what is in them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.store.foreign.aiperf import (
    LINES,
    SUMMARY,
    is_aiperf_line,
    is_aiperf_summary,
    read_aiperf,
    requests_beside,
)
from planner.store.foreign.guidellm import is_guidellm, read_guidellm
from planner.store.foreign.inference_perf import REQUESTS, is_inference_perf, read_inference_perf, refuse_summary
from planner.store.foreign.result import ForeignResult, refusal
from planner.store.foreign.texts import json_lines, parse_json, read_text
from planner.store.foreign.vllm_bench import is_vllm_bench, read_vllm_bench

TOOLS = "vllm bench serve, guidellm, aiperf or inference-perf"
_IN_FOLDERS = (LINES, SUMMARY, REQUESTS, "benchmarks.json")
"""Results that a folder may be named by, as the tools call them."""


def result_in(folder: Path) -> Path | None:
    """The result that a folder of one of the tools holds; None where there is none."""
    return next((folder / name for name in _IN_FOLDERS if (folder / name).is_file()), None)


def read_foreign(path: Path) -> ForeignResult:
    """A result of any of the tools.

    Args:
        path: the file, or the folder that the tool wrote it to.

    Raises:
        InputFileError: it is none, or was saved without its requests; or every mistake in it.
    """
    if path.is_dir():
        found = result_in(path)
        if found is None:
            raise refusal(path, f"holds no result of {TOOLS} ({', '.join(_IN_FOLDERS)}), and no run.json")
        path = found
    text = read_text(path)
    first = _first_line(text)
    if is_aiperf_line(first):
        return read_aiperf(path, text)
    if isinstance(first, Mapping) and is_vllm_bench(first):  # one of several, by --append-result
        return read_vllm_bench(path, [data for _, data in json_lines(path, text)])
    if text.lstrip()[:1] not in ("{", "["):
        hint = "; guidellm writes JSON with --output kind=json" if text.startswith(("benchmarks:", "metadata:")) else ""
        raise refusal(path, f"is no JSON, and so no result of {TOOLS}{hint}")
    data: Any = parse_json(path, text)
    if is_inference_perf(data):
        return read_inference_perf(path, data)
    if isinstance(data, Mapping):
        if is_vllm_bench(data):
            return read_vllm_bench(path, [data])
        if is_aiperf_line(data):
            return read_aiperf(path, text)
        if is_guidellm(data):
            return read_guidellm(path, data)
        if is_aiperf_summary(data):
            return read_foreign(requests_beside(path))
        refuse_summary(path, data)
    raise refusal(path, f"is no result of {TOOLS}, and no run directory of `planner bench`")


def _first_line(text: str) -> Any:
    """What the first of several lines holds; None where there are no others, or it is no JSON of its own."""
    line, _, others = text.partition("\n")
    try:
        return json.loads(line) if others.strip() else None
    except (ValueError, RecursionError):
        return None
