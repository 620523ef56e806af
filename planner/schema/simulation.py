"""What the simulator says of a load."""

from typing import Annotated, Literal

from pydantic import Field

from planner.schema.base import Fraction, NonNegative
from planner.schema.benchmark import Count, LoadPoint, Statistics


class Simulation(LoadPoint):
    """What the simulator says of a load: a load point, and what only a simulator sees."""

    basis: Literal["measured", "estimated", "emulated"]
    """Of the profile."""
    replicas: Annotated[int, Field(ge=1)]
    queue_s: Statistics
    """From joining the queue to the first step that serves the request [s]."""
    utilization_fraction: Annotated[float, Field(ge=0)]
    """Share of the replicas' time spent in steps."""
    capacity_requests_per_s: NonNegative
    """What the replicas finish while their queues never empty [requests/s]."""
    kv_peak_fraction: Fraction
    """Largest share of a replica's KV cache that was ever held."""
    preemptions: Count
    routing: Literal["least-outstanding", "round-robin"]
    """Where each request went: to the replica with the fewest outstanding, or to the next one."""
    method: Literal["jump", "stepper"]
    """jump: over steps that are alike; stepper: every step, where a replica had use for over 90 % of its KV cache."""
    wall_s: NonNegative
    """Simulation and metrics, without start-up, compilation and drawing the arrivals [s]."""
    simulated_requests_per_wall_s: NonNegative
