"""`planner.run/1`: a load test. What was asked, of which server, and what each load point showed."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from planner.schema.base import FileModel, Fraction, Name, NonNegative, Positive, RuledFileModel
from planner.schema.profile import Accelerator, Engine, Model, Tokens
from planner.schema.scenario import Slo
from planner.schema.sweep import SweepResult
from planner.schema.telemetry import ServerFigures
from planner.schema.workload import WorkloadSpec

Count = Annotated[int, Field(ge=0)]
Arrival = Literal["poisson", "constant", "gamma", "onoff", "closed", "trace"]


Interval = Annotated[tuple[NonNegative, NonNegative], Field(strict=False)] | None  # JSON has no tuples


class Statistics(FileModel):
    """A time measured over requests, or over gaps between tokens; null where there is none to measure.

    An interval is null where it is not estimable, since the sample is too small for one. Those of means are by batches
    of neighbouring requests; those of percentiles of order statistics; those of gaps between tokens count requests, and
    not gaps, as independent. Where neighbours are alike, percentiles have the intervals of the fewer independent
    requests that these are worth.
    """

    n: Count | None = None
    """How many values; null where that was not kept."""
    mean: NonNegative | None = None
    """Arithmetic mean [s]."""
    ci95_mean: Interval = None
    """95 % confidence interval of the mean [s]; null for gaps."""
    p50: NonNegative | None = None
    p90: NonNegative | None = None
    p95: NonNegative | None = None
    p99: NonNegative | None = None
    ci95_p50: Interval = None
    """95 % confidence interval of p50 [s]."""
    ci95_p90: Interval = None
    """95 % confidence interval of p90 [s]."""
    ci95_p95: Interval = None
    """95 % confidence interval of p95 [s]."""
    ci95_p99: Interval = None
    """95 % confidence interval of p99 [s]."""


class RequestCounts(RuledFileModel):
    """What became of the requests; sent = ok + failed + cancelled."""

    sent: Count
    ok: Count
    failed: Count
    cancelled: Count = 0

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Every request is accounted for."""
        parts = [data.get(key, 0) for key in ("ok", "failed", "cancelled")]
        if all(isinstance(part, int) for part in [*parts, data.get("sent")]) and sum(parts) != data["sent"]:
            yield "sent", "must be ok + failed + cancelled"


class ClientHealth(FileModel):
    """Whether the load generator itself kept up.

    It did not where it used more than 95 % of a core, where it could open no further connection, or where the 99th
    percentile of its lag or of its loop lag is more than 25 ms and more than a tenth of the median TTFT, or that of its
    loop lag more than 25 ms and more than the median ITL.
    """

    lag_p99_s: NonNegative | None = None
    """99th percentile of how late requests were sent, against their schedule [s]; null in a closed loop."""
    loop_lag_p99_s: NonNegative | None = None
    """99th percentile of how late the client's own timer ran, every 10 ms, so that it read what came in as late [s];
    from the first counted request on, until half of those under way when the last was sent had ended."""
    cpu_fraction: NonNegative | None = None
    """Processor time of the client over the same time; 1 is one core. Of several processes, the busiest one's."""
    is_saturated: bool = False
    """Whether the client, not the server, was the bottleneck: the point must not be trusted."""


class ArrivalFigures(FileModel):
    """How requests went out, and where chance leaves the figures of such a process in 95 of 100 runs."""

    requests_per_s: NonNegative | None
    """Requests sent after the first, over the time from the first to the last [requests/s]; null below two."""
    cv: NonNegative | None
    """Coefficient of variation of the gaps between them: 1 for Poisson, 0 for constant; null below three requests."""
    ci95_requests_per_s: Interval = None
    """Where 95 of 100 realised rates of the scheduled process lie [requests/s]; null where chance has no part in it,
    and for a closed loop or a trace, whose process nobody knows."""
    ci95_cv: Interval = None
    """Likewise of the coefficient of variation."""


