"""How loads arrive, as the command line writes it: rates that change, bursts, think times."""

from collections.abc import Iterator
from math import inf
from typing import get_args

from planner.core.arrivals import Process, Stream
from planner.core.bursts import OnOff
from planner.core.rates import Rate, Stage
from planner.core.think import ThinkTime
from planner.errors import InputError, UsageError

LEAST_RATE, MOST_RATE = 1e-6, 1e6
LEAST_SPEED, MOST_SPEED = 1e-3, 1e6
RATE_ALLOWED = "requests per second such as 5, a ramp such as 2..20, or stages with their seconds such as 2:30,2..20:60"
_RATE_RANGE = f"from {LEAST_RATE:g} to {MOST_RATE:g} requests/s"
_BURSTS_ALLOWED = "factor=TIMES,on_s=SECONDS,off_s=SECONDS, such as factor=4,on_s=10,off_s=40"
_THINK_ALLOWED = "seconds such as 2, exponential:mean=2, or lognormal:p50=2,p95=10"


def parse_numbers(text: str) -> dict[str, float]:
    """Numbers by name from `a=1,b=2`.

    Raises:
        ValueError: something else is written there.

    Example:
        >>> parse_numbers("p50=900,p95=3200")
        {'p50': 900.0, 'p95': 3200.0}
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name and sign for name, sign, _ in pairs) or len({name for name, _, _ in pairs}) < len(pairs):
        raise ValueError(text)
    return {name.strip(): float(value) for name, _, value in pairs}


def parse_rate(text: str, duration_s: float | None) -> Rate:
    """A rate that is kept, a ramp over the load's duration, or stages that each say how long they last.

    Args:
        text: as the user wrote it after `--rate`.
        duration_s: of the load, for a ramp [s].

    Raises:
        UsageError: the text is something else, or a rate is out of range.

    Example:
        >>> parse_rate("2..20", 60.0).mean_per_s(60.0)
        11.0
        >>> stages = parse_rate("2:30, 8:30, 8..0:60", None)
        >>> stages.end_s, stages.mean_per_s(stages.end_s)
        (120.0, 4.5)
    """
    try:
        if not has_own_length(text):
            start, end = _rates(text)
            if start == end:
                return Rate.constant(start)
            is_known = duration_s is not None and 0 < duration_s < inf  # or else it is a mistake of its own
            return Rate.of([Stage(start, end, duration_s if duration_s and is_known else 1.0)])
        stages = []
        for part in text.split(","):
            rates, colon, seconds = part.partition(":")
            if not colon or not 0 < float(seconds) < inf:
                raise ValueError("stages of a rate and the seconds that it lasts, above 0, such as 2:30,2..20:60")
            stages.append(Stage(*_rates(rates), float(seconds)))
        return Rate.of(stages)
    except InputError as error:
        raise UsageError(f"--rate: {error.message}; given: {text}") from error
    except ValueError as error:
        allowed = RATE_ALLOWED if "convert" in str(error) else error
        raise UsageError(f"--rate: must be {allowed}; given: {text}") from None


def has_own_length(text: str | None) -> bool:
    """Whether a rate is of stages, which say themselves how long they last."""
    return text is not None and ":" in text


def is_ramp(text: str | None) -> bool:
    """Whether a rate is a ramp, which lasts as long as the load."""
    return text is not None and ".." in text and not has_own_length(text)


def _rates(text: str) -> tuple[float, float]:
    """The rate at the start and at the end of a stage."""
    first, dots, last = text.partition("..")
    rates = float(first), float(last if dots else first)
    if not all(rate == 0 or LEAST_RATE <= rate <= MOST_RATE for rate in rates):
        raise ValueError(f"0, or {_RATE_RANGE}")
    return rates


def parse_bursts(text: str) -> OnOff:
    """Bursts from `factor=4,on_s=10,off_s=40`.

    Raises:
        UsageError: the text is something else, or such bursts cannot be.

    Example:
        >>> parse_bursts("factor=4,on_s=10,off_s=40")
        OnOff(factor=4.0, on_s=10.0, off_s=40.0)
    """
    try:
        given = parse_numbers(text)
        if given.keys() == {"factor", "on_s", "off_s"}:
            return OnOff(**given)
    except InputError as error:
        raise UsageError(f"--bursts: {error}; given: {text}") from error
    except ValueError:
        pass
    raise UsageError(f"--bursts: must be {_BURSTS_ALLOWED}; given: {text}")


def parse_think_time(text: str) -> ThinkTime:
    """A think time from `2`, `exponential:mean=2` or `lognormal:p50=2,p95=10`.

    Raises:
        UsageError: the text is something else, or out of range.

    Example:
        >>> parse_think_time("exponential:mean=2")
        ThinkTime(typical_s=2.0, spread='exponential', p95_s=None)
    """
    name, colon, rest = text.partition(":")
    try:
        if not colon:
            return ThinkTime(float(text))
        given = parse_numbers(rest)
        if name == "exponential" and given.keys() == {"mean"}:
            return ThinkTime(given["mean"], "exponential")
        if name == "lognormal" and given.keys() == {"p50", "p95"}:
            return ThinkTime(given["p50"], "lognormal", given["p95"])
    except InputError as error:
        raise UsageError(f"--think-time-s: {error}; given: {text}") from error
    except ValueError:
        pass
    raise UsageError(f"--think-time-s: must be {_THINK_ALLOWED}; given: {text}")


def stream_of(arrival: str, burstiness: float | None, bursts: OnOff | None) -> Stream:
    """The stream that `--arrival` names; bursts are of Poisson arrivals.

    Example:
        >>> stream_of("gamma", 4.0, None)
        Stream(process='gamma', squared_cv=4.0, bursts=None)
    """
    process: Process = "constant" if arrival == "constant" else "gamma" if arrival == "gamma" else "poisson"
    return Stream(process, 1.0 if burstiness is None else burstiness, bursts)


def arrival_misfits(arrival: str, burstiness: float | None, bursts: str | None) -> Iterator[str]:
    """Mistakes of the options that only some arrivals need."""
    for option, value, user in (("--burstiness", burstiness, "gamma"), ("--bursts", bursts, "onoff")):
        if arrival == user and value is None:
            yield f"{option}: is missing, and --arrival {user} needs it"
        if arrival != user and value is not None:
            yield f"{option}: not used with --arrival {arrival}"


def speed_misfits(speed: float | None, has_trace: bool) -> Iterator[str]:
    """Mistakes of how fast a trace is to be replayed."""
    if speed is not None and not has_trace:
        yield "--trace-speed: only with --trace"
    if speed is not None and not LEAST_SPEED <= speed <= MOST_SPEED:
        yield f"--trace-speed: must be from {LEAST_SPEED:g} to {MOST_SPEED:g} times; given: {speed:g}"


def length_misfits(rate: str | None, requests: int | None, duration_s: float | None) -> Iterator[str]:
    """Mistakes of the options that say how long a load lasts."""
    if requests is not None and duration_s is not None:
        yield "--requests and --duration-s: one of them, not both"
    if requests is not None and requests < 1:
        yield f"--requests: must be at least 1; given: {requests}"
    if has_own_length(rate):
        given = {"--requests": requests, "--duration-s": duration_s}
        yield from (f"{name}: not with stages, which last as long as they say" for name in given if given[name])
    elif is_ramp(rate) and requests is not None:
        yield "--requests: not with a ramp, which lasts for a time: --duration-s"


PROCESSES = (*get_args(Process), "onoff")
"""What an open loop can be drawn from."""
