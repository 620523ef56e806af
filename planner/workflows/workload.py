"""Loads as the command line writes them: token lengths, service levels, arrivals."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from planner.core.arrivals import Stream
from planner.core.lengths import Lengths, Tokens
from planner.core.rates import Rate
from planner.errors import InputError, InputFileError, Problem, UsageError
from planner.schema.scenario import Slo
from planner.store.files import shown_path
from planner.store.schedules import is_schedule, read_schedule
from planner.store.tables import read_rows
from planner.workflows.arrival_options import (
    PROCESSES,
    arrival_misfits,
    has_own_length,
    is_ramp,
    length_misfits,
    parse_bursts,
    parse_numbers,
    parse_rate,
    speed_misfits,
    stream_of,
)

if TYPE_CHECKING:
    from planner.core.simulate import Arrivals

T = TypeVar("T")

DEFAULT_REQUESTS = 10_000
_LENGTHS_ALLOWED = "a whole number of tokens such as 512, or lognormal:p50=900,p95=3200"


def parse_lengths(option: str, text: str) -> Lengths:
    """Token lengths from `512` or `lognormal:p50=900,p95=3200`.

    Args:
        option: that the text was given to, for the error.
        text: as the user wrote it.

    Raises:
        UsageError: the text is neither.

    Example:
        >>> parse_lengths("--input-tokens", "lognormal:p50=900,p95=3200")
        Lengths(p50=900.0, p95=3200.0)
    """
    name, colon, rest = text.partition(":")
    try:
        if not colon:
            return Lengths(float(int(text)))
        given = parse_numbers(rest)
        if name == "lognormal" and given.keys() == {"p50", "p95"}:
            return Lengths(given["p50"], given["p95"])
    except InputError as error:
        raise UsageError(f"{option}: {error}; given: {text}") from error
    except ValueError:
        pass
    raise UsageError(f"{option}: must be {_LENGTHS_ALLOWED}; given: {text}")


def parse_slo(option: str, text: str | None) -> Slo:
    """A service level from `ttft_p95_s=0.5,tpot_p95_s=0.04`.

    Raises:
        UsageError: the text is something else.

    Example:
        >>> parse_slo("--slo", "ttft_p95_s=0.5").ttft_p95_s
        0.5
    """
    if text is None:
        return Slo()
    try:
        return Slo.model_validate(parse_numbers(text))
    except (ValueError, ValidationError) as error:
        allowed = "ttft_p95_s=SECONDS, tpot_p95_s=SECONDS, or both with a comma; each above 0"
        raise UsageError(f"{option}: must be {allowed}; given: {text}") from error


@dataclass(frozen=True)
class ArrivalOptions:
    """What `--arrival` and its companions say.

    Attributes:
        stream: of the arrivals.
        rate: of the arrivals.
        requests: how many; or None where a duration is given.
        duration_s: for how long [s].
        input_tokens: prompt lengths.
        output_tokens: generated lengths.
    """

    stream: Stream
    rate: Rate
    requests: int | None
    duration_s: float | None
    input_tokens: Lengths
    output_tokens: Lengths

    @property
    def peak_per_s(self) -> float:
        """The highest rate that is meant to last for a while, that of bursts included [requests/s]."""
        return self.rate.peak_per_s * (1.0 if self.stream.bursts is None else self.stream.bursts.factor)


@dataclass(frozen=True)
class TraceOptions:
    """A trace to be replayed, and how many times as fast."""

    path: Path
    speed: float = 1.0


def parse_load(
    *,
    arrival: str,
    rate: str | None,
    burstiness: float | None,
    input_tokens: str | None,
    output_tokens: str | None,
    requests: int | None,
    duration_s: float | None,
    trace: Path | None,
    bursts: str | None = None,
    trace_speed: float | None = None,
) -> ArrivalOptions | TraceOptions:
    """An open-loop load from the options of a command.

    Raises:
        UsageError: every option that is missing, out of place or out of range, all at once.

    Example:
        >>> load = parse_load(
        ...     arrival="poisson", rate="8", burstiness=None, input_tokens="512", output_tokens="128",
        ...     requests=100, duration_s=None, trace=None,
        ... )
        >>> load.rate.first_per_s, load.output_tokens.p50
        (8.0, 128.0)
    """  # fmt: skip
    given = {
        "--rate": rate,
        "--burstiness": burstiness,
        "--bursts": bursts,
        "--input-tokens": input_tokens,
        "--output-tokens": output_tokens,
        "--requests": requests,
        "--duration-s": duration_s,
    }
    if trace is not None or arrival == "trace":
        unused = [name for name, value in given.items() if value is not None]
        mistakes = [f"{name}: not used with a trace, which has its own" for name in unused]
        mistakes += speed_misfits(trace_speed, has_trace=True)
        if trace is None:
            mistakes.append("--trace: is missing, and --arrival trace needs it")
        if trace is None or mistakes:
            raise UsageError("\n".join(mistakes))
        return TraceOptions(trace, 1.0 if trace_speed is None else trace_speed)
    mistakes = [
        *_misfits(arrival, given),
        *speed_misfits(trace_speed, has_trace=False),
        *arrival_misfits(arrival, burstiness, bursts),
        *length_misfits(rate, requests, duration_s),
        *not_above_0({"--burstiness": burstiness, "--duration-s": duration_s}),
    ]

    def read(reader: Callable[[str], T], text: str | None) -> T | None:
        try:
            return None if text is None else reader(text)
        except UsageError as error:
            mistakes.append(str(error))
            return None

    over = read(lambda text: parse_rate(text, duration_s), rate)
    on_off = read(parse_bursts, bursts)
    prompt = read(lambda text: parse_lengths("--input-tokens", text), input_tokens)
    output = read(lambda text: parse_lengths("--output-tokens", text), output_tokens)
    if mistakes or over is None or prompt is None or output is None:
        raise UsageError("\n".join(mistakes))
    if has_own_length(rate):
        duration_s = over.end_s
    return ArrivalOptions(
        stream=stream_of(arrival, burstiness, on_off),
        rate=over,
        requests=DEFAULT_REQUESTS if requests is None and duration_s is None else requests,
        duration_s=duration_s,
        input_tokens=prompt,
        output_tokens=output,
    )


def not_above_0(options: Mapping[str, float | None]) -> Iterator[str]:
    """Mistakes of options that must be above 0 where they are given."""
    for name, value in options.items():
        if value is not None and not 0 < value < np.inf:
            yield f"{name}: must be above 0; given: {value:g}"


def _misfits(arrival: str, given: Mapping[str, object]) -> Iterator[str]:
    """Options that are missing, and an arrival that does not exist."""
    if arrival not in PROCESSES:
        yield f"--arrival: must be one of {', '.join(PROCESSES)}, trace; given: {arrival}"
    for name in ("--rate", "--input-tokens", "--output-tokens"):
        if given[name] is None:
            yield f"{name}: is missing"
    rate = given["--rate"]
    if isinstance(rate, str) and is_ramp(rate) and given["--duration-s"] is None and given["--requests"] is None:
        yield "--duration-s: is missing, and a ramp needs it"


def drawn_arrivals(options: ArrivalOptions, seed: int) -> "Arrivals":
    """Requests of an arrival process, the same ones for the same seed.

    Raises:
        UsageError: an option is out of range, or no request falls into the duration.
    """
    from planner.core.simulate import Arrivals  # noqa: PLC0415 - numba, which a load test does without

    rng = np.random.default_rng(seed)
    try:
        if options.requests is not None:
            arrival_s = options.stream.first(options.requests, options.rate, rng)
        else:
            arrival_s = options.stream.within(options.duration_s or 0.0, options.rate, rng)
    except InputError as error:
        raise UsageError(f"--{error.field.replace('_', '-')}: {error.message}") from error
    if arrival_s.size == 0:
        raise UsageError("--duration-s: no request falls into it; make it longer, or raise --rate")
    prompt = options.input_tokens.draw(arrival_s.size, rng)
    output = options.output_tokens.draw(arrival_s.size, rng)
    return Arrivals.of(arrival_s, prompt, output)


def traced_arrivals(options: TraceOptions) -> "Arrivals":
    """The requests of a trace, in order, from the moment of the first.

    Raises:
        InputFileError: the file cannot be read, or counts requests in place of listing them.
    """
    from planner.core.simulate import Arrivals  # noqa: PLC0415 - see above

    arrival_s, prompt, output = read_trace(options.path, options.speed)
    return Arrivals.of(arrival_s, prompt, output)


def read_trace(path: Path, speed: float = 1.0) -> tuple[NDArray[np.float64], Tokens, Tokens]:
    """Arrival times from the first [s], prompt and answer lengths [tokens], in order; each of shape (requests,).

    Of a schedule that a load test kept, the warm-up is left out.

    Args:
        path: a trace, or the schedule of an open loop.
        speed: how many times as fast as it was; gaps are divided by it.

    Raises:
        InputFileError: the file cannot be read, or counts requests in place of listing them.
    """
    if is_schedule(path):
        return _read_schedule(path, speed)
    rows = read_rows(path)
    if "requests" in rows.table:
        message = "holds counts; a replay needs one row per request: timestamp, input_tokens, output_tokens"
        raise InputFileError([Problem(shown_path(path), 1, 0, "requests", message)])
    table = rows.table.sort_values("timestamp", kind="stable")
    prompt, output = (
        np.maximum(table[key].to_numpy(), 1).astype(np.int32) for key in ("input_tokens", "output_tokens")
    )
    arrival_s = table["timestamp"].to_numpy(dtype=np.float64)
    return (arrival_s - arrival_s[0]) / speed, prompt, output


def _read_schedule(path: Path, speed: float) -> tuple[NDArray[np.float64], Tokens, Tokens]:
    kept = read_schedule(path)
    if kept.timestamp_s is None:
        message = "is the schedule of a closed loop; a replay needs one with times: timestamp"
        raise InputFileError([Problem(shown_path(path), 1, 0, "", message)])
    due_s = kept.timestamp_s[kept.warmup :]
    if not due_s.size:
        raise InputFileError([Problem(shown_path(path), 0, 0, "is_warmup", "must be 0 in one row at least")])
    return (due_s - due_s[0]) / speed, kept.input_tokens[kept.warmup :], kept.output_tokens[kept.warmup :]