class Settling(FileModel):
    """Requests that a load began with, and that do not belong to the rest: they are counted, and in no other figure.

    They are those that MSER-5 cuts off TTFT or TPOT, where their mean differs from that of the rest by more than a
    tenth and by more than chance. Those of the warm-up that was asked for come on top.
    """

    requests: Annotated[int, Field(ge=1)]
    """How many, in the order in which they were due."""
    time_s: NonNegative
    """From the first of them to the first request that counts [s]."""


class LoadPoint(FileModel):
    """One load, and how it was served; from a load test or from the simulator. Latencies are of whole answers."""

    offered_requests_per_s: NonNegative | None
    """Scheduled rate [requests/s]; null in a closed loop."""
    concurrency: Annotated[int, Field(ge=1)] | None = None
    """Users that each wait for their answer before they ask again; null in an open loop."""
    achieved_requests_per_s: NonNegative
    """Finished requests over the time from when the first that counts was due to the last completion [requests/s]."""
    ci95_achieved_requests_per_s: Interval = None
    """95 % confidence interval of it, by batches of requests [requests/s]; null where there are too few."""
    arrivals: ArrivalFigures | None = None
    """Rate, and coefficient of variation (CV) of the gaps, with which requests went out in fact [requests/s]."""
    requests: RequestCounts
    errors: dict[str, Count] = {}
    """Failed requests by kind."""
    settling: Settling | None = None
    """What the load began with until the server had settled, in no figure but the counts; null where nothing stood
    out."""
    input_tokens_per_s: NonNegative
    """Prompt tokens of the finished requests, as the server counted them, over the same time [tokens/s]."""
    output_tokens_per_s: NonNegative
    """Output tokens of the finished requests, as the server counted them, over the same time [tokens/s]."""
    ci95_output_tokens_per_s: Interval = None
    """95 % confidence interval of it, likewise [tokens/s]."""
    busy_output_tokens_per_s: NonNegative | None = None
    """Of a closed loop: output tokens that came while all users waited, from when half of them had their first answer
    until the last request was sent, over that time [tokens/s]; null where that is less than a quarter of the load."""
    ttft_s: Statistics
    """Time to first token: from when the request was due (closed loop: sent) to its first chunk with output [s]."""
    itl_s: Statistics
    """Inter-token latency: every gap between successive chunks with output of a request, pooled [s]."""
    tpot_s: Statistics
    """Time per output token: (last − first token) / (output tokens − 1), by request [s]."""
    e2e_s: Statistics
    """End to end: from when the request was due (closed loop: sent) to its last token [s]."""
    lag_s: Statistics = Statistics()
    """From when the request was due to when it was sent: the client's own delay, part of TTFT and E2E [s]."""
    goodput_requests_per_s: NonNegative | None = None
    """Requests that met the service level, each by its own TTFT and TPOT, over the same time [requests/s]."""
    goodput_fraction: Fraction | None = None
    """Share of the requests sent that met the service level; failed ones did not."""
    ci95_goodput_fraction: Interval = None
    """95 % confidence interval of it: Wilson's, of as many independent requests as there might be."""
    tokens_per_chunk: NonNegative | None = None
    """Output tokens, as the server counted them, over chunks with output; null where it counted none."""
    cached_input_fraction: Fraction | None = None
    """Share of the prompt tokens that the server took from its prefix cache; null where it does not say."""
    other_models: dict[str, Count] = {}
    """Answers by other models than the one asked, by their names."""
    client: ClientHealth | None = None
    server: ServerFigures | None = None
    """The same load as the server and its GPUs tell of it, its warm-up included."""
    is_steady: bool | None = None
    """Whether neither TTFT nor TPOT nor the pace of requests changed by more than a tenth and by more than chance from
    start to end, and no backlog grew; null where a doubling of latencies might have been missed: below 50 requests,
    before those in flight were replaced ten times, or with latencies that vary too much."""
    is_saturated: bool = False
    """Whether more was offered than the server could do."""
    is_lower_bound: bool = False
    """Whether requests timed out or were cut off, which may have been the slowest: percentiles are lower bounds."""
    doubts: list[str] = []
    """Why the point must not be trusted, where its figures do not show it: the server was restarted, say."""
    warnings: list[str] = []


