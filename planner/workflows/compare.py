"""Two runs side by side: what differs between them for certain, what is equal, and what nobody can tell."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, starmap
from pathlib import Path

import numpy as np

from planner.core.comparison import Compared, Comparison, Verdict
from planner.core.difference import Array, Ints, Ratio, Resampled, Values, figure_of, mean, percentile, ratio_of
from planner.core.pooled import PooledPercentile
from planner.core.quantiles import interval_ranks
from planner.engines.answers import CANCELLED, OK
from planner.errors import UsageError
from planner.loadtest.sample import US_PER_S, Sample
from planner.loadtest.times import Times
from planner.store.files import shown_path
from planner.workflows.bench_options import BenchOptions
from planner.workflows.doubts import doubts
from planner.workflows.measurements import Measurement, read_measurements

_SAME_RATE_FRACTION = 0.01
_SAME_LENGTH_FRACTION = 0.01
_WINDOWS, _LEAST_PER_WINDOW = 20, 5
"""Throughput is compared by windows of time; where they hold too few answers, it is not."""


@dataclass(frozen=True)
class _Metric:
    """A figure of a sample.

    Attributes:
        name: with its unit.
        sample: of a load, in the order of the schedule.
        fraction: of a percentile; None of a mean.
        is_less_better: whether less of it is better.
    """

    name: str
    sample: Callable[["_Seen"], Resampled]
    fraction: float | None = None
    is_less_better: bool = True

    def is_estimable(self, sample: Resampled) -> bool:
        """Whether a sample is large enough to tell how good its figure is."""
        if self.fraction is None:
            return len(sample) >= _WINDOWS
        return interval_ranks(len(sample), self.fraction) is not None


def compare(first: Path, second: Path, seed: int = 0) -> Compared:
    """Compares two run directories, or results of other load-test tools, load by load.

    Args:
        first: a run; the one that was.
        second: likewise; the one that is judged.
        seed: of the resampling.

    Raises:
        InputFileError: every mistake of the files.
        UsageError: the runs have no load in common.
    """
    runs = [read_measurements([path]) for path in (first, second)]
    pairs, alone = _pairs(*runs)
    if not pairs:
        told = [f"{shown_path(path)}: {_loads(run)}" for path, run in zip((first, second), runs, strict=True)]
        raise UsageError("\n".join(["RUN RUN: the two have no load in common", *told]))
    count = len(pairs) * len(_METRICS)
    loads = [(one.label, (_Seen.of(one), _Seen.of(other))) for one, other in pairs]
    comparisons = [_compared(metric, *load, count, seed) for load in loads for metric in _METRICS]
    return Compared(
        names=(runs[0][0].run, runs[1][0].run),
        comparisons=tuple(comparisons),
        warnings=(*_other_differences(*pairs[0]), *chain.from_iterable(starmap(_other_lengths, pairs)), *alone),
        doubts=tuple(told for pair in pairs for measured in pair for told in _doubts(measured)),
    )


def _compared(metric: _Metric, label: str, seen: tuple["_Seen", "_Seen"], count: int, seed: int) -> Comparison:
    samples = metric.sample(seen[0]), metric.sample(seen[1])
    if not all(map(metric.is_estimable, samples)):
        return Comparison(label, metric.name, None, None, None, "not estimable")
    found = ratio_of(*samples, count, seed)
    before, after = map(figure_of, samples)
    if not math.isfinite(found.value):
        return Comparison(label, metric.name, before, after, None, "equal" if before == after else "unclear")
    return Comparison(label, metric.name, before, after, found, _verdict(found, metric.is_less_better))


def _verdict(found: Ratio, is_less_better: bool) -> Verdict:
    if found.finding in ("equal", "unclear"):
        return found.finding
    return "better" if (found.finding == "lower") == is_less_better else "worse"


def _pairs(
    first: Sequence[Measurement], second: Sequence[Measurement]
) -> tuple[list[tuple[Measurement, Measurement]], list[str]]:
    """Loads that both have, each once, and what is told of the others."""
    left = list(second)
    pairs, alone = [], []
    for measured in first:
        alike = (each for each in left if _is_same_load(measured, each))
        other = min(alike, key=lambda each: _unlikeness(measured, each), default=None)
        if other is None:
            alone.append(f"{measured.label}: only in {measured.run}")
        else:
            left.remove(other)
            pairs.append((measured, other))
    return pairs, [*alone, *(f"{measured.label}: only in {measured.run}" for measured in left)]


def _is_same_load(first: Measurement, second: Measurement) -> bool:
    a, b = first.point, second.point
    if a.concurrency is not None or b.concurrency is not None:
        return a.concurrency == b.concurrency
    before, after = a.offered_requests_per_s, b.offered_requests_per_s
    if before is None or after is None:
        return before is after
    return abs(before - after) <= _SAME_RATE_FRACTION * max(before, after)


def _loads(run: Sequence[Measurement]) -> str:
    return ", ".join(measured.label for measured in run) or "none"


def _other_differences(first: Measurement, second: Measurement) -> Iterator[str]:
    """What else is not the same, so that a difference may come of it."""
    for name, before, after in (
        ("model", first.server.model.id, second.server.model.id),
        ("engine", _engine(first), _engine(second)),
        ("arguments", " ".join(first.server.engine.args), " ".join(second.server.engine.args)),
        ("accelerator", _accelerator(first), _accelerator(second)),
        ("basis", first.basis, second.basis),
    ):
        if before != after:
            yield f"{name}: {before or 'not told'} in {first.run}, {after or 'not told'} in {second.run}"


def _other_lengths(first: Measurement, second: Measurement) -> Iterator[str]:
    """The same of the lengths of a load's prompts and answers."""
    for name, column in (("prompts", "input_tokens"), ("answers", "output_tokens")):
        before, after = _asked(first, column), _asked(second, column)
        if before and after and abs(before - after) > _SAME_LENGTH_FRACTION * max(before, after):
            told = f"{before:.3g} tokens on average in {first.run}, {after:.3g} in {second.run}"
            yield f"{first.label}: {name}: {told}"


