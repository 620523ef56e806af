"""The server's side of load points for a terminal: a line for each, or a few facts of one."""

from collections.abc import Iterator, Sequence

from planner.report.columns import aligned
from planner.schema.benchmark import LoadPoint
from planner.schema.telemetry import BucketedTime, CrossCheck, Level, ServerFigures

_NONE = "–"
_HEAD: tuple[str, ...] = ("load", "running", "max", "waiting", "max", "KV", "max", "preempted", "counts")
_GPU_HEAD = ("W", "J/token", "GPU busy")
_TIMES = (("TTFT", "ttft_s"), ("ITL", "itl_s"), ("queue", "queue_s"))


def server_rows(points: Sequence[LoadPoint], labels: Sequence[str]) -> list[str]:
    """A line for each load point; none where nobody saw anything of the server.

    Args:
        points: as measured.
        labels: of their loads.
    """
    if all(point.server is None for point in points):
        return []
    unseen = ServerFigures(from_s=0, until_s=0)
    seen = [point.server or unseen for point in points]
    rows = [_HEAD, *((label, *_engine_cells(server)) for label, server in zip(labels, seen, strict=True))]
    if any(server.gpus for server in seen):
        of_gpus = [_GPU_HEAD, *(_gpu_cells(server) for server in seen)]
        rows = [(*row, *more) for row, more in zip(rows, of_gpus, strict=True)]
    return ["", *aligned(rows)]


def server_facts(server: ServerFigures | None) -> list[tuple[str, str]]:
    """The server's side of one load point, as names and what there is to tell."""
    if server is None:
        return []
    facts = [("server", "; ".join(_engine(server))), ("counts", "; ".join(_counts(server)))]
    facts += [("its times", "; ".join(_times(server))), ("GPUs", "; ".join(_gpus(server)))]
    return [(name, told) for name, told in facts if told]


def _engine_cells(server: ServerFigures) -> tuple[str, ...]:
    checks = _checks(server)
    agreed = _NONE if not checks else "equal" if all(check.is_equal for _, check in checks) else "DIFFER"
    return (
        *_level(server.running, "{:.1f}", "{:.0f}"),
        *_level(server.waiting, "{:.1f}", "{:.0f}"),
        *_level(server.kv_used_fraction, "{:.1%}", "{:.1%}"),
        _NONE if server.preemptions is None else f"{server.preemptions:,}",
        agreed,
    )


def _gpu_cells(server: ServerFigures) -> tuple[str, ...]:
    busy = [gpu.utilization_fraction.mean for gpu in server.gpus if gpu.utilization_fraction is not None]
    return (
        _NONE if server.power_w is None else f"{server.power_w:,.0f}",
        _NONE if server.energy_per_output_token_j is None else f"{server.energy_per_output_token_j:.3g}",
        f"{sum(busy) / len(busy):.0%}" if busy else _NONE,
    )


def _level(level: Level | None, mean: str, most: str) -> tuple[str, str]:
    return (_NONE, _NONE) if level is None else (mean.format(level.mean), most.format(level.max))


def _engine(server: ServerFigures) -> Iterator[str]:
    for name, level in (("running", server.running), ("waiting", server.waiting)):
        if level is not None:
            yield f"{level.mean:.1f} {name} (max {level.max:.0f})"
    if server.kv_used_fraction is not None:
        yield f"KV cache {server.kv_used_fraction.mean:.1%} (max {server.kv_used_fraction.max:.1%})"
    if server.preemptions is not None:
        yield f"{server.preemptions:,} preempted"
    if server.prefix_cache_hit_fraction is not None:
        yield f"{server.prefix_cache_hit_fraction:.1%} of prefix cache look-ups hit"


def _checks(server: ServerFigures) -> list[tuple[str, CrossCheck]]:
    named = (
        ("requests", server.requests),
        ("prompt tokens", server.prompt_tokens),
        ("output tokens", server.output_tokens),
    )
    return [(name, check) for name, check in named if check is not None]


def _counts(server: ServerFigures) -> Iterator[str]:
    checks = _checks(server)
    same = [f"{check.server:,} {name}" for name, check in checks if check.server == check.client]
    if same:
        yield f"{', '.join(same)}: by the server and by its answers"
    for name, check in checks:
        if check.server != check.client:
            most = f" to {check.client_most:,}" if check.client_most > check.client else ""
            yield f"{check.server:,} {name} by the server, {check.client:,}{most} by its answers"


def _times(server: ServerFigures) -> Iterator[str]:
    for name, field in _TIMES:
        times: BucketedTime | None = getattr(server, field)
        if times is not None and times.p95 is not None:
            lower_s, upper_s = times.p95
            until = f"{upper_s * 1000:g}" if upper_s is not None else "∞"
            yield f"{name} mean {times.mean * 1000:.4g} ms, p95 in {lower_s * 1000:g}–{until} ms"


def _gpus(server: ServerFigures) -> Iterator[str]:
    if not server.gpus:
        return
    yield ", ".join(f"{gpu.index} {gpu.name}" for gpu in server.gpus)
    if server.power_w is not None and server.energy_j is not None:
        ways = {gpu.energy_by for gpu in server.gpus}
        by = "by their energy counters" if ways == {"counter"} else "by sampled power"
        yield f"{server.power_w:,.0f} W, {server.energy_j:,.0f} J {by}"
    if server.energy_per_output_token_j is not None:
        yield f"{server.energy_per_output_token_j:.3g} J per output token"
    busy = [gpu.utilization_fraction.mean for gpu in server.gpus if gpu.utilization_fraction is not None]
    if busy:
        yield f"busy {sum(busy) / len(busy):.0%} of the time"
    reasons = sorted({reason for gpu in server.gpus for reason in gpu.throttled_by or ()})
    if reasons:
        yield f"clocks kept down by {', '.join(reasons)}"
