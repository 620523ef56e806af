"""Load points as tables for a terminal: one in full, or several side by side."""

from collections.abc import Sequence

from planner.report.columns import INTERVAL, aligned
from planner.report.server_side import server_facts, server_rows
from planner.schema.benchmark import ArrivalFigures, LoadPoint, Settling, Statistics, definitions
from planner.schema.simulation import Simulation

NOT_ESTIMABLE = "not estimable"
_NONE = "–"
_TIMES = (("TTFT", "ttft_s"), ("ITL", "itl_s"), ("TPOT", "tpot_s"), ("E2E", "e2e_s"), ("lag", "lag_s"))
_LEGEND = (
    *_TIMES,
    ("requests/s", "achieved_requests_per_s"),
    ("in tok/s", "input_tokens_per_s"),
    ("out tok/s", "output_tokens_per_s"),
    ("goodput", "goodput_requests_per_s"),
    ("sent", "arrivals"),
    ("server", "server"),
)
_COUNTS = ("load", "ok", "failed", "requests/s", "in tok/s", "out tok/s", "goodput")
_LOADS = (*_COUNTS, "TTFT p50", "p95", "TPOT p50", "p95", "E2E p95")
_DOUBTS = ("load", "sent/s", "CV", "lag p99", "TTFT p95", INTERVAL, "ITL p95", INTERVAL, "TPOT p95", INTERVAL)


def load_table(points: Sequence[LoadPoint]) -> str:
    """Load points with what their figures mean; times in milliseconds, intervals with 95 % confidence.

    A load beyond capacity is marked, and so are percentiles that are lower bounds, by ≥.

    Args:
        points: as measured or simulated.
    """
    shown = _in_full(points[0]) if len(points) == 1 else _side_by_side(points)
    return "\n".join([*shown, "", *_legend(points)]) + "\n"


def _side_by_side(points: Sequence[LoadPoint]) -> list[str]:
    loads = aligned([_LOADS, *(_load_row(point) for point in points)])
    doubts = aligned([_DOUBTS, *(_doubt_row(point) for point in points)])
    notes = [f"{_label(point)}: {_left_out(point.settling)}" for point in points if point.settling is not None]
    server = server_rows(points, [_label(point) for point in points])
    return [*loads, "", *doubts, *server, *(["", *notes] if notes else [])]


def _load_row(point: LoadPoint) -> tuple[str, ...]:
    mark = _mark(point)
    return (
        _label(point),
        f"{point.requests.ok:,}",
        f"{point.requests.failed:,}",
        f"{point.achieved_requests_per_s:.4g}",
        f"{point.input_tokens_per_s:,.0f}",
        f"{point.output_tokens_per_s:,.0f}",
        _NONE if point.goodput_requests_per_s is None else f"{point.goodput_requests_per_s:.4g}",
        *(
            _NONE if value is None else mark + _ms(value)
            for value in (point.ttft_s.p50, point.ttft_s.p95, point.tpot_s.p50, point.tpot_s.p95, point.e2e_s.p95)
        ),
    )


def _doubt_row(point: LoadPoint) -> tuple[str, ...]:
    arrivals, mark = point.arrivals or ArrivalFigures(requests_per_s=None, cv=None), _mark(point)
    return (
        _label(point),
        _number(arrivals.requests_per_s),
        _number(arrivals.cv),
        _ms(point.lag_s.p99),
        *_estimate(point.ttft_s.p95, point.ttft_s.ci95_p95, mark),
        *_estimate(point.itl_s.p95, point.itl_s.ci95_p95, mark),
        *_estimate(point.tpot_s.p95, point.tpot_s.ci95_p95, mark),
    )


def _in_full(point: LoadPoint) -> list[str]:
    """A load point alone."""
    requests, errors = point.requests, ", ".join(f"{kind} {count:,}" for kind, count in point.errors.items())
    ended = f"{requests.ok:,} ok, {requests.failed:,} failed" + (f" ({errors})" if errors else "")
    if requests.cancelled:
        ended += f", {requests.cancelled:,} cut off"
    facts = [
        ("load", _label(point)),
        *_basis_facts(point),
        ("requests", f"{requests.sent:,} sent, {ended}"),
        *_arrival_facts(point.arrivals),
        (
            "throughput",
            f"{point.achieved_requests_per_s:.4g} requests/s{_rates(point.ci95_achieved_requests_per_s)}, "
            f"{point.input_tokens_per_s:,.0f} input tokens/s, "
            f"{point.output_tokens_per_s:,.0f} output tokens/s{_rates(point.ci95_output_tokens_per_s)}",
        ),
    ]
    if point.goodput_requests_per_s is not None:
        share = "" if point.goodput_fraction is None else f", {point.goodput_fraction:.1%} of those sent"
        if point.ci95_goodput_fraction is not None:
            share += f" [{point.ci95_goodput_fraction[0]:.1%}–{point.ci95_goodput_fraction[1]:.1%}]"
        facts.append(("goodput", f"{point.goodput_requests_per_s:.4g} requests/s{share}"))
    facts += [*_course_facts(point), *_token_facts(point), *_client_facts(point), *server_facts(point.server)]
    width = max(len(name) for name, _ in facts)
    header = ("ms", "n", "mean", *(cell for name in ("p50", "p90", "p95", "p99") for cell in (name, INTERVAL)))
    rows = [
        _times_row(name, getattr(point, field), _mark(point)) for name, field in _TIMES if _is_shown(field, [point])
    ]
    return [*(f"{name:<{width}}  {value}" for name, value in facts), "", *aligned([header, *rows])]


