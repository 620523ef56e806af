"""What a server and its GPUs said of themselves during a load point: figures of `planner.run/1`, and the series."""

from typing import Annotated, Literal

from pydantic import Field

from planner.schema.base import FileModel, Fraction, NonNegative

Count = Annotated[int, Field(ge=0)]
Bucket = Annotated[tuple[NonNegative, NonNegative | None], Field(strict=False)] | None
"""Edges, of which an upper one of null is infinite; JSON has no tuples."""


class Level(FileModel):
    """Something that goes up and down."""

    mean: NonNegative
    """Over time, in straight lines between the looks at it."""
    max: NonNegative
    """The largest that was seen; between two looks it may have been larger."""


class BucketedTime(FileModel):
    """A time as the server's own histogram has it: a quantile is known to lie in a bucket, and nowhere in it."""

    n: Count
    """How many values."""
    mean: NonNegative
    """Arithmetic mean [s]: of the histogram's sum, and exact."""
    p50: Bucket = None
    """Edges of the bucket [s]."""
    p90: Bucket = None
    p95: Bucket = None
    p99: Bucket = None


class CrossCheck(FileModel):
    """A count by the server, and by its answers. They agree where `server` lies from `client` to `client_most`."""

    server: Count
    """By its counters, from before the first request, of the warm-up too, until after the last one."""
    client: Count
    """By the answers that came whole over the same time, of the warm-up too."""
    client_most: Count
    """With all that requests that failed, were cut off, or told no usage can have caused; the same where there were
    none."""

    @property
    def is_equal(self) -> bool:
        """Whether they agree."""
        return self.client <= self.server <= self.client_most


class GpuFigures(FileModel):
    """One GPU over the time of the figures; null for what its driver does not tell."""

    index: Count
    """As nvidia-smi numbers them."""
    name: str
    power_w: Level | None = None
    """That it draws [W]: the mean is the energy over the time."""
    energy_j: NonNegative | None = None
    """That it drew in all [J]."""
    energy_by: Literal["counter", "power"] | None = None
    """counter: the GPU's own energy counter; power: the sampled power, summed up."""
    utilization_fraction: Level | None = None
    """Share of the time in which something ran on it, however little."""
    memory_used_bytes: Level | None = None
    memory_bytes: Count | None = None
    """That it has."""
    sm_clock_hz: Level | None = None
    """Of its processors [Hz]."""
    memory_clock_hz: Level | None = None
    temperature_c: Level | None = None
    throttled_by: list[str] | None = None
    """Everything that was seen to keep its clocks down."""


class ServerFigures(FileModel):
    """The server's side of a load point; null for what it does not tell.

    All are of the time from the first request sent, of the warm-up too, to the last that ended.
    """

    from_s: float
    """When the first request was sent, since the first scheduled send that counts [s]; negative with a warm-up."""
    until_s: float
    """When the last request ended [s]."""
    pages: Count = 0
    """How often its /metrics were read meanwhile."""
    pages_missed: Count = 0
    """How often they did not come, or not within five seconds."""
    running: Level | None = None
    """Requests being served, over all engines."""
    waiting: Level | None = None
    """Requests in the queue, over all engines."""
    kv_used_fraction: Level | None = None
    """Share of the KV cache in use, of the engine that uses most."""
    preemptions: Count | None = None
    """Requests that had to give their memory back."""
    prefix_cache_hit_fraction: Fraction | None = None
    """Prompt tokens found in the prefix cache, of those looked for in it."""
    requests: CrossCheck | None = None
    """Requests that ended whole."""
    prompt_tokens: CrossCheck | None = None
    output_tokens: CrossCheck | None = None
    ttft_s: BucketedTime | None = None
    """Time to first token, from when the server had the request [s]."""
    itl_s: BucketedTime | None = None
    """Between successive tokens of a request, as the server made them [s]."""
    e2e_s: BucketedTime | None = None
    """From when the server had the request to its last token [s]."""
    queue_s: BucketedTime | None = None
    """From joining the queue to the first step that serves the request [s]."""
    gpus: list[GpuFigures] = []
    """Those that were looked at; empty where they are on another machine."""
    power_w: NonNegative | None = None
    """Mean of all of them together [W]."""
    energy_j: NonNegative | None = None
    """Of all of them together [J]."""
    energy_per_output_token_j: NonNegative | None = None
    """The same over the output tokens of that time, as the server counted them, else as its answers tell [J/token]."""


class ServerState(FileModel):
    """What a page of /metrics said; counts since the server started, for anybody; null for what it does not have."""

    running: NonNegative | None = None
    waiting: NonNegative | None = None
    kv_used_fraction: NonNegative | None = None
    requests: NonNegative | None = None
    prompt_tokens: NonNegative | None = None
    output_tokens: NonNegative | None = None
    preemptions: NonNegative | None = None
    prefix_cache_queries_tokens: NonNegative | None = None
    prefix_cache_hits_tokens: NonNegative | None = None


class GpuState(FileModel):
    """What a GPU said; null for what it does not tell."""

    index: Count
    power_w: NonNegative | None = None
    energy_j: NonNegative | None = None
    """Since its driver was loaded [J]."""
    utilization_fraction: Fraction | None = None
    memory_used_bytes: NonNegative | None = None
    sm_clock_hz: NonNegative | None = None
    memory_clock_hz: NonNegative | None = None
    temperature_c: float | None = None
    throttled_by: list[str] | None = None


class ServerSample(FileModel):
    """A line of a run's file of the server's side: a page of /metrics, or a look at the GPUs."""

    time_s: float
    """Since the first scheduled send of the point that counts, as the times of its requests [s]."""
    server: ServerState | None = None
    gpus: list[GpuState] = []
