"""The options of `planner bench`: read, held against each other, and every mistake told at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import TypeVar, cast, get_args

from planner.core.arrivals import MOST_ARRIVALS, Stream
from planner.core.bursts import OnOff
from planner.core.lengths import Apart, Lengths
from planner.core.rates import Rate
from planner.core.think import ThinkTime
from planner.engines.openai_http import EndpointKind
from planner.engines.target import Target, target_of
from planner.errors import UsageError
from planner.loadtest.fleet import MOST_PROCESSES
from planner.loadtest.schedule import Extent
from planner.schema.benchmark import Arrival, KnownLimits
from planner.schema.profile import Accelerator
from planner.schema.scenario import Slo
from planner.store.runs import refuse_to_mix
from planner.workflows.arrival_options import (
    RATE_ALLOWED,
    arrival_misfits,
    has_own_length,
    is_ramp,
    length_misfits,
    parse_bursts,
    parse_rate,
    parse_think_time,
    speed_misfits,
    stream_of,
)
from planner.workflows.bench.gpu_choice import refuse_no_list
from planner.workflows.server_options import parse_accelerator, parse_limits
from planner.workflows.workload import not_above_0, parse_lengths, parse_slo

T = TypeVar("T")

DEFAULT_DURATION_S = 30.0
DEFAULT_INPUT, DEFAULT_OUTPUT = "512", "128"
DEFAULT_ENDPOINT = "chat"
DEFAULT_BUDGET_S = 600.0
_POINTS, _POINTS_WITH_SLO = 14, 22
"""About as many loads does a sweep take that finds them itself."""
_MEASURED_SHARE, _WARMUP_SHARE = 0.8, 0.1
"""Of the time for each; the rest is for answers still under way at its end."""
_SECRET_ARGS = {"--api-key": "VLLM_API_KEY", "--hf-token": "HF_TOKEN"}
"""Of vLLM: what holds a secret, and the variable that vLLM reads it from as well."""
_MOST_POINTS, _MOST_USERS = 100, 100_000


@dataclass(frozen=True)
class BenchOptions:
    """What the command line says; None where an option is not given.

    With `resume`, the folder of a run to go on with, only url, headers and time_budget_s are looked at.
    """

    url: str | None = None
    serve: str | None = None
    vllm_args: tuple[str, ...] = ()
    model: str | None = None
    endpoint: str | None = None
    headers: tuple[str, ...] = field(default=(), repr=False)
    input_tokens: str | None = None
    output_tokens: str | None = None
    workload: Path | None = None
    arrival: str | None = None
    rate: str | None = None
    concurrency: str | None = None
    think_time_s: str | None = None
    trace: Path | None = None
    trace_speed: float | None = None
    burstiness: float | None = None
    bursts: str | None = None
    requests: int | None = None
    duration_s: float | None = None
    warmup_s: float | None = None
    sweep: bool = False
    time_budget_s: float | None = None
    slo: str | None = None
    limits: str | None = None
    accelerator: str | None = None
    gpus: str | None = None
    shared_server: bool = False
    processes: int = 1
    timeout_s: float = 600.0
    ttft_timeout_s: float | None = None
    idle_timeout_s: float = 120.0
    max_error_fraction: float = 0.05
    out: Path | None = None
    seed: int = 0
    resume: Path | None = None


@dataclass(frozen=True)
class BenchPlan:
    """The same, read.

    Attributes:
        options: as given.
        target: the server; None where one is to be started.
        endpoint: of its API.
        arrival: of the open-loop points; closed where there are none.
        lengths: of requests, but where a trace or a workload holds them.
        bursts: of the open-loop points.
        rates: of the open-loop points.
        users: of the closed-loop points.
        think: of the users.
        extent: of each point; where a trace is replayed, how much of it.
        slo: for goodput.
        limits: what the user knows of the server.
        accelerator: likewise.
    """

    options: BenchOptions
    target: Target | None
    endpoint: EndpointKind
    arrival: Arrival
    lengths: Apart
    bursts: OnOff | None
    rates: tuple[Rate, ...]
    users: tuple[int, ...]
    think: ThinkTime | None
    extent: Extent
    slo: Slo
    limits: KnownLimits
    accelerator: Accelerator | None

    @property
    def stream(self) -> Stream:
        """Of the open-loop points."""
        return stream_of(self.arrival, self.options.burstiness, self.bursts)

    @property
    def finds_loads(self) -> bool:
        """A sweep that chooses its loads itself."""
        return finds_loads(self.options)

    @property
    def time_budget_s(self) -> float:
        """Of such a sweep [s]."""
        return DEFAULT_BUDGET_S if self.options.time_budget_s is None else self.options.time_budget_s


def read_options(options: BenchOptions, environment: Mapping[str, str]) -> BenchPlan:
    """Reads the options.

    Args:
        options: as given.
        environment: where the values of headers are.

    Raises:
        UsageError: every mistake, with what is allowed.
    """
    mistakes = [*_misfits(options), *_out_of_range(options)]

    def read(reader: Callable[[], T], instead: T) -> T:
        try:
            return reader()
        except UsageError as error:
            mistakes.append(str(error))
            return instead

    arrival = _arrival(options)
    if options.out is not None:
        read(lambda: refuse_to_mix(options.out or Path()), None)
    read(lambda: refuse_no_list(options.gpus), None)
    extent = extent_of(options)
    duration_s = extent.duration_s
    rates: tuple[Rate, ...] = read(lambda: _rates(options, duration_s), ())
    if rates and has_own_length(options.rate):
        extent = replace(extent, duration_s=rates[0].end_s)
    plan = BenchPlan(
        options=options,
        target=read(lambda: _target(options, environment), None),
        endpoint=cast(EndpointKind, options.endpoint or DEFAULT_ENDPOINT),
        arrival=arrival,
        lengths=Apart(
            read(lambda: parse_lengths("--input-tokens", options.input_tokens or DEFAULT_INPUT), Lengths(1)),
            read(lambda: parse_lengths("--output-tokens", options.output_tokens or DEFAULT_OUTPUT), Lengths(1)),
        ),
        bursts=read(lambda: None if options.bursts is None else parse_bursts(options.bursts), None),
        rates=rates,
        users=read(lambda: _users(options), ()),
        think=read(lambda: None if options.think_time_s is None else parse_think_time(options.think_time_s), None),
        extent=extent,
        slo=read(lambda: parse_slo("--slo", options.slo), Slo()),
        limits=read(lambda: parse_limits(options.limits), KnownLimits()),
        accelerator=read(lambda: parse_accelerator(options.accelerator), None),
    )
    if plan.finds_loads and extent.warmup_s + (extent.duration_s or 0.0) > plan.time_budget_s:
        mistakes.append(f"--time-budget-s: must have room for one load; given: {plan.time_budget_s:g}")
    if len(plan.rates) + len(plan.users) > _MOST_POINTS:
        mistakes.append(f"--sweep: {_MOST_POINTS} loads are the most")
    mistakes += _too_many(plan)
    if mistakes:
        raise UsageError("\n".join(mistakes))
    return plan


def finds_loads(options: BenchOptions) -> bool:
    """Whether a sweep is asked for that chooses its loads itself."""
    return options.sweep and options.rate is None and options.concurrency is None


def extent_of(options: BenchOptions) -> Extent:
    """How long each load is: as asked, or such that a sweep that finds its loads itself gets to its end in time."""
    warmup_s = options.warmup_s or 0.0
    if options.requests is not None or options.duration_s is not None or _arrival(options) == "trace":
        return Extent(options.requests, options.duration_s, warmup_s)
    if not finds_loads(options):
        return Extent(None, DEFAULT_DURATION_S, warmup_s)
    loads = _POINTS if options.slo is None else _POINTS_WITH_SLO
    each_s = (DEFAULT_BUDGET_S if options.time_budget_s is None else options.time_budget_s) / loads
    return Extent(None, _MEASURED_SHARE * each_s, _WARMUP_SHARE * each_s if options.warmup_s is None else warmup_s)


def _too_many(plan: BenchPlan) -> Iterator[str]:
    """Loads of more requests than can be drawn."""
    if (plan.extent.requests or 0) > MOST_ARRIVALS:
        yield f"--requests: must be at most {MOST_ARRIVALS:,}; given: {plan.extent.requests}"
    most, duration_s = MOST_ARRIVALS // 2, plan.extent.duration_s
    if duration_s is not None and any(rate.count(duration_s) > most for rate in plan.rates):
        yield f"--rate for --duration-s: must be at most {most:,} requests on average"
    if any(rate.first_per_s * plan.extent.warmup_s > most for rate in plan.rates):
        yield f"--rate for --warmup-s: must be at most {most:,} requests on average"


def _misfits(options: BenchOptions) -> Iterator[str]:
    """Options that are missing, or do not go together."""
    if (options.url is None) == (options.serve is None):
        yield "--url, --serve: one of them"
    for name, variable in _SECRET_ARGS.items():
        if any(argument.partition("=")[0] == name for argument in options.vllm_args):
            yield f"arguments after --: {name} would be written into the run; set {variable} in the environment instead"
    if options.serve is None and options.vllm_args:
        yield "arguments after --: only with --serve MODEL; they go to vLLM"
    if options.serve is not None and options.headers:
        yield "--header: only with --url"
    if options.endpoint not in (None, *get_args(EndpointKind)):
        yield f"--endpoint: must be one of {', '.join(get_args(EndpointKind))}; given: {options.endpoint}"
    if options.arrival is not None and options.arrival not in get_args(Arrival):
        yield f"--arrival: must be one of {', '.join(get_args(Arrival))}; given: {options.arrival}"
    if options.workload is not None:
        others = {
            "--input-tokens": options.input_tokens,
            "--output-tokens": options.output_tokens,
            "--trace": options.trace,
        }
        yield from (f"{name}: not with --workload, which has its own lengths" for name in others if others[name])
    if options.time_budget_s is not None and not finds_loads(options):
        yield "--time-budget-s: only with --sweep that finds its loads itself, without --rate and --concurrency"
    arrival = _arrival(options)
    yield from arrival_misfits(arrival, options.burstiness, options.bursts)
    yield from length_misfits(options.rate, options.requests, options.duration_s)
    yield from speed_misfits(options.trace_speed, arrival == "trace")
    has_users = arrival == "closed" or (options.sweep and (options.concurrency is not None or options.rate is None))
    if options.think_time_s is not None and not has_users:
        yield "--think-time-s: only with --concurrency, whose users think"
    yield from _misfit_loads(options, arrival)


def _misfit_loads(options: BenchOptions, arrival: Arrival) -> Iterator[str]:
    loads = {"--rate": options.rate, "--concurrency": options.concurrency, "--trace": options.trace}
    if options.sweep:
        if arrival == "trace" or options.trace is not None:
            yield "--trace: not with --sweep"
        if options.arrival == "closed" and options.rate is not None:
            yield "--rate: not used with --arrival closed"
        return
    wanted = {"closed": "--concurrency", "trace": "--trace"}.get(arrival, "--rate")
    if loads[wanted] is None:
        yield f"{wanted}: is missing" + (f", and --arrival {arrival} needs it" if options.arrival else "; or --sweep")
    unused = [name for name, value in loads.items() if name != wanted and value is not None]
    if arrival == "trace":
        lengths = {"--input-tokens": options.input_tokens, "--output-tokens": options.output_tokens}
        unused += [name for name, value in lengths.items() if value is not None]
    yield from (f"{name}: not used with --arrival {arrival}" for name in unused)


def _out_of_range(options: BenchOptions) -> Iterator[str]:
    yield from not_above_0(
        {
            "--burstiness": options.burstiness,
            "--duration-s": options.duration_s,
            "--time-budget-s": options.time_budget_s,
            "--timeout-s": options.timeout_s,
            "--ttft-timeout-s": options.ttft_timeout_s,
            "--idle-timeout-s": options.idle_timeout_s,
        }
    )
    if options.warmup_s is not None and not 0 <= options.warmup_s < inf:
        yield f"--warmup-s: must be at least 0; given: {options.warmup_s:g}"
    if not 0 <= options.max_error_fraction <= 1:
        yield f"--max-error-fraction: must lie between 0 and 1; given: {options.max_error_fraction:g}"
    if not 1 <= options.processes <= MOST_PROCESSES:
        yield f"--processes: must lie between 1 and {MOST_PROCESSES}; given: {options.processes}"
    if options.seed < 0:
        yield "--seed: must be at least 0"


def _arrival(options: BenchOptions) -> Arrival:
    """As given, or what the other options imply."""
    if options.arrival in get_args(Arrival):
        return cast(Arrival, options.arrival)
    if options.trace is not None:
        return "trace"
    return "closed" if options.concurrency is not None and options.rate is None else "poisson"


def _target(options: BenchOptions, environment: Mapping[str, str]) -> Target | None:
    # What stands where a variable's name should may be the secret itself: it is never repeated.
    pairs = [header.partition("=") for header in options.headers]
    if not all(name and variable for name, _, variable in pairs):
        raise UsageError("--header: must be NAME=VARIABLE, the name of an environment variable that holds the value")
    if options.url is None:
        return None
    return target_of(options.url, {name.strip(): variable.strip() for name, _, variable in pairs}, environment)


def _users(options: BenchOptions) -> tuple[int, ...]:
    return _list("--concurrency", options.concurrency, options.sweep, _whole)


def _list(option: str, text: str | None, is_many: bool, reader: Callable[[str], T]) -> tuple[T, ...]:
    if text is None:
        return ()
    parts = text.split(",") if is_many else [text]
    try:
        return tuple(reader(part.strip()) for part in parts)
    except ValueError as error:
        many = "; more of them, with commas between, only with --sweep" if "," in text and not is_many else ""
        raise UsageError(f"{option}: must be {error}{many}; given: {text}") from None


def _rates(options: BenchOptions, duration_s: float | None) -> tuple[Rate, ...]:
    text = options.rate
    if text is None:
        return ()
    if options.sweep and (is_ramp(text) or has_own_length(text)):
        raise UsageError(f"--rate: a ramp or stages are one load, without --sweep; given: {text}")
    if options.sweep:
        return tuple(parse_rate(part.strip(), None) for part in text.split(","))
    if "," in text and not has_own_length(text):
        more = "more of them, with commas between, only with --sweep"
        raise UsageError(f"--rate: must be {RATE_ALLOWED}; {more}; given: {text}")
    return (parse_rate(text, duration_s),)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_USERS and len(text) <= 9):
        raise ValueError(f"a whole number of users from 1 to {_MOST_USERS}")
    return int(text)