def _basis_facts(point: LoadPoint) -> list[tuple[str, str]]:
    """What a simulation stands on, unless it is a measurement."""
    if not isinstance(point, Simulation) or point.basis == "measured":
        return []
    return [("profile", f"{point.basis}, not measured")]


def _arrival_facts(arrivals: ArrivalFigures | None) -> list[tuple[str, str]]:
    if arrivals is None or arrivals.requests_per_s is None:
        return []
    rate = f"{_number(arrivals.requests_per_s)} requests/s{_expected(arrivals.ci95_requests_per_s)}"
    cv = "" if arrivals.cv is None else f"; CV of the gaps {_number(arrivals.cv)}{_expected(arrivals.ci95_cv)}"
    return [("sent", rate + cv)]


def _expected(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" (expected {_number(interval[0])} to {_number(interval[1])})"


def _course_facts(point: LoadPoint) -> list[tuple[str, str]]:
    """Whether it was steady, and what it began with."""
    parts = [{True: "yes", False: "no", None: "cannot be told"}[point.is_steady]]
    if point.settling is not None:
        parts.append(_left_out(point.settling))
    return [("steady", "; ".join(parts))]


def _left_out(settling: Settling) -> str:
    return (
        f"the first {settling.requests:,} requests, {_number(settling.time_s)} s, are in no figure: "
        "the server was settling"
    )


def _rates(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" [{_number(interval[0])}–{_number(interval[1])}]"


def _token_facts(point: LoadPoint) -> list[tuple[str, str]]:
    parts = []
    if point.tokens_per_chunk is not None:
        parts.append(f"{_number(point.tokens_per_chunk)} per chunk")
    if point.cached_input_fraction is not None:
        parts.append(f"{point.cached_input_fraction:.1%} of the prompts out of the server's prefix cache")
    return [("tokens", ", ".join(parts))] if parts else []


def _client_facts(point: LoadPoint) -> list[tuple[str, str]]:
    client = point.client
    parts = []
    if client is not None and client.cpu_fraction is not None:
        parts.append(f"{client.cpu_fraction:.2f} of a core")
    if client is not None and client.loop_lag_p99_s is not None:
        parts.append(f"p99 of the lag of its event loop {_ms(client.loop_lag_p99_s)} ms")
    return [("client", ", ".join(parts))] if parts else []


def _times_row(name: str, times: Statistics, mark: str) -> tuple[str, ...]:
    mark = mark if name != "lag" else ""
    return (
        name,
        _NONE if times.n is None else f"{times.n:,}",
        _NONE if times.mean is None else mark + _ms(times.mean),
        *_estimate(times.p50, times.ci95_p50, mark),
        *_estimate(times.p90, times.ci95_p90, mark),
        *_estimate(times.p95, times.ci95_p95, mark),
        *_estimate(times.p99, times.ci95_p99, mark),
    )


def _is_shown(field: str, points: Sequence[LoadPoint]) -> bool:
    """Whether there is such a thing: a closed loop has no lag, and a simulation sends nothing."""
    if field == "lag_s":
        return any(point.lag_s.p50 is not None for point in points)
    if field == "arrivals":
        return any(point.arrivals is not None and point.arrivals.requests_per_s is not None for point in points)
    if field == "server":
        return any(point.server is not None for point in points)
    return field != "goodput_requests_per_s" or any(point.goodput_requests_per_s is not None for point in points)


def _legend(points: Sequence[LoadPoint]) -> list[str]:
    meanings = definitions()
    width = max(len(name) for name, _ in _LEGEND)
    lines = [
        f"{name:<{width}}  {meanings[field].replace('[s]', '[ms]')}"  # files hold seconds; a table reads better so
        for name, field in _LEGEND
        if _is_shown(field, points)
    ]
    lines.append(
        f"{INTERVAL:<{width}}  Confidence interval of the figure before it; {NOT_ESTIMABLE}: of too few requests."
    )
    if any(point.is_lower_bound for point in points):
        lines.append(
            f"{'≥':<{width}}  Requests timed out or were cut off that may have been the slowest: a lower bound."
        )
    return lines


def _label(point: LoadPoint) -> str:
    is_open = point.offered_requests_per_s is not None
    users = "1 user" if point.concurrency == 1 else f"{point.concurrency} users"
    load = f"{point.offered_requests_per_s:.4g}/s" if is_open else users
    return f"{load} (too much)" if point.is_saturated and is_open else load


def _mark(point: LoadPoint) -> str:
    return "≥" if point.is_lower_bound else ""


def _estimate(value: float | None, interval: tuple[float, float] | None, mark: str) -> tuple[str, str]:
    if value is None:
        return _NONE, ""
    doubt = NOT_ESTIMABLE if interval is None else f"{_ms(interval[0])}–{_ms(interval[1])}"
    return mark + _ms(value), f"[{doubt}]"


def _ms(seconds: float | None) -> str:
    return _NONE if seconds is None else _number(seconds * 1000)


def _number(value: float | None) -> str:
    """Four digits, without exponents.

    Example:
        >>> _number(12345.6), _number(123.456), _number(1.0), _number(0.01234)
        ('12,346', '123.5', '1.000', '0.012')
    """
    if value is None:
        return _NONE
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0
    return f"{value:,.{digits}f}"
