"""A load point's requests as its figures, and what they are worth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.core.busy import busy_window, tokens_within
from planner.core.latency import gap_statistics, statistics
from planner.core.quantiles import Array, Ints
from planner.core.realised import cv_interval, rate_interval, realised
from planner.engines.answers import CANCELLED, CLIENT_LIMIT
from planner.loadtest.course import course
from planner.loadtest.rates import Rates
from planner.loadtest.remarks import AS_ASKED, Expected, remarks
from planner.loadtest.sample import UNKNOWN, Bools, Columns, Outcome
from planner.loadtest.times import Times, known
from planner.loadtest.trends import is_backlog_growing
from planner.schema.benchmark import (
    Arrival,
    ArrivalFigures,
    ClientHealth,
    LoadPoint,
    RequestCounts,
    Settling,
    Statistics,
)
from planner.schema.scenario import Slo

LAG_LIMIT_S, LAG_LIMIT_OF_TTFT = 0.025, 0.1
CPU_LIMIT_FRACTION = 0.95
_REJECTED_FRACTION = 0.1
_REJECTIONS = ("http_429", "http_503")
_TIMEOUT = "timeout"
"""How the kinds of failure begin that end a request which might have gone on."""


@dataclass(frozen=True)
class Offered:
    """The load that was asked for.

    Attributes:
        requests_per_s: scheduled rate; None in a closed loop [requests/s].
        concurrency: users of a closed loop; None in an open one.
        squared_cv: of the gaps of the process that the arrivals were drawn from; None where they were not.
        expected: what is so since it was asked.
    """

    requests_per_s: float | None
    concurrency: int | None = None
    squared_cv: float | None = None
    expected: Expected = AS_ASKED


def squared_cv_of(arrival: Arrival, burstiness: float) -> float | None:
    """Squared coefficient of variation of an arrival process's gaps; None where nobody knows it.

    Example:
        >>> squared_cv_of("poisson", 4.0), squared_cv_of("gamma", 4.0), squared_cv_of("trace", 1.0)
        (1.0, 4.0, None)
    """
    return {"poisson": 1.0, "constant": 0.0, "gamma": burstiness}.get(arrival)


def client_health(outcome: Outcome, lag_s: Statistics, ttft_s: Statistics, itl_s: Statistics) -> ClientHealth:
    """Whether the load generator kept up.

    It did not where it used more than 95 % of a core; where it could open no further connection; or where, in an open
    loop, the 99th percentile of its lag, or in any loop that of the lag of its event loop, is more than 25 ms and more
    than a tenth of the median TTFT, or the latter more than the median ITL. The latencies, which count from when
    requests were due to when their chunks were read, would then be the client's own.

    Args:
        outcome: of the driver.
        lag_s: from due to sent [s].
        ttft_s: of the point [s].
        itl_s: likewise [s].
    """
    of_ttft_s = LAG_LIMIT_OF_TTFT * (ttft_s.p50 or 0.0)
    of_gap_s = of_ttft_s if itl_s.p50 is None else min(of_ttft_s, itl_s.p50)
    loop_lag_s = float(np.percentile(outcome.loop_lags_s, 99)) if outcome.loop_lags_s else None
    lags = ((lag_s.p99, of_ttft_s), (loop_lag_s, of_gap_s))
    is_late = any(lag is not None and lag > max(LAG_LIMIT_S, limit_s) for lag, limit_s in lags)
    is_full = CLIENT_LIMIT in outcome.sample.kinds
    return ClientHealth(
        lag_p99_s=lag_s.p99,
        loop_lag_p99_s=loop_lag_s,
        cpu_fraction=outcome.cpu_fraction,
        is_saturated=is_late or is_full or (outcome.cpu_fraction or 0.0) > CPU_LIMIT_FRACTION,
    )


def load_point(offered: Offered, outcome: Outcome, slo: Slo, notes: Sequence[str] = ()) -> LoadPoint:
    """The figures of a load point; latencies are of the answers that came whole, once the server had settled.

    Args:
        offered: what was asked for.
        outcome: what was sent, and what came of it.
        slo: the service level; goodput is null where it holds no limit.
        notes: further warnings.
    """
    sample, sent = outcome.sample, outcome.sample.columns()
    is_ok = sent.outcome == 0
    errors = _errors(sample.kinds, sent.outcome)
    ok, failed, total = int(is_ok.sum()), sum(errors.values()), len(sample)
    counts = RequestCounts(sent=total, ok=ok, failed=failed, cancelled=total - ok - failed)
    went = course(sent, is_ok, offered.concurrency)
    is_behind = offered.concurrency is None and _is_behind(sent, sample.kinds)
    kept = sent.at(went.kept)
    times = Times.of(kept, kept.outcome == 0)
    rates = Rates.of(kept, times, slo, went, offered.concurrency)
    is_kept = np.zeros(total, dtype=np.bool_)
    is_kept[went.kept] = True
    itl = gap_statistics(sample.gaps_us, sample.gaps_per_request, sample.as_ended(is_kept), went.in_flight)
    ttft, lag = statistics(times.ttft_s, went.in_flight), _lag(offered, outcome, sent)
    point = LoadPoint(
        offered_requests_per_s=offered.requests_per_s,
        concurrency=offered.concurrency,
        achieved_requests_per_s=rates.requests_per_s,
        ci95_achieved_requests_per_s=rates.ci95_requests_per_s,
        arrivals=_arrivals(offered, sent.sent_s),
        requests=counts,
        errors=errors,
        settling=Settling(requests=went.left_out, time_s=went.settling_s) if went.left_out else None,
        input_tokens_per_s=rates.input_tokens_per_s,
        output_tokens_per_s=rates.output_tokens_per_s,
        ci95_output_tokens_per_s=rates.ci95_output_tokens_per_s,
        busy_output_tokens_per_s=_busy(offered, sent, is_ok),
        ttft_s=ttft,
        itl_s=itl,
        tpot_s=statistics(times.tpot_s[~np.isnan(times.tpot_s)], went.in_flight),
        e2e_s=statistics(times.e2e_s, went.in_flight),
        lag_s=lag,
        goodput_requests_per_s=rates.goodput_per_s,
        goodput_fraction=rates.goodput_fraction,
        ci95_goodput_fraction=rates.ci95_goodput_fraction,
        tokens_per_chunk=_tokens_per_chunk(sent),
        cached_input_fraction=_cached_fraction(sent, is_ok),
        other_models=dict(sorted(sample.other_models.items())),
        client=client_health(outcome, lag, ttft, itl),
        is_steady=False if is_behind else went.is_steady,
        is_saturated=is_behind or (offered.concurrency is None and _is_rejecting(errors, total)),
        is_lower_bound=counts.cancelled > 0 or any(kind.startswith(_TIMEOUT) for kind in errors),
    )
    return point.model_copy(update={"warnings": [*notes, *remarks(point, outcome, sent, went, offered.expected)]})


def _busy(offered: Offered, sent: Columns, is_ok: Bools) -> float | None:
    """Output of a closed loop while all its users waited [tokens/s]."""
    is_known = ~(np.isnan(sent.sent_s) | np.isnan(sent.finished_s))
    if offered.concurrency is None or not is_known.any():
        return None
    window = busy_window(sent.sent_s[is_known], sent.finished_s[is_known], offered.concurrency)
    if window is None:
        return None
    output_tokens = known(sent.output_tokens, sent.chunks)[is_ok].astype(np.float64)
    tokens = tokens_within(sent.first_token_s[is_ok], sent.last_token_s[is_ok], output_tokens, *window)
    return tokens / (window[1] - window[0])


def _errors(kinds: Sequence[str], outcome: Ints) -> dict[str, int]:
    """Failures by kind; the requests that were cut off by an interruption are none."""
    found = dict(zip(kinds[1:], np.bincount(outcome, minlength=len(kinds))[1:].tolist(), strict=True))
    found.pop(CANCELLED, None)
    return dict(sorted(found.items()))


def _lag(offered: Offered, outcome: Outcome, sent: Columns) -> Statistics:
    if offered.concurrency is not None or not outcome.knows_due:
        return Statistics()
    lag_s = np.maximum(0.0, sent.sent_s - sent.due_s)
    return statistics(lag_s[~np.isnan(lag_s)])


def _arrivals(offered: Offered, sent_s: Array) -> ArrivalFigures:
    """From when requests were sent in fact, whatever the schedule was."""
    sent_s = sent_s[~np.isnan(sent_s)]
    found, gaps = realised(sent_s), sent_s.size - 1
    rate_per_s, squared_cv = offered.requests_per_s, offered.squared_cv
    if rate_per_s is None or squared_cv is None:
        return ArrivalFigures(requests_per_s=found.requests_per_s, cv=found.cv)
    return ArrivalFigures(
        requests_per_s=found.requests_per_s,
        cv=found.cv,
        ci95_requests_per_s=rate_interval(rate_per_s, squared_cv, gaps),
        ci95_cv=cv_interval(squared_cv, gaps),
    )


def _tokens_per_chunk(sent: Columns) -> float | None:
    is_counted = (sent.chunks > 0) & (sent.output_tokens != UNKNOWN)
    chunks = int(sent.chunks[is_counted].sum())
    return int(sent.output_tokens[is_counted].sum()) / chunks if chunks else None


def _cached_fraction(sent: Columns, is_ok: Bools) -> float | None:
    is_told = is_ok & (sent.cached_input_tokens != UNKNOWN) & (sent.input_tokens > 0)
    prompts = int(sent.input_tokens[is_told].sum())
    return min(1.0, int(sent.cached_input_tokens[is_told].sum()) / prompts) if prompts else None


def _is_rejecting(errors: dict[str, int], total: int) -> bool:
    """Whether the server turned more than a tenth of the requests away."""
    return sum(errors.get(kind, 0) for kind in _REJECTIONS) > _REJECTED_FRACTION * total


def _is_behind(sent: Columns, kinds: Sequence[str]) -> bool:
    """Whether the server fell behind."""
    is_known = ~np.isnan(sent.finished_s)
    if CANCELLED in kinds:
        is_known &= sent.outcome != kinds.index(CANCELLED)
    return is_backlog_growing(sent.due_s[is_known], sent.finished_s[is_known])
