"""A load on replicas of a profile, in simulated time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from planner.core.engine_state import Ints
from planner.core.latency import meets_slo, statistics
from planner.core.simulate import Arrivals, Routing, Served, gap_quantiles_s, saturation_requests_per_s, simulate
from planner.core.steady import Drift
from planner.errors import UsageError
from planner.loadtest.course import drifts, is_steady, requests_in_flight
from planner.loadtest.remarks import unsteady
from planner.loadtest.trends import is_backlog_growing
from planner.schema.benchmark import RequestCounts, Statistics
from planner.schema.profile import Profile
from planner.schema.scenario import Slo
from planner.schema.simulation import Simulation
from planner.store.profiles import read_profile
from planner.store.tables import Progress
from planner.workflows.evidence import unmeasured
from planner.workflows.workload import ArrivalOptions, TraceOptions, drawn_arrivals, traced_arrivals

MOST_REPLICAS = 4096
ROUTINGS: tuple[Routing, ...] = get_args(Routing)


def simulate_load(
    path: Path,
    replicas: int,
    load: ArrivalOptions | TraceOptions,
    slo: Slo,
    seed: int = 0,
    progress: Progress = lambda _: None,
    routing: Routing = "least-outstanding",
) -> Simulation:
    """Replays arrivals through replicas of a profile.

    Args:
        path: the profile.
        replicas: how many.
        load: an arrival process, or a trace.
        slo: that goodput is counted by.
        seed: of the arrivals.
        progress: told the fraction of arrivals done.
        routing: where each request goes.

    Raises:
        UsageError: there are no replicas, or too many.
        InputFileError: every mistake of the profile or the trace.
    """
    if not 1 <= replicas <= MOST_REPLICAS:
        raise UsageError(f"--replicas: must lie between 1 and {MOST_REPLICAS:,}; given: {replicas}")
    profile = read_profile(path)
    arrivals = traced_arrivals(load) if isinstance(load, TraceOptions) else drawn_arrivals(load, seed)
    span_s = float(arrivals.arrival_s[-1] - arrivals.arrival_s[0])
    observed_per_s = (arrivals.arrival_s.size - 1) / span_s if span_s > 0 else None
    offered_per_s = (
        observed_per_s if isinstance(load, TraceOptions) else load.rate.mean_per_s(load.duration_s or np.inf)
    )
    capacity_per_s = replicas * saturation_requests_per_s(profile, arrivals)  # compiles what is timed below
    start_s = time.perf_counter()
    served = simulate(profile, replicas, arrivals, progress, routing=routing)
    point = _as_point(profile, replicas, arrivals, served, slo, offered_per_s, capacity_per_s, start_s)
    if isinstance(load, ArrivalOptions) and not point.is_saturated and load.peak_per_s > capacity_per_s:
        told = f"the load peaks at {load.peak_per_s:.4g} requests/s and {capacity_per_s:.4g} can be served: queues grow"
        point.warnings.append(f"{told} while it does")
    return point


@dataclass(frozen=True)
class _Latencies:
    """What the latencies of simulated requests were; of a month, each series is 200 MB, and none is kept."""

    ttft_s: Statistics
    itl_s: Statistics
    tpot_s: Statistics
    e2e_s: Statistics
    queue_s: Statistics
    good: int
    seen: dict[str, Drift]
    is_behind: bool


def _latencies(served: Served, slo: Slo) -> _Latencies:
    arrival_s = served.arrivals.arrival_s
    e2e_s = served.e2e_s
    in_flight = requests_in_flight(arrival_s, e2e_s)
    of_e2e = statistics(e2e_s, in_flight)
    del e2e_s
    of_queue = statistics(served.queue_s, in_flight)
    ttft_s, tpot_s = served.ttft_s, served.tpot_s
    good = int(np.count_nonzero(meets_slo(ttft_s, tpot_s, slo)))
    tpot_s = tpot_s[served.arrivals.output_tokens > 1]
    return _Latencies(
        ttft_s=statistics(ttft_s, in_flight),
        itl_s=_gap_statistics(served),
        tpot_s=statistics(tpot_s, in_flight),
        e2e_s=of_e2e,
        queue_s=of_queue,
        good=good,
        seen={} if in_flight is None else drifts(arrival_s, ttft_s, tpot_s, in_flight),
        is_behind=is_backlog_growing(arrival_s, served.last_token_s),
    )


def _as_point(
    profile: Profile,
    replicas: int,
    arrivals: Arrivals,
    served: Served,
    slo: Slo,
    offered_per_s: float | None,
    capacity_per_s: float,
    start_s: float,
) -> Simulation:
    ok, sent = served.first_token_s.size, arrivals.arrival_s.size
    span_s = float(served.last_token_s.max() - arrivals.arrival_s[0]) if ok else 0.0

    def per_s(amount: float) -> float:
        return amount / span_s if span_s > 0 else 0.0

    has_level = slo.ttft_p95_s is not None or slo.tpot_p95_s is not None
    # Refused requests take none of the engine's time.
    demanded_per_s = (offered_per_s or 0.0) * ok / sent
    is_saturated = ok > 0 and demanded_per_s > capacity_per_s
    latencies = _latencies(served, slo)
    wall_s = time.perf_counter() - start_s
    return Simulation(
        offered_requests_per_s=offered_per_s,
        achieved_requests_per_s=per_s(ok),
        requests=RequestCounts(sent=sent, ok=ok, failed=served.too_long),
        errors={"too_long": served.too_long} if served.too_long else {},
        input_tokens_per_s=per_s(float(served.arrivals.prompt_tokens.sum())),
        output_tokens_per_s=per_s(float(served.arrivals.output_tokens.sum())),
        ttft_s=latencies.ttft_s,
        itl_s=latencies.itl_s,
        tpot_s=latencies.tpot_s,
        e2e_s=latencies.e2e_s,
        queue_s=latencies.queue_s,
        goodput_requests_per_s=per_s(latencies.good) if has_level else None,
        goodput_fraction=latencies.good / sent if has_level else None,
        is_steady=False if is_saturated or latencies.is_behind else is_steady(latencies.seen),
        is_saturated=is_saturated,
        warnings=_warnings(profile, served, latencies.seen, is_saturated, demanded_per_s, capacity_per_s),
        basis=profile.basis,
        replicas=replicas,
        utilization_fraction=served.utilization_fraction,
        capacity_requests_per_s=capacity_per_s,
        kv_peak_fraction=served.kv_peak_fraction,
        preemptions=served.preemptions,
        routing=served.routing,
        method=served.method,
        wall_s=wall_s,
        simulated_requests_per_wall_s=sent / wall_s if wall_s > 0 else 0.0,
    )


def _gap_statistics(served: Served) -> Statistics:
    """Gaps between tokens: the mean exactly, percentiles from counts by length."""
    gaps: Ints = served.gaps
    if not gaps.any():
        return Statistics(n=0)
    count = int(gaps.sum())
    total_s = float((served.last_token_s - served.first_token_s).sum())
    p50, p90, p95, p99 = (float(x) for x in gap_quantiles_s(gaps, np.array([0.5, 0.9, 0.95, 0.99])))
    return Statistics(n=count, mean=total_s / count, p50=p50, p90=p90, p95=p95, p99=p99)


def parse_routing(text: str) -> Routing:
    """The routing of a name.

    Raises:
        UsageError: there is none.
    """
    for routing in ROUTINGS:
        if routing == text:
            return routing
    raise UsageError(f"--routing: must be one of {', '.join(ROUTINGS)}; given: {text}")


def _warnings(
    profile: Profile,
    served: Served,
    seen: Mapping[str, Drift],
    is_saturated: bool,
    demanded_per_s: float,
    capacity_per_s: float,
) -> list[str]:
    told = unmeasured(profile)
    found = [] if told is None else [f"the profile is {told}"]
    if is_saturated:
        found.append(
            f"{demanded_per_s:.4g} requests/s are offered and {capacity_per_s:.4g} can be served: the queue grows "
            "without end, and every latency here depends on how long the load lasts"
        )
    elif is_steady(seen) is False:
        found.append(unsteady(seen))
    if served.too_long:
        found.append(
            f"{served.too_long:,} requests are longer than the model ({profile.limits.max_model_len:,} tokens) or the "
            f"memory ({profile.limits.kv_cache_tokens:,}) and were refused"
        )
    if served.preemptions:
        found.append(f"memory ran out: {served.preemptions:,} times a request was preempted and computed again")
    return found