def _unlikeness(first: Measurement, second: Measurement) -> float:
    """How far the lengths of two loads are from each other: a run may have one load with several lengths."""
    pairs = [(_asked(first, column), _asked(second, column)) for column in ("input_tokens", "output_tokens")]
    return sum(abs(math.log(before / after)) for before, after in pairs if before and after)


def _engine(measured: Measurement) -> str:
    engine = measured.server.engine
    return f"{engine.name} {engine.version or ''}".strip()


def _accelerator(measured: Measurement) -> str:
    accelerator = measured.server.accelerator
    return "" if accelerator is None else f"{accelerator.count} × {accelerator.name}"


def _asked(measured: Measurement, column: str) -> float | None:
    """Mean length that was asked for; where the file does not tell that, that was counted [tokens]."""
    entries = [entry for entry in measured.records if not entry.is_warmup]
    for name in (f"asked_{column}", column):
        counted = [count for entry in entries if (count := getattr(entry, name)) is not None]
        if counted:
            return float(np.mean(counted))
    return None


def _doubts(measured: Measurement) -> Iterator[str]:
    point, where = measured.point, f"{measured.run}, {measured.label}"
    yield from (f"{where}: {told}" for told in doubts(point, BenchOptions.max_error_fraction))
    if point.is_lower_bound:
        yield f"{where}: requests timed out or were cut off, so that its percentiles are lower bounds"


# ---- samples


@dataclass(frozen=True)
class _Seen:
    """A load's requests, in the order of the schedule, without those in which the server settled.

    Attributes:
        times: of the answers that came whole.
        ends_s: when each of them ended, shape (ok,) [s].
        is_failed: 1 for each request that failed, of those that were not cut off, shape (n,).
        gaps_s: between the chunks of answers that came whole, shape (gaps,) [s].
        gap_owners: which of the answers that came whole each gap belongs to, shape (gaps,).
    """

    times: Times
    ends_s: Array
    is_failed: Array
    gaps_s: Array
    gap_owners: Ints

    @classmethod
    def of(cls, measured: Measurement) -> "_Seen":
        sample, settling = Sample.of(measured.records), measured.point.settling
        sent = sample.columns()
        order = np.argsort(sent.due_s, kind="stable")[settling.requests if settling else 0 :]
        rows = np.full(sent.due_s.size, -1)
        sent = sent.at(order)
        is_ok = sent.outcome == sample.kinds.index(OK)
        is_cut = sent.outcome == (sample.kinds.index(CANCELLED) if CANCELLED in sample.kinds else -1)
        rows[order[is_ok]] = np.arange(np.count_nonzero(is_ok))
        owners = rows[sample.gap_owners]
        return cls(
            times=Times.of(sent, is_ok),
            ends_s=sent.finished_s[is_ok],
            is_failed=(~is_ok)[~is_cut].astype(np.float64),
            gaps_s=sample.gaps_us[owners >= 0] / US_PER_S,
            gap_owners=owners[owners >= 0],
        )

    def tpot_s(self) -> Array:
        """Of answers with more than one token [s]."""
        return np.asarray(self.times.tpot_s[~np.isnan(self.times.tpot_s)])

    def tokens_per_s(self) -> Array:
        """Output of the answers that ended in each of 20 windows of time; empty where they are few [tokens/s]."""
        if self.ends_s.size < _WINDOWS * _LEAST_PER_WINDOW or np.isnan(self.ends_s).any():
            return np.empty(0)
        span_s = float(self.times.due_s.min()), float(self.ends_s.max())
        totals, edges_s = np.histogram(self.ends_s, _WINDOWS, span_s, weights=self.times.output_tokens)
        return np.asarray(totals / np.diff(edges_s))

    def itl(self, fraction: float) -> Resampled:
        """A percentile of all gaps, of which each answer has many; empty where there are none."""
        if not self.gaps_s.size:
            return Values(np.empty(0), percentile(fraction))
        return PooledPercentile.of(self.gaps_s, self.gap_owners, self.ends_s.size, fraction)


def _percentile(name: str, fraction: float, values: Callable[[_Seen], Array]) -> _Metric:
    return _Metric(
        f"{name} p{100 * fraction:.0f} [s]", lambda seen: Values(values(seen), percentile(fraction)), fraction
    )


def _itl(fraction: float) -> _Metric:
    return _Metric(f"ITL p{100 * fraction:.0f} [s]", lambda seen: seen.itl(fraction), fraction)


_METRICS = (
    _percentile("TTFT", 0.5, lambda seen: seen.times.ttft_s),
    _percentile("TTFT", 0.95, lambda seen: seen.times.ttft_s),
    _itl(0.5),
    _itl(0.95),
    _percentile("TPOT", 0.5, _Seen.tpot_s),
    _percentile("TPOT", 0.95, _Seen.tpot_s),
    _percentile("E2E", 0.5, lambda seen: seen.times.e2e_s),
    _percentile("E2E", 0.95, lambda seen: seen.times.e2e_s),
    _Metric("output [tokens/s]", lambda seen: Values(seen.tokens_per_s(), mean), is_less_better=False),
    _Metric("failed [fraction]", lambda seen: Values(seen.is_failed, mean)),
)
