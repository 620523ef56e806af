"""The options that measure the loads of one run on another server."""

from collections.abc import Sequence

from planner.schema.benchmark import Workload
from planner.workflows.arrival_options import has_own_length, is_ramp
from planner.workflows.comparison.same_loads import Load


def loads_to_measure(loads: Sequence[Load], workload: Workload | None) -> str:
    """A command with the lists of loads; empty where they cannot be listed, as ramps and traces.

    Args:
        loads: of the run.
        workload: what was asked for; None where that is not told.
    """
    if workload is not None and (
        workload.arrival == "trace" or is_ramp(workload.rate) or has_own_length(workload.rate)
    ):
        return ""
    users = sorted({load.users for load in loads if load.users is not None})
    rates = sorted({load.requests_per_s for load in loads if load.users is None and load.requests_per_s})
    options = [
        "--concurrency " + ",".join(map(str, users)) if users else "",
        "--rate " + ",".join(f"{rate:.6g}" for rate in rates) if rates else "",
    ]
    given = [option for option in options if option]
    if given and workload is not None:
        given += [f"--requests {workload.requests}"] if workload.requests is not None else []
        given += [f"--duration-s {workload.duration_s:.6g}"] if workload.duration_s is not None else []
        given += [f"--warmup-s {workload.warmup_s:.6g}"] if workload.warmup_s else []
    return " ".join(["planner bench --sweep", *given]) if given else ""
