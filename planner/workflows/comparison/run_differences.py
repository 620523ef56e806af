"""What is not the same in two runs, so that a difference between their figures may come of it."""

import json
from collections.abc import Iterator

from planner.schema.benchmark import KnownLimits, Workload
from planner.schema.workload import WorkloadSpec
from planner.workflows.comparison.same_loads import SAME_LENGTH_FRACTION, Pair
from planner.workflows.measurements import Measurement

_SAME_CACHE_FRACTION = 0.01
"""Servers that are started the same way find room for a few tokens more or fewer."""
_LONGEST = 60
Fact = tuple[str, str, str]
"""What is compared, and what it is in either run, in words; empty where that is not told."""


def differences(first: Measurement, second: Measurement, has_open: bool, has_closed: bool) -> Iterator[str]:
    """Each one as a sentence.

    Args:
        first: any load of a run.
        second: likewise.
        has_open: whether open loops are compared, for which arrivals matter.
        has_closed: whether closed loops are, whose users may think.
    """
    for name, before, after in (
        *_of_servers(first, second),
        ("basis", first.basis, second.basis),
        *_of_workloads(first.workload, second.workload, has_open, has_closed),
    ):
        if before != after:
            yield f"{name}: {before or 'not told'} in {first.run}, {after or 'not told'} in {second.run}"
    untold = [measured.run for measured in (first, second) if measured.workload is None]
    if untold:
        what = "how requests came, what they were made of and how long loads lasted"
        yield f"{what} is not told in {' and '.join(untold)}: whether that is the same is not known"


def other_lengths(pair: Pair) -> Iterator[str]:
    """Prompts and answers of a load that are not as long, where that is not said of the whole run already."""
    workloads = [load.repeats[0].workload for load in (pair.first, pair.second)]
    for name, place, column in (("prompts", 0, "input_tokens"), ("answers", 1, "output_tokens")):
        asked = [getattr(workload, column) for workload in workloads if workload is not None]
        before, after = pair.first.asked_tokens[place], pair.second.asked_tokens[place]
        if (len(asked) == 2 and asked[0] != asked[1]) or not before or not after:
            continue
        if abs(before - after) > SAME_LENGTH_FRACTION * max(before, after):
            told = f"{before:.3g} tokens on average in {pair.first.run}, {after:.3g} in {pair.second.run}"
            yield f"{pair.label}: {name}: {told}"


# ---- servers


def _of_servers(first: Measurement, second: Measurement) -> Iterator[Fact]:
    before, after = first.server, second.server
    yield "model", before.model.id, after.model.id
    for name in ("revision", "dtype", "quantization"):
        yield name, getattr(before.model, name) or "", getattr(after.model, name) or ""
    yield "engine", _engine(first), _engine(second)
    yield "arguments", " ".join(before.engine.args), " ".join(after.engine.args)
    yield "GPUs to a replica", f"{before.engine.tensor_parallel_size}", f"{after.engine.tensor_parallel_size}"
    if None not in {before.engine.prefix_caching, after.engine.prefix_caching}:
        yield "prefix caching", f"{before.engine.prefix_caching}", f"{after.engine.prefix_caching}"
    yield "accelerator", _accelerator(first), _accelerator(second)
    yield from _of_limits(before.limits, after.limits)


def _engine(measured: Measurement) -> str:
    engine = measured.server.engine
    return f"{engine.name} {engine.version or ''}".strip()


def _accelerator(measured: Measurement) -> str:
    accelerator = measured.server.accelerator
    return "" if accelerator is None else f"{accelerator.count} × {accelerator.name}"


def _of_limits(first: KnownLimits, second: KnownLimits) -> Iterator[Fact]:
    """Limits that both tell; and that one tells none at all."""
    ours, theirs = first.model_dump(exclude_none=True), second.model_dump(exclude_none=True)
    if bool(ours) != bool(theirs):
        yield "limits", _listed(ours), _listed(theirs)
    for name, before in ours.items():
        after = theirs.get(name, before)
        allowed = _SAME_CACHE_FRACTION * max(before, after) if name == "kv_cache_tokens" else 0
        if abs(before - after) > allowed:
            yield name, f"{before}", f"{after}"


