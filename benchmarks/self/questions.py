"""What is asked of load generators against the server of known truth, and how the answers are defined.

Errors are a client's own figure minus the same figure of the server's log of the same run: p99 minus p99.
CPU is that of the whole process tree. Per million chunks it is a slope: the CPU of a run minus that of a short run of
the same kind, over the tokens that one got more than the other, each in a chunk of its own. It contains what requests
cost, not what starting costs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from clients import REPOSITORY, Client, Load, Said, our_records
from pinned import Cost, cores, run
from tables import Figures, Row
from truth import Timing, Truth, TruthServer

MODEL = "truth"
LIMIT_S = 900.0
CPU = "CPU [s per million chunks]"
MOST_OF_BARE = 11 / 8
"""CPU per chunk over the bare client's: where the limit of 11 s was set, that one took 8. What waking up and reading
cost is the machine's own."""
LATE, WAITED = "server later than due, p99 [ms]", "client ready without a core [s]"
_HEALTH = (Row(LATE, decimals=3), Row(WAITED))


class ClientFailedError(Exception):
    """A client did not measure."""


@dataclass(frozen=True)
class Seen:
    """One run: what it cost, what the client says, what the server did, and the folder with what the client wrote."""

    cost: Cost
    said: Said
    truth: Truth
    folder: Path

    def health(self) -> dict[str, float]:
        """Whether this run can be trusted at all: how late the server was, and how long others had the core."""
        return {LATE: _ms(self.truth.late_s(), 99), WAITED: self.cost.waited_s}


@dataclass(frozen=True)
class Bench:
    """Where runs are made.

    Attributes:
        program: the server.
        folder: for their files.
    """

    program: Path
    folder: Path
    started: list[bool] = field(default_factory=list)

    def run(self, client: Client, load: Load, timing: Timing) -> Seen:
        """A run with a server of its own.

        Raises:
            ClientFailedError: the client says that it failed, or left requests out.
        """
        folder = Path(mkdtemp(dir=self.folder))
        log = folder / "truth.bin"
        with TruthServer(self.program, timing, log) as server:
            self.started.append(server.is_realtime)
            cost = started(client, server.url, MODEL, load, folder)
        truth = server.truth(load.requests)
        return Seen(cost, client.read(load, folder, cost.stdout), truth, folder)


def started(client: Client, url: str, model: str, load: Load, folder: Path, limit_s: float = LIMIT_S) -> Cost:
    """Runs a client.

    Raises:
        ClientFailedError: it says that it failed.
    """
    cost = run(client.command(url, model, load, folder), cores()[1], REPOSITORY, client.environment, limit_s)
    if cost.exit_code not in client.exit_codes:
        said = (cost.stderr or cost.stdout).strip()[-600:]
        raise ClientFailedError(f"{client.name}: exit code {cost.exit_code}: {said}")
    return cost


@dataclass(frozen=True)
class Question:
    """A table.

    Attributes:
        title: what was asked.
        rows: of the table.
        answer: one run of one client.
    """

    title: str
    rows: Sequence[Row]
    answer: Callable[[Bench, Client], Figures]


# ---- speed

_FAST = Load(requests=2500, users=256)
_SHORT = replace(_FAST, requests=256)
_TIMING = Timing()


def _ideal(load: Load) -> float:
    """Every user's answers one behind the other, as many as the last user has [requests/s]."""
    answers = math.ceil(load.requests / (load.users or 1))
    return load.requests / (answers * (_TIMING.ttft_ms + (load.output_tokens - 1) * _TIMING.itl_ms) / 1e3)


def _speed(bench: Bench, client: Client) -> Figures:
    short, seen = bench.run(client, _SHORT, _TIMING), bench.run(client, _FAST, _TIMING)
    truth, said = seen.truth, seen.said
    more_chunks = truth.tokens() - short.truth.tokens()
    per_chunk_s = (seen.cost.cpu_s - short.cost.cpu_s) / more_chunks
    return {
        "requests/s": truth.requests_per_s(),
        "most in flight": truth.peak_in_flight,
        "TTFT p50 error [ms]": said.ttft_p50_s * 1e3 - _ms(truth.ttft_s(), 50),
        "TTFT p99 error [ms]": said.ttft_p99_s * 1e3 - _ms(truth.ttft_s(), 99),
        "ITL p50 error [ms]": said.itl_p50_s * 1e3 - _ms(truth.gaps_s(), 50),
        "ITL p99 error [ms]": said.itl_p99_s * 1e3 - _ms(truth.gaps_s(), 99),
        CPU: per_chunk_s * 1e6,
        "of it the system's": (seen.cost.system_s - short.cost.system_s) / more_chunks * 1e6,
        "chunks/s per core, by CPU": 1 / per_chunk_s,
        "CPU of the run [s]": seen.cost.cpu_s,
        "peak memory [MiB]": seen.cost.peak_rss_mib,
        **seen.health(),
    }


