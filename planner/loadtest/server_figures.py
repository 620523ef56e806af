"""What was seen of a server and its GPUs during a load point, as figures and as the lines of a file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.core.histograms import difference, quantile_bucket
from planner.core.sampled import mean_between, most_between, rise_between
from planner.engines.counters import Counters
from planner.engines.gpus import Gpu, GpuReading
from planner.engines.metric_names import Count, Time
from planner.loadtest.counts import Counted
from planner.loadtest.probe import Look, Looks
from planner.schema.telemetry import (
    BucketedTime,
    CrossCheck,
    GpuFigures,
    GpuState,
    Level,
    ServerFigures,
    ServerSample,
    ServerState,
)

Array = NDArray[np.float64]

_DECIMALS = 6
_GPU_LEVELS = ("utilization_fraction", "memory_used_bytes", "sm_clock_hz", "memory_clock_hz", "temperature_c")


@dataclass(frozen=True)
class Window:
    """From the first request sent to the last that ended.

    Attributes:
        start_s: the first scheduled send that counts, on time.perf_counter [s].
        from_s: when the first request was sent, since then [s].
        until_s: when the last one ended, likewise [s].
    """

    start_s: float
    from_s: float
    until_s: float

    @property
    def duration_s(self) -> float:
        """How long it lasted [s]."""
        return max(0.0, self.until_s - self.from_s)


@dataclass(frozen=True)
class Counts:
    """What a server counted over a load.

    Attributes:
        before: its page before the first request; None where its counts mean nothing.
        after: and after the last one.
        checks: of both, against its answers.
        told_output_tokens: as its answers tell them [tokens].
    """

    before: Counters | None = None
    after: Counters | None = None
    checks: Mapping[Counted, CrossCheck] = field(default_factory=dict)
    told_output_tokens: int = 0


def samples(looks: Looks, start_s: float) -> Iterator[ServerSample]:
    """Every look as a line of a file.

    Args:
        looks: as they came.
        start_s: of the load point, on their clock [s].
    """
    for each in sorted(looks.seen, key=lambda one: one.time_s):
        said = {} if each.server is None else asdict(each.server)
        said.pop("started_s", None)
        states = [asdict(gpu) | {"throttled_by": _listed(gpu.throttled_by)} for gpu in each.gpus]
        yield ServerSample(
            time_s=round(each.time_s - start_s, _DECIMALS),
            server=None if each.server is None else ServerState(**said),
            gpus=[GpuState(**state) for state in states],
        )


def server_figures(window: Window, looks: Looks, gpus: Sequence[Gpu], counts: Counts) -> ServerFigures:
    """The figures.

    Args:
        window: what they are of.
        looks: at the server and the GPUs, from before it until after it.
        gpus: that were looked at.
        counts: of the server.
    """
    pages = [(one.time_s - window.start_s, one.server) for one in looks.seen if one.server is not None]
    each = [_gpu(gpu, list(_of_gpu(gpu.index, looks.seen, window)), window) for gpu in gpus]
    energies_j = [gpu.energy_j for gpu in each]
    known_j = [energy_j for energy_j in energies_j if energy_j is not None]
    energy_j = sum(known_j) if known_j and len(known_j) == len(energies_j) else None
    check = counts.checks.get("output_tokens")
    tokens = check.server if check is not None else counts.told_output_tokens
    queries, hits = (_rise(counts, term) for term in ("prefix_cache_queries_tokens", "prefix_cache_hits_tokens"))
    preemptions = _rise(counts, "preemptions")
    return ServerFigures(
        from_s=window.from_s,
        until_s=window.until_s,
        pages=sum(window.from_s <= time_s <= window.until_s for time_s, _ in pages),
        pages_missed=looks.missed,
        running=_level([(time_s, page.running) for time_s, page in pages], window),
        waiting=_level([(time_s, page.waiting) for time_s, page in pages], window),
        kv_used_fraction=_level([(time_s, page.kv_used_fraction) for time_s, page in pages], window),
        preemptions=None if preemptions is None else round(preemptions),
        prefix_cache_hit_fraction=min(1.0, hits / queries) if queries and hits is not None else None,
        requests=counts.checks.get("requests"),
        prompt_tokens=counts.checks.get("prompt_tokens"),
        output_tokens=counts.checks.get("output_tokens"),
        ttft_s=_time("ttft_s", counts),
        itl_s=_time("itl_s", counts),
        e2e_s=_time("e2e_s", counts),
        queue_s=_time("queue_s", counts),
        gpus=each,
        power_w=energy_j / window.duration_s if energy_j is not None and window.duration_s > 0 else None,
        energy_j=energy_j,
        energy_per_output_token_j=energy_j / tokens if energy_j is not None and tokens > 0 else None,
    )


def mean_power_w(looks: Looks, gpus: Sequence[Gpu]) -> float | None:
    """Mean power of all GPUs from the first look to the last [W]; None where one of them does not tell."""
    times_s = [one.time_s for one in looks.seen]
    if not times_s:
        return None
    return server_figures(Window(0.0, min(times_s), max(times_s)), looks, gpus, Counts()).power_w


def _rise(counts: Counts, term: Count) -> float | None:
    if counts.before is None or counts.after is None:
        return None
    before, after = counts.before.count(term), counts.after.count(term)
    return None if before is None or after is None else max(0.0, after - before)


def _time(term: Time, counts: Counts) -> BucketedTime | None:
    """A histogram of what came in between; None where there was nothing."""
    after = None if counts.after is None else counts.after.times(term)
    if counts.before is None or after is None:
        return None
    before = counts.before.times(term)
    came = difference({} if before is None else before.counts, after.counts)
    total = max(came.values(), default=0.0)
    if total <= 0:
        return None
    sum_s = after.sum - (0.0 if before is None else before.sum)
    return BucketedTime(
        n=round(total),
        mean=max(0.0, sum_s) / total,
        p50=quantile_bucket(came, 0.50),
        p90=quantile_bucket(came, 0.90),
        p95=quantile_bucket(came, 0.95),
        p99=quantile_bucket(came, 0.99),
    )


def _of_gpu(index: int, seen: Iterable[Look], window: Window) -> Iterator[tuple[float, GpuReading]]:
    for one in seen:
        for reading in one.gpus:
            if reading.index == index:
                yield one.time_s - window.start_s, reading


def _gpu(gpu: Gpu, seen: Sequence[tuple[float, GpuReading]], window: Window) -> GpuFigures:
    levels = {name: _level([(time_s, getattr(said, name)) for time_s, said in seen], window) for name in _GPU_LEVELS}
    power = _level([(time_s, said.power_w) for time_s, said in seen], window)
    counted_j = _counted_j([(time_s, said.energy_j) for time_s, said in seen], window)
    energy_j = counted_j if counted_j is not None else None if power is None else power.mean * window.duration_s
    if counted_j is not None and window.duration_s > 0:
        mean_w = counted_j / window.duration_s
        power = Level(mean=mean_w, max=mean_w if power is None else max(power.max, mean_w))
    reasons = [said.throttled_by for _, said in seen if said.throttled_by is not None]
    return GpuFigures(
        index=gpu.index,
        name=gpu.name,
        power_w=power,
        energy_j=energy_j,
        energy_by=None if energy_j is None else "power" if counted_j is None else "counter",
        memory_bytes=gpu.memory_bytes,
        throttled_by=sorted({reason for each in reasons for reason in each}) if reasons else None,
        **levels,
    )


def _counted_j(seen: Sequence[tuple[float, float | None]], window: Window) -> float | None:
    """By the energy counter; None where there is none, or it does not count."""
    found = _known(seen)
    if found is None:
        return None
    time_s, energy_j = found
    is_counting = energy_j[-1] > energy_j[0] and bool(np.all(np.diff(energy_j) >= 0))
    return rise_between(time_s, energy_j, window.from_s, window.until_s) if is_counting else None


def _level(seen: Sequence[tuple[float, float | None]], window: Window) -> Level | None:
    found = _known(seen)
    if found is None:
        return None
    return Level(
        mean=mean_between(*found, window.from_s, window.until_s),
        max=most_between(*found, window.from_s, window.until_s),
    )


def _known(seen: Sequence[tuple[float, float | None]]) -> tuple[Array, Array] | None:
    known = sorted((time_s, value) for time_s, value in seen if value is not None)
    if not known:
        return None
    table = np.array(known, dtype=np.float64)
    return table[:, 0], table[:, 1]


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)