def _listed(limits: dict[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in limits.items())


# ---- workloads


def _of_workloads(first: Workload | None, second: Workload | None, has_open: bool, has_closed: bool) -> Iterator[Fact]:
    if first is None or second is None:
        return
    yield "endpoint", first.endpoint, second.endpoint
    if has_open:
        yield "arrivals", _arrivals(first), _arrivals(second)
    if has_closed:
        yield "think time [s]", first.think_time_s or "none", second.think_time_s or "none"
    yield "prompts [tokens]", first.input_tokens, second.input_tokens
    yield "answers [tokens]", first.output_tokens, second.output_tokens
    yield "length of a load", _extent(first), _extent(second)
    yield "warm-up [s]", f"{first.warmup_s:g}", f"{second.warmup_s:g}"
    yield from _of_files(first, second)


def _arrivals(workload: Workload) -> str:
    """How they come, but for the rates that make the loads."""
    told = {
        "gamma": f"gamma with burstiness {workload.burstiness:g}",
        "onoff": f"onoff with {workload.bursts or 'bursts'}",
        "trace": f"trace at {workload.trace_speed:g} times its speed",
    }.get(workload.arrival, str(workload.arrival))
    rate = workload.rate or ""
    return f"{told} at {rate}" if ".." in rate or ":" in rate else told


def _extent(workload: Workload) -> str:
    requests = "" if workload.requests is None else f"{workload.requests} requests"
    time_s = "" if workload.duration_s is None else f"{workload.duration_s:.4g} s"
    return " or ".join(part for part in (requests, time_s) if part)


def _of_files(first: Workload, second: Workload) -> Iterator[Fact]:
    """What requests are made of; where no file says it, each stands alone and is as long as asked."""
    ours, theirs = first.file, second.file
    for name in ("shared_prefix", "conversation"):
        yield name, _told(getattr(ours, name, None)), _told(getattr(theirs, name, None))
    yield "models", _told(getattr(ours, "models", {})), _told(getattr(theirs, "models", {}))
    before, after = (_parameters(spec) for spec in (ours, theirs))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"parameters.{name}", *_apart(before.get(name, "none"), after.get(name, "none"))
    yield "answers as long as asked", _is_forced(ours), _is_forced(theirs)
    yield "text new in every run", _is_new(ours), _is_new(theirs)
    if sorted(first.file_sha256.values()) != sorted(second.file_sha256.values()):
        yield "files", _files(first), _files(second)


def _parameters(spec: WorkloadSpec | None) -> dict[str, str]:
    parameters = {} if spec is None else spec.parameters
    return {name: json.dumps(value, ensure_ascii=False, sort_keys=True) for name, value in parameters.items()}


def _apart(before: str, after: str) -> tuple[str, str]:
    """Both, shortened so that they still begin differently."""
    same = next((place for place, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    begin = max(0, same - _LONGEST // 2)
    return _shortened(before, begin), _shortened(after, begin)


def _shortened(text: str, begin: int) -> str:
    end = begin + _LONGEST
    return ("…" if begin else "") + text[begin:end] + ("…" if len(text) > end else "")


def _told(value: object) -> str:
    """A part of a workload's file in words."""
    fields = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return ", ".join(f"{name}={each}" for name, each in fields.items()) or "none"


def _is_forced(spec: WorkloadSpec | None) -> str:
    return "yes" if spec is None or spec.forces_length else "no"


def _is_new(spec: WorkloadSpec | None) -> str:
    return "yes" if spec is None or spec.is_cache_busting else "no"


def _files(workload: Workload) -> str:
    return ", ".join(f"{name} ({sha256[:8]})" for name, sha256 in sorted(workload.file_sha256.items())) or "none"