SPEED = Question(
    f"Speed: {_FAST.users} users, {_FAST.requests:,} requests of {_FAST.output_tokens} tokens, TTFT 50 ms, ITL 10 ms; "
    f"ideal {_ideal(_FAST):.1f} requests/s",
    (
        Row("requests/s", 362, "at least", 1),
        Row("most in flight", _FAST.users, "at least", 0),
        Row("TTFT p50 error [ms]"),
        Row("TTFT p99 error [ms]", 5, "within"),
        Row("ITL p50 error [ms]"),
        Row("ITL p99 error [ms]"),
        Row(CPU, 11),
        Row("of it the system's"),
        Row("chunks/s per core, by CPU", 80_000, "at least", 0),
        Row("CPU of the run [s]"),
        Row("peak memory [MiB]", 120, decimals=0),
        *_HEALTH,
    ),
    _speed,
)

# ---- full: more than most clients can take

_FULL = Load(requests=6000, users=1024)
_FULL_SHORT = replace(_FULL, requests=1024)


def _full(bench: Bench, client: Client) -> Figures:
    short, seen = bench.run(client, _FULL_SHORT, _TIMING), bench.run(client, _FULL, _TIMING)
    truth = seen.truth
    per_chunk_s = (seen.cost.cpu_s - short.cost.cpu_s) / (truth.tokens() - short.truth.tokens())
    return {
        "chunks/s": truth.requests_per_s() * _FULL.output_tokens,
        CPU: per_chunk_s * 1e6,
        "chunks/s per core, by CPU": 1 / per_chunk_s,
        "TTFT p99 error [ms]": seen.said.ttft_p99_s * 1e3 - _ms(truth.ttft_s(), 99),
        "peak memory [MiB]": seen.cost.peak_rss_mib,
        **seen.health(),
    }


FULL = Question(
    f"Full: {_FULL.users:,} users, {_FULL.requests:,} requests; ideal {_ideal(_FULL) * _FULL.output_tokens:,.0f} "
    "chunks/s, so that chunks come several at a time",
    (
        Row("chunks/s", decimals=0),
        Row(CPU),
        Row("chunks/s per core, by CPU", decimals=0),
        Row("TTFT p99 error [ms]"),
        Row("peak memory [MiB]", decimals=0),
        *_HEALTH,
    ),
    _full,
)

# ---- truth

_OPEN = Load(requests=150, rate=5.0)
_DRAWS = 20_000
_SHARES = (0.5, 99.5)
"""Percentiles between which 99 % of samples lie."""


