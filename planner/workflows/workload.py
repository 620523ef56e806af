"""Loads as the command line writes them: token lengths, service levels, arrivals."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from planner.core.arrivals import Process, arrivals_by_count, arrivals_within
from planner.core.lengths import Lengths
from planner.errors import InputError, InputFileError, Problem, UsageError
from planner.schema.scenario import Slo
from planner.store.files import shown_path
from planner.store.tables import read_rows

if TYPE_CHECKING:
    from planner.core.simulate import Arrivals

DEFAULT_REQUESTS = 10_000
LEAST_RATE, MOST_RATE = 1e-6, 1e6
_PROCESSES: dict[str, Process] = {"poisson": "poisson", "constant": "constant", "gamma": "gamma"}
_LENGTHS_ALLOWED = "a whole number of tokens such as 512, or lognormal:p50=900,p95=3200"


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
        process: poisson, constant or gamma.
        rate_per_s: mean rate [requests/s].
        burstiness: squared CV of the gaps, for gamma.
        requests: how many; or None where a duration is given.
        duration_s: for how long [s].
        input_tokens: prompt lengths.
        output_tokens: generated lengths.
    """

    process: Process
    rate_per_s: float
    burstiness: float
    requests: int | None
    duration_s: float | None
    input_tokens: Lengths
    output_tokens: Lengths


def parse_load(
    *,
    arrival: str,
    rate: float | None,
    burstiness: float | None,
    input_tokens: str | None,
    output_tokens: str | None,
    requests: int | None,
    duration_s: float | None,
    trace: Path | None,
) -> ArrivalOptions | Path:
    """An open-loop load from the options of a command; a trace stands for itself.

    Raises:
        UsageError: every option that is missing, out of place or out of range, all at once.

    Example:
        >>> load = parse_load(
        ...     arrival="poisson", rate=8.0, burstiness=None, input_tokens="512", output_tokens="128",
        ...     requests=100, duration_s=None, trace=None,
        ... )
        >>> load.rate_per_s, load.output_tokens.p50
        (8.0, 128.0)
    """  # fmt: skip
    given = {
        "--rate": rate,
        "--burstiness": burstiness,
        "--input-tokens": input_tokens,
        "--output-tokens": output_tokens,
        "--requests": requests,
        "--duration-s": duration_s,
    }
    if trace is not None or arrival == "trace":
        unused = [name for name, value in given.items() if value is not None]
        mistakes = [f"{name}: not used with a trace, which has its own" for name in unused]
        if trace is None:
            mistakes.append("--trace: is missing, and --arrival trace needs it")
        if trace is None or mistakes:
            raise UsageError("\n".join(mistakes))
        return trace
    mistakes = [
        *_misfits(arrival, given),
        *burstiness_and_length_misfits(arrival, burstiness, requests, duration_s),
        *not_above_0({"--burstiness": burstiness, "--duration-s": duration_s}),
    ]
    lengths = {}
    for option, text in (("--input-tokens", input_tokens), ("--output-tokens", output_tokens)):
        try:
            lengths[option] = None if text is None else parse_lengths(option, text)
        except UsageError as error:
            mistakes.append(str(error))
    prompt, output = lengths.get("--input-tokens"), lengths.get("--output-tokens")
    if mistakes or rate is None or prompt is None or output is None:
        raise UsageError("\n".join(mistakes))
    return ArrivalOptions(
        process=_PROCESSES[arrival],
        rate_per_s=rate,
        burstiness=1.0 if burstiness is None else burstiness,
        requests=DEFAULT_REQUESTS if requests is None and duration_s is None else requests,
        duration_s=duration_s,
        input_tokens=prompt,
        output_tokens=output,
    )


def burstiness_and_length_misfits(
    arrival: str, burstiness: float | None, requests: int | None, duration_s: float | None
) -> Iterator[str]:
    """Mistakes of the options that every load has: of those that only some arrivals need, and of how long it lasts."""
    if arrival == "gamma" and burstiness is None:
        yield "--burstiness: is missing, and --arrival gamma needs it"
    if arrival != "gamma" and burstiness is not None:
        yield f"--burstiness: not used with --arrival {arrival}"
    if requests is not None and duration_s is not None:
        yield "--requests and --duration-s: one of them, not both"
    if requests is not None and requests < 1:
        yield f"--requests: must be at least 1; given: {requests}"


def not_above_0(options: Mapping[str, float | None]) -> Iterator[str]:
    """Mistakes of options that must be above 0 where they are given."""
    for name, value in options.items():
        if value is not None and not 0 < value < np.inf:
            yield f"{name}: must be above 0; given: {value:g}"


def _misfits(arrival: str, given: Mapping[str, object]) -> Iterator[str]:
    """Options that are missing, an arrival that does not exist, a rate that nobody has."""
    if arrival not in _PROCESSES:
        yield f"--arrival: must be one of {', '.join(_PROCESSES)}, trace; given: {arrival}"
    for name in ("--rate", "--input-tokens", "--output-tokens"):
        if given[name] is None:
            yield f"{name}: is missing"
    rate = given["--rate"]
    if isinstance(rate, float) and not LEAST_RATE <= rate <= MOST_RATE:
        yield f"--rate: must be from {LEAST_RATE:g} to {MOST_RATE:g} requests/s; given: {rate:g}"


def drawn_arrivals(options: ArrivalOptions, seed: int) -> "Arrivals":
    """Requests of an arrival process, the same ones for the same seed.

    Raises:
        UsageError: an option is out of range, or no request falls into the duration.
    """
    from planner.core.simulate import Arrivals  # noqa: PLC0415 - numba, which a load test does without

    rng = np.random.default_rng(seed)
    try:
        if options.requests is not None:
            arrival_s = arrivals_by_count(
                options.process, options.rate_per_s, options.requests, rng, options.burstiness
            )
        else:
            duration_s = options.duration_s or 0.0
            arrival_s = arrivals_within(options.process, options.rate_per_s, duration_s, rng, options.burstiness)
    except InputError as error:
        raise UsageError(f"--{error.field.replace('_', '-')}: {error.message}") from error
    if arrival_s.size == 0:
        raise UsageError("--duration-s: no request falls into it; make it longer, or raise --rate")
    prompt = options.input_tokens.draw(arrival_s.size, rng)
    output = options.output_tokens.draw(arrival_s.size, rng)
    return Arrivals.of(arrival_s, prompt, output)


def traced_arrivals(path: Path) -> "Arrivals":
    """The requests of a trace, in order, from the moment of the first.

    Raises:
        InputFileError: the file cannot be read, or counts requests in place of listing them.
    """
    from planner.core.simulate import Arrivals  # noqa: PLC0415 - see above

    return Arrivals.of(*read_trace(path))


def read_trace(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Arrival times from the first [s], prompt and answer lengths [tokens], in order; each of shape (requests,).

    Raises:
        InputFileError: the file cannot be read, or counts requests in place of listing them.
    """
    rows = read_rows(path)
    if "requests" in rows.table:
        message = "holds counts; a replay needs one row per request: timestamp, input_tokens, output_tokens"
        raise InputFileError([Problem(shown_path(path), 1, 0, "requests", message)])
    table = rows.table.sort_values("timestamp", kind="stable")
    prompt, output = (
        np.maximum(table[key].to_numpy(), 1).astype(np.int64) for key in ("input_tokens", "output_tokens")
    )
    arrival_s = table["timestamp"].to_numpy(dtype=np.float64)
    return arrival_s - arrival_s[0], prompt, output
