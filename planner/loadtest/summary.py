"""A load point's records as its figures, and what they are worth."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.core.latency import meets_slo, statistics, time_per_output_token
from planner.engines.answers import CANCELLED, OK
from planner.loadtest.driver import Outcome
from planner.loadtest.trends import is_backlog_growing, is_steady
from planner.schema.benchmark import ClientHealth, LoadPoint, RequestCounts, RequestRecord, Statistics
from planner.schema.scenario import Slo

Array = NDArray[np.float64]

LAG_LIMIT_S, LAG_LIMIT_OF_TTFT = 0.025, 0.25
CPU_LIMIT_FRACTION = 0.95
_REJECTED_FRACTION = 0.1
_REJECTIONS = ("http_429", "http_503")
_CHUNK_OF_ONE = 1.05
_NEAR_FRACTION = 0.05
"""Lengths that are off by more than this from what was asked are told."""


def client_health(outcome: Outcome, ttft_s: Statistics) -> ClientHealth:
    """Whether the load generator kept up.

    It did not where it used more than 95 % of a core, or where, in an open loop, the 99th percentile of its lag is
    more than 25 ms and more than a quarter of the median TTFT: the latencies, which count from when requests were
    due, would then be the client's own.

    Args:
        outcome: of the driver.
        ttft_s: of the point [s].
    """
    lag_s = float(np.percentile(outcome.lags_s, 99)) if outcome.lags_s else None
    limit_s = max(LAG_LIMIT_S, LAG_LIMIT_OF_TTFT * (ttft_s.p50 or 0.0))
    is_late = lag_s is not None and lag_s > limit_s
    return ClientHealth(
        lag_p99_s=lag_s,
        cpu_fraction=outcome.cpu_fraction,
        is_saturated=is_late or outcome.cpu_fraction > CPU_LIMIT_FRACTION,
    )


def load_point(
    offered_requests_per_s: float | None,
    concurrency: int | None,
    outcome: Outcome,
    slo: Slo,
    notes: Sequence[str] = (),
) -> LoadPoint:
    """The figures of a load point; latencies are of the answers that came whole.

    Args:
        offered_requests_per_s: scheduled rate; None in a closed loop [requests/s].
        concurrency: users of a closed loop; None in an open one.
        outcome: what was sent, and what came of it.
        slo: the service level; goodput is null where it holds no limit.
        notes: further warnings.
    """
    records = outcome.records
    answered = [entry for entry in records if entry.outcome == OK]
    due_s = np.array([entry.due_s for entry in answered])
    first_s = np.array([entry.first_token_s or 0.0 for entry in answered])
    last_s = first_s + [sum(entry.gaps_s) for entry in answered]
    tokens = np.array([_output_tokens(entry) for entry in answered], dtype=np.float64)
    ttft_s, e2e_s = first_s - due_s, last_s - due_s
    tpot_s = time_per_output_token(first_s, last_s, tokens)
    gaps_s = [np.array(entry.gaps_s) for entry in answered]
    span_s = _span_s(records)
    ttft = statistics(ttft_s)
    has_slo = slo.ttft_p95_s is not None or slo.tpot_p95_s is not None
    good = int(meets_slo(ttft_s, tpot_s, slo).sum()) if has_slo else 0
    errors = Counter(entry.outcome for entry in records if entry.outcome not in (OK, CANCELLED))
    counts = RequestCounts(
        sent=len(records),
        ok=len(answered),
        failed=errors.total(),
        cancelled=len(records) - len(answered) - errors.total(),
    )
    client = client_health(outcome, ttft)
    is_settled = is_steady(due_s, e2e_s)
    is_overloaded = concurrency is None and _is_overloaded(records, errors)
    return LoadPoint(
        offered_requests_per_s=offered_requests_per_s,
        concurrency=concurrency,
        achieved_requests_per_s=len(answered) / span_s if span_s else 0.0,
        requests=counts,
        errors=dict(sorted(errors.items())),
        input_tokens_per_s=sum(_input_tokens(entry) for entry in answered) / span_s if span_s else 0.0,
        output_tokens_per_s=float(tokens.sum()) / span_s if span_s else 0.0,
        ttft_s=ttft,
        itl_s=statistics(np.concatenate([np.empty(0), *gaps_s]), [gaps.size for gaps in gaps_s]),
        tpot_s=statistics(tpot_s[~np.isnan(tpot_s)]),
        e2e_s=statistics(e2e_s),
        goodput_requests_per_s=(good / span_s if span_s else 0.0) if has_slo else None,
        goodput_fraction=good / len(records) if has_slo and records else None,
        client=client,
        is_steady=is_settled,
        is_saturated=is_overloaded,
        warnings=[*notes, *_state_warnings(is_overloaded, is_settled), *_warnings(outcome, answered, errors, client)],
    )


def _output_tokens(entry: RequestRecord) -> int:
    """As the server counted; its chunks, where it did not."""
    return len(entry.gaps_s) + 1 if entry.output_tokens is None else entry.output_tokens


def _input_tokens(entry: RequestRecord) -> int:
    return entry.asked_input_tokens if entry.input_tokens is None else entry.input_tokens


def _span_s(records: Sequence[RequestRecord]) -> float:
    """From the first scheduled send to the last completion [s]."""
    ends = [entry.finished_s for entry in records if entry.finished_s is not None and entry.outcome == OK]
    return max(0.0, max(ends) - min(entry.due_s for entry in records)) if ends else 0.0


def _is_overloaded(records: Sequence[RequestRecord], errors: Counter[str]) -> bool:
    """Whether the server turned more than a tenth of the requests away, or fell behind with them."""
    is_rejecting = sum(errors[kind] for kind in _REJECTIONS) > _REJECTED_FRACTION * len(records)
    known = [entry for entry in records if entry.finished_s is not None and entry.outcome != CANCELLED]
    due_s = np.array([entry.due_s for entry in known])
    finished_s = np.array([entry.finished_s or 0.0 for entry in known])
    return is_rejecting or is_backlog_growing(due_s, finished_s)


def _state_warnings(is_overloaded: bool, is_settled: bool | None) -> list[str]:
    if is_overloaded:
        return ["the server is saturated: more was offered than it could do"]
    if is_settled is False:
        return ["not steady: latencies show a trend; warm up longer, or measure longer"]
    return []


def _warnings(
    outcome: Outcome, answered: Sequence[RequestRecord], errors: Counter[str], client: ClientHealth
) -> list[str]:
    found = []
    if outcome.is_interrupted:
        found.append("interrupted: the figures are of the requests until then")
    if outcome.is_storm:
        found.append("given up: one request after the other failed")
    found += [_error_told(kind, count, outcome.records) for kind, count in sorted(errors.items())]
    if errors["timeout"]:
        found.append("requests that timed out would have been the slowest: the percentiles are lower bounds")
    if client.is_saturated:
        lag = "" if client.lag_p99_s is None else f"p99 of its lag {client.lag_p99_s:.3g} s, "
        found.append(f"the client did not keep up ({lag}{client.cpu_fraction:.2f} of a core): not to be trusted")
    if not answered:
        return found
    counted = [entry for entry in answered if entry.output_tokens is not None]
    if len(counted) < len(answered):
        uncounted = len(answered) - len(counted)
        found.append(f"the server counted no tokens in {uncounted} answers: each chunk of them is taken as one token")
    chunks = sum(len(entry.gaps_s) + 1 for entry in counted)
    if chunks and (per_chunk := sum(entry.output_tokens or 0 for entry in counted) / chunks) > _CHUNK_OF_ONE:
        found.append(f"{per_chunk:.3g} tokens per chunk: itl_s is of the gaps between chunks")
    return found + _length_warnings(answered)


def _error_told(kind: str, count: int, records: Sequence[RequestRecord]) -> str:
    said = next((entry.message for entry in records if entry.outcome == kind and entry.message), "")
    return f"{count} failed with {kind}" + (f"; the first: {said}" if said else "")


def _length_warnings(answered: Sequence[RequestRecord]) -> list[str]:
    """Where prompts or answers were not as long as asked."""
    found = []
    for what, pairs in (
        ("prompts", [(entry.asked_input_tokens, entry.input_tokens) for entry in answered]),
        ("answers", [(entry.asked_output_tokens, entry.output_tokens) for entry in answered]),
    ):
        known = [(asked, got) for asked, got in pairs if got is not None]
        asked, got = sum(pair[0] for pair in known), sum(pair[1] for pair in known)
        if known and abs(got - asked) > _NEAR_FRACTION * asked + len(known):
            found.append(f"{what} had {got / len(known):.4g} tokens on average; asked: {asked / len(known):.4g}")
    return found