def poisson_intervals(requests: int, rate: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where rate and CV of so many Poisson arrivals lie 99 times in 100: rate [requests/s], CV of the gaps."""
    gaps_s = np.random.default_rng(0).exponential(1 / rate, (_DRAWS, requests - 1))
    mean_s = gaps_s.mean(axis=1)
    rates, cvs = np.percentile(1 / mean_s, _SHARES), np.percentile(gaps_s.std(axis=1) / mean_s, _SHARES)
    return (float(rates[0]), float(rates[1])), (float(cvs[0]), float(cvs[1]))


_RATES, _CVS = poisson_intervals(_OPEN.requests, _OPEN.rate or 0.0)


def _truth(bench: Bench, client: Client) -> Figures:
    seen = bench.run(client, _OPEN, _TIMING)
    truth, said = seen.truth, seen.said
    gaps_s, arrival_gaps_s = truth.gaps_s(), np.diff(truth.arrival_s)
    rate, cv = 1 / arrival_gaps_s.mean(), arrival_gaps_s.std() / arrival_gaps_s.mean()
    return {
        "TTFT p50 error [ms]": said.ttft_p50_s * 1e3 - _ms(truth.ttft_s(), 50),
        "TTFT p99 error [ms]": said.ttft_p99_s * 1e3 - _ms(truth.ttft_s(), 99),
        "ITL p50 error [ms]": said.itl_p50_s * 1e3 - _ms(gaps_s, 50),
        "ITL mean error [%]": (said.itl_mean_s / gaps_s.mean() - 1) * 100,
        "ITL p99 error [ms]": said.itl_p99_s * 1e3 - _ms(gaps_s, 99),
        "all requests, all tokens (1: yes)": has_all(said, truth, _OPEN),
        "arrivals [requests/s]": rate,
        "rate as a Poisson process gives (1: yes)": _RATES[0] <= rate <= _RATES[1],
        "CV of the arrivals' gaps": cv,
        "CV as a Poisson process gives (1: yes)": _CVS[0] <= cv <= _CVS[1],
        **seen.health(),
    }


def has_all(said: Said, truth: Truth, load: Load) -> bool:
    """Whether a client and the server agree on every count, and on what was asked."""
    asked = load.requests * load.output_tokens
    return (
        said.ok == truth.finished == load.requests
        and said.output_tokens == truth.tokens() == asked
        and said.input_tokens in (None, int(truth.prompt_tokens.sum()))
        and said.has_whole_requests is not False
    )


TRUTH = Question(
    f"Truth: {_OPEN.requests} Poisson arrivals at {_OPEN.rate:g} requests/s; 99 % of such samples have "
    f"{_RATES[0]:.2f} to {_RATES[1]:.2f} requests/s and a CV of {_CVS[0]:.2f} to {_CVS[1]:.2f}",
    (
        Row("TTFT p50 error [ms]", 0.5, "within", 3),
        Row("TTFT p99 error [ms]", 3, "within", 3),
        Row("ITL p50 error [ms]", 0.2, "within", 3),
        Row("ITL mean error [%]", 1, "within", 3),
        Row("ITL p99 error [ms]", decimals=3),
        Row("all requests, all tokens (1: yes)", 1, "at least", 0),
        Row("arrivals [requests/s]"),
        Row("rate as a Poisson process gives (1: yes)", 1, "at least", 0),
        Row("CV of the arrivals' gaps"),
        Row("CV as a Poisson process gives (1: yes)", 1, "at least", 0),
        *_HEALTH,
    ),
    _truth,
)

# ---- tiny

_TINY = Load(requests=20, users=4)


def _tiny(bench: Bench, client: Client) -> Figures:
    seen = bench.run(client, _TINY, _TIMING)
    return {"CPU [s]": seen.cost.cpu_s, "wall [s]": seen.cost.wall_s, "peak memory [MiB]": seen.cost.peak_rss_mib}


TINY = Question(
    f"Tiny: {_TINY.requests} requests of {_TINY.output_tokens} tokens, {_TINY.users} users, from start to exit",
    (Row("CPU [s]", 2), Row("wall [s]"), Row("peak memory [MiB]", decimals=0)),
    _tiny,
)

# ---- memory


def _memory(bench: Bench, client: Client) -> Figures:
    short, seen = bench.run(client, _SHORT, _TIMING), bench.run(client, _FAST, _TIMING)
    more_mib = seen.cost.peak_rss_mib - short.cost.peak_rss_mib
    more_requests = _FAST.requests - _SHORT.requests
    return {"peak memory [MiB]": seen.cost.peak_rss_mib, "more [KiB per request]": more_mib * 1024 / more_requests}


MEMORY = Question(
    f"Memory: {_FAST.requests:,} requests of {_FAST.output_tokens} tokens, {_FAST.users} users",
    (Row("peak memory [MiB]", 120, decimals=0), Row("more [KiB per request]")),
    _memory,
)

_MILLION = Load(requests=1_000_000, users=256, output_tokens=100)
_MILLION_TIMING = Timing(ttft_ms=2, itl_ms=0.1, tokens_per_write=33)


def _million(bench: Bench, client: Client) -> Figures:
    folder = Path(mkdtemp(dir=bench.folder))
    with TruthServer(bench.program, _MILLION_TIMING, log=None) as server:  # its log would be of 800 MB
        cost = started(client, server.url, MODEL, _MILLION, folder, limit_s=4 * 3600)
    return {"peak memory [MiB]": cost.peak_rss_mib, "CPU [s]": cost.cpu_s, "wall [s]": cost.wall_s}


MILLION = Question(
    f"A million: {_MILLION.requests:,} requests of {_MILLION.output_tokens} tokens, four writes each",
    (Row("peak memory [MiB]", 1024, decimals=0), Row("CPU [s]", decimals=0), Row("wall [s]", decimals=0)),
    _million,
)

# ---- several processes

_MANY = Load(requests=2000, rate=100.0)


def _processes(bench: Bench, client: Client) -> Figures:
    figures: dict[str, float] = {}
    schedules = []
    for count in (1, 2):
        seen = bench.run(client, replace(_MANY, more=("--processes", f"{count}")), _TIMING)
        schedules.append(sorted((entry["index"], entry["due_s"]) for entry in our_records(seen.folder)))
        error_ms = seen.said.ttft_p99_s * 1e3 - _ms(seen.truth.ttft_s(), 99)
        figures[f"all requests, all tokens, {count} (1: yes)"] = has_all(seen.said, seen.truth, _MANY)
        figures[f"TTFT p99 error, {count} [ms]"] = error_ms
        figures[f"CPU, {count} [s]"] = seen.cost.cpu_s
    return {**figures, "same schedule (1: yes)": schedules[0] == schedules[1]}


PROCESSES = Question(
    f"One process and two: {_MANY.requests:,} Poisson arrivals at {_MANY.rate:g} requests/s",
    (
        Row("same schedule (1: yes)", 1, "at least", 0),
        *(Row(f"all requests, all tokens, {count} (1: yes)", 1, "at least", 0) for count in (1, 2)),
        *(Row(f"TTFT p99 error, {count} [ms]", 5, "within") for count in (1, 2)),
        *(Row(f"CPU, {count} [s]") for count in (1, 2)),
    ),
    _processes,
)

OURS_ONLY = frozenset({"processes"})
QUESTIONS = {
    "speed": SPEED,
    "full": FULL,
    "truth": TRUTH,
    "tiny": TINY,
    "memory": MEMORY,
    "million": MILLION,
    "processes": PROCESSES,
}


def _ms(times_s: np.ndarray, percentile: float) -> float:
    return float(np.percentile(times_s, percentile)) * 1e3