class Workload(FileModel):
    """What the requests were."""

    endpoint: Literal["chat", "completions"]
    input_tokens: str
    """As asked: a number, or a spread such as lognormal:p50=900,p95=3200."""
    output_tokens: str
    arrival: Arrival
    burstiness: NonNegative = 1.0
    """Squared coefficient of variation of the gaps, for arrival: gamma."""
    rate: str | None = None
    """As asked: one rate, those of a sweep, a ramp, or stages with their seconds; null where none was."""
    bursts: str | None = None
    """For arrival: onoff, as asked."""
    think_time_s: str | None = None
    """How long users think before they ask, as asked; null where they do not."""
    trace_speed: Positive = 1.0
    """How many times as fast as it was a trace was replayed."""
    requests: Count | None = None
    """Of each load; null where a time ended it."""
    duration_s: Positive | None = None
    """Of each load [s]; null where a number of requests ended it."""
    file: WorkloadSpec | None = None
    """What requests were made of, where a file said it."""
    file_sha256: dict[str, str] = {}
    """Of the files that it names."""
    seed: Count = 0
    """With the place of a load in the run, from 0, what its schedule was drawn from."""
    warmup_s: NonNegative = 0.0


class KnownLimits(FileModel):
    """What is known of the scheduler and memory of a server; null where nobody said."""

    max_num_seqs: Tokens | None = None
    max_num_batched_tokens: Tokens | None = None
    kv_cache_tokens: Tokens | None = None
    block_tokens: Tokens | None = None
    max_model_len: Tokens | None = None


class Server(FileModel):
    """The server that was measured."""

    url: str
    model: Model
    engine: Engine
    accelerator: Accelerator | None = None
    limits: KnownLimits = KnownLimits()
    start_up_s: Positive | None = None
    """From start to healthy [s]; null where the server was there before."""


class Client(FileModel):
    """The machine and software that measured."""

    planner_version: str
    python_version: str
    platform: str
    """Operating system and processor, as Python names them."""
    cpu_count: Annotated[int, Field(ge=1)]


class RunPoint(FileModel):
    """A load point of a run, and the file that holds its requests."""

    requests_file: Name
    """JSON lines, one per request; relative to the run directory."""
    metrics: LoadPoint
    server_file: Name | None = None
    """JSON lines of what was seen of the server and its GPUs meanwhile; null where there is none."""
    key: str | None = None
    """Hash of what was asked of whom: the same key is the same point. Null in runs from before keys were kept."""
    requests_sent: Count | None = None
    """With those of the warm-up; null likewise."""
    is_cut: bool = False
    """Whether it was ended by an interruption, a storm of failures, or since the time of its sweep was over: measured
    again where the run goes on."""
    prompt_salt: Count | None = None
    """With the seed and the place of the point, what its prompts were drawn from: another one for every run, so that
    no prefix cache knows them."""


class ImportedFile(FileModel):
    """A result file of another load-test tool that load points were read from."""

    tool: Name
    """As its users call it: vllm bench serve, guidellm, aiperf or inference-perf."""
    version: str | None = None
    """Of the tool; null where the file does not tell."""
    file: str
    """Its name, without the folder."""
    sha256: str
    points: Annotated[int, Field(ge=1)]
    """How many load points of the run are from it: the first file's come first."""
    not_told: list[str] = []
    """What the tool does not keep, and which of our figures are null or counted otherwise for it, in plain words."""


class CutPoint(FileModel):
    """What was sent for a load point that was cut off, and then measured again; it is in no figure."""

    requests_file: Name
    """The answers that there were, as in RunPoint."""
    requests_sent: Count
    """Answered or not; where the process was killed, at most so many."""


