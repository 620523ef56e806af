"""A load's figures as samples of its requests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from planner.core.difference import Array, Ints, Resampled, Values, mean, percentile
from planner.core.pooled import PooledPercentile
from planner.core.quantiles import Counted, interval_ranks
from planner.engines.answers import CANCELLED, OK
from planner.loadtest.sample import US_PER_S, Sample
from planner.loadtest.times import Times
from planner.workflows.measurements import Measurement

_WINDOWS, _LEAST_PER_WINDOW = 20, 5
"""Throughput is compared by windows of time; where they hold too few answers, it is not."""


@dataclass(frozen=True)
class Seen:
    """A load's requests, in the order of the schedule, without those in which the server settled.

    Attributes:
        times: of the answers that came whole.
        ends_s: when each of them ended, shape (ok,) [s].
        is_failed: 1 for each request that failed, of those that were not cut off, shape (n,).
        gaps_us: between the chunks of answers that came whole, shape (gaps,) [µs].
        gap_owners: which of the answers that came whole each gap belongs to, shape (gaps,).
    """

    times: Times
    ends_s: Array
    is_failed: Array
    gaps_us: Counted
    gap_owners: Ints

    @classmethod
    def of(cls, measured: Measurement) -> "Seen":
        """The requests of one measurement."""
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
            gaps_us=sample.gaps_us[owners >= 0],
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


@dataclass(frozen=True)
class Metric:
    """A figure of a load.

    Attributes:
        name: with its unit.
        sample: of all times that a load was measured, each in the order of the schedule.
        fraction: of a percentile; None of a mean.
        is_less_better: whether less of it is better.
        is_of_load: whether it follows the rate that is offered, and says little of loads that are not the same.
    """

    name: str
    sample: Callable[[Sequence[Seen]], Resampled]
    fraction: float | None = None
    is_less_better: bool = True
    is_of_load: bool = False

    def is_estimable(self, sample: Resampled) -> bool:
        """Whether a sample is large enough to tell how good its figure is."""
        if self.fraction is None:
            return len(sample) >= _WINDOWS
        return interval_ranks(len(sample), self.fraction) is not None


def _percentile(name: str, fraction: float, values: Callable[[Seen], Array]) -> Metric:
    def sample(repeats: Sequence[Seen]) -> Resampled:
        return Values.joined([values(seen) for seen in repeats], percentile(fraction))

    return Metric(f"{name} p{100 * fraction:.0f} [s]", sample, fraction)


def _mean(name: str, values: Callable[[Seen], Array], is_throughput: bool = False) -> Metric:
    def sample(repeats: Sequence[Seen]) -> Resampled:
        return Values.joined([values(seen) for seen in repeats], mean)

    return Metric(name, sample, is_less_better=not is_throughput, is_of_load=is_throughput)


def _itl(fraction: float) -> Metric:
    def sample(repeats: Sequence[Seen]) -> Resampled:
        """A percentile of all gaps, of which each answer has many; empty where there are none."""
        answers = [seen.ends_s.size for seen in repeats]
        begins = np.cumsum(answers) - answers
        gaps_us = np.concatenate([seen.gaps_us for seen in repeats])
        owners = np.concatenate([begin + seen.gap_owners for begin, seen in zip(begins, repeats, strict=True)])
        if not gaps_us.size:
            return Values(np.empty(0), percentile(fraction))
        return PooledPercentile.of(gaps_us, owners, answers, fraction).per(US_PER_S)

    return Metric(f"ITL p{100 * fraction:.0f} [s]", sample, fraction)


METRICS = (
    _percentile("TTFT", 0.5, lambda seen: seen.times.ttft_s),
    _percentile("TTFT", 0.95, lambda seen: seen.times.ttft_s),
    _itl(0.5),
    _itl(0.95),
    _percentile("TPOT", 0.5, Seen.tpot_s),
    _percentile("TPOT", 0.95, Seen.tpot_s),
    _percentile("E2E", 0.5, lambda seen: seen.times.e2e_s),
    _percentile("E2E", 0.95, lambda seen: seen.times.e2e_s),
    _mean("output [tokens/s]", Seen.tokens_per_s, is_throughput=True),
    _mean("failed [fraction]", lambda seen: seen.is_failed),
)