class PromptCalibration(FileModel):
    """How many tokens prompts have on the server, as was found out before the first load point."""

    tokens_per_word: Positive
    fixed_tokens: NonNegative
    warning: str = ""
    """Where it could not be found out, or only on average, and why."""
    requests_sent: Count = 0
    """Short requests for it, where the server has no better way to count."""
    word_tokens: list[Count] = []
    """Of each word that prompts are made of; 0 for one that is left out, empty where prompts are long as asked only on
    average."""
    added_tokens: float = 0.0
    """What parameters of requests, tools most of all, add to a prompt [tokens]."""


class Run(FileModel):
    """A load test: `run.json` of a run directory."""

    schema_: Literal["planner.run/1"] = Field(alias="schema")
    name: Name
    basis: Literal["measured", "emulated"]
    """emulated: the server, or whoever imported the run, said that it only keeps the timing of a profile."""
    started_at: str
    """ISO 8601, with zone; of an imported run as the tool wrote it, empty where it did not."""
    definitions: dict[str, str] = {}
    """What each metric of the load points means, with its unit."""
    status: Literal["running", "complete", "interrupted", "failed"]
    server: Server
    client: Client | None
    """Null in an imported run: the machine that measured is not told."""
    workload: Workload | None
    """Null in an imported run, whose load points tell the load of each."""
    slo: Slo = Slo()
    points: list[RunPoint] = []
    sweep: SweepResult | None = None
    """What a sweep found that chose its loads itself; null where there was none."""
    warnings: list[str] = []
    command: dict[str, Any] | None = None
    """The options as given, to go on with the run; of secrets only the names of the variables that hold them."""
    calibration: PromptCalibration | None = None
    idle_power_w: NonNegative | None = None
    """Mean of the GPUs that were looked at, together, before the first load point, with the model in their memory [W];
    null where none was."""
    key_under_way: str | None = None
    """Of the load point that is being measured, or was when the run was cut off; null between points."""
    cut_points: list[CutPoint] = []
    """Load points that were cut off and measured again."""
    resumed_at: list[str] = []
    """ISO 8601, with zone: when the run was gone on with."""
    requests_sent_in_all: Count | None = None
    """Requests for answers: of load points with their warm-ups, of points that were cut off, and for calibration."""
    imported_from: list[ImportedFile] = []
    """The result files of another tool that the run was made of; empty where planner measured it."""


class RequestRecord(FileModel):
    """One request: a line of a run's requests file. Times in seconds since the first scheduled send of its point."""

    index: Count
    is_warmup: bool = False
    """Sent to bring the server into its stride: part of its load, counted in no figure."""
    due_s: float
    """When it was scheduled; in a closed loop, and where an imported file does not tell, when it was sent. Negative in
    the warm-up."""
    sent_s: float | None
    """When it was sent; null where it never was."""
    first_token_s: float | None = None
    finished_s: float | None = None
    """When the answer ended, or failed."""
    asked_input_tokens: Count | None
    """Null where an imported file does not tell."""
    asked_output_tokens: Count | None
    """Likewise."""
    input_tokens: Count | None = None
    """As the server counted them (`usage`); null where it did not."""
    output_tokens: Count | None = None
    cached_input_tokens: Count | None = None
    """Of input_tokens, those that the server had in its prefix cache; null where it does not say."""
    reasoning_tokens: Count | None = None
    """Of output_tokens, those that are thought and not shown; null where it does not say."""
    model: str | None = None
    """That answered, as the server names it; null where it is the one asked, or the server does not say."""
    asked_model: str | None = None
    """Where the workload asks several in turn; null for the one that the run measures."""
    outcome: str
    """ok, cancelled, or the kind of the failure."""
    message: str = ""
    """What the server or the connection said about a failure, shortened."""
    gaps_s: list[NonNegative] | None = []
    """Time between successive chunks with content [s]; null where an imported file does not keep them, and the last
    token came at finished_s."""


def definitions() -> dict[str, str]:
    """What each metric of a load point means, in one sentence with its unit: the text of the schema.

    Example:
        >>> definitions()["tpot_s"]
        'Time per output token: (last − first token) / (output tokens − 1), by request [s].'
    """
    return {
        name: " ".join(field.description.split())
        for name, field in LoadPoint.model_fields.items()
        if field.description is not None
    }
