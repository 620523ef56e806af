"""The picture of cost against volume, as SVG."""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from planner.report import figures
from planner.report.blocks import plain, unique
from planner.report.findings import gate_decides, is_ruled_out
from planner.schema.plan import Choice, CostCurves, Curve, Plan

# Okabe and Ito's colours, which people with any colour vision can tell apart, without the pale yellow.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#444444")
_SOLID = [1.0, 0.0]
_DASHES: tuple[list[float], ...] = ([8, 3], [4, 2], [10, 2, 2, 2])
_MOST_LINES = 8
_LONGEST_NAME = 44
_INK, _GRID, _BAND = "#27313c", "#e6e9ed", "#0072B2"
_FONT = "Helvetica, Arial, sans-serif"
_ABOVE_NOW, _BELOW_NOW = 30.0, 10.0
"""How far the picture goes beyond the costs at today's volume, as factors."""
_MARGIN = 5.0
"""How far it goes below the lowest volume at which hosting or a hybrid is in it, as a factor."""
_DOT = 1.01
_LINE_MARK = {"type": "line", "clip": True, "strokeJoin": "round", "strokeWidth": 2.2}
# Below 1 the letter of a scale would be m, which people read as a million.
_VOLUME_LABEL = "datum.value < 1 ? format(datum.value, '~r') : replace(format(datum.value, '~s'), 'G', 'B')"


@dataclass(frozen=True)
class Size:
    """A rendering for a width of page."""

    width: int
    height: int
    legend_columns: int
    x_ticks: int
    label_limit: int


WIDE = Size(width=960, height=400, legend_columns=3, x_ticks=12, label_limit=250)
NARROW = Size(width=285, height=300, legend_columns=1, x_ticks=5, label_limit=280)


@dataclass(frozen=True)
class _Line:
    """A curve as it is drawn."""

    name: str
    kind: Choice
    colour: str
    dash: list[float]
    is_chosen: bool
    points: list[dict[str, Any]]


def volume_chart(plan: Plan, size: Size) -> str | None:
    """SVG of each option's cost per 1,000 accepted answers at other volumes, or None without volumes to show."""
    if plan.curves is None:
        return None
    lines = _lines_of(plan, plan.curves)
    if not any(line.points for line in lines):
        return None

    # Starting the renderer takes a third of a second, which only those who draw should pay.
    import vl_convert  # noqa: PLC0415

    svg: str = vl_convert.vegalite_to_svg(json.dumps(_spec(plan, lines, size)))
    # The renderer numbers its clipping areas from one picture to the next; the same plan must give the same bytes.
    numbers = {found: str(at) for at, found in enumerate(dict.fromkeys(re.findall(r'id="clip(\d+)"', svg)))}
    return re.sub(r'(id="clip|url\(#clip)(\d+)', lambda match: match[1] + numbers[match[2]], svg)


def _lines_of(plan: Plan, curves: CostCurves) -> list[_Line]:
    drawn = drawn_curves(plan, curves)
    # A control character in a name makes the renderer abort the whole process.
    names = unique(
        [_shortened(plain(curve.name)) + (" (ruled out)" if is_ruled_out(plan, curve) else "") for curve in drawn]
    )
    hybrids = [curve.name for curve in drawn if curve.kind == "hybrid"]
    lines = []
    for at, (name, curve) in enumerate(zip(names, drawn, strict=True)):
        colour = _COLOURS[at % len(_COLOURS)]
        lines.append(
            _Line(
                name=name,
                kind=curve.kind,
                colour=_faded(colour) if is_ruled_out(plan, curve) else colour,
                dash=_DASHES[hybrids.index(curve.name) % len(_DASHES)] if curve.kind == "hybrid" else _SOLID,
                is_chosen=curve.name == plan.verdict.option,
                points=_points(curves.requests_per_month, curve, name),
            )
        )
    return lines


def drawn_curves(plan: Plan, curves: CostCurves) -> list[Curve]:
    """The curves that a picture can hold: the chosen one, today's, the best of each kind, and then the cheapest."""
    now = plan.break_even.now_requests_per_month
    at = min(range(len(curves.requests_per_month)), key=lambda index: abs(curves.requests_per_month[index] - now))

    def cost(curve: Curve) -> float:
        here = curve.cost_per_success_usd[at]
        return math.inf if here is None else here

    by_cost = sorted(curves.options, key=cost)
    special = [plan.verdict.option, plan.current.option if plan.current else None]
    first = [curve for curve in by_cost if curve.name in special]
    best = [next((curve for curve in by_cost if curve.kind == kind), None) for kind in ("host", "hybrid", "api")]
    wanted = list(dict.fromkeys(curve.name for curve in (*first, *best, *by_cost) if curve is not None))[:_MOST_LINES]
    return [curve for curve in curves.options if curve.name in wanted]


def _shortened(name: str) -> str:
    """A long name without its middle, since names of one scenario often begin, or end, alike."""
    if len(name) <= _LONGEST_NAME:
        return name
    half = _LONGEST_NAME // 2
    return f"{name[: half - 1]}…{name[-half:]}"


def _points(volumes: list[float], curve: Curve, name: str) -> list[dict[str, Any]]:
    """Points of a curve; those with volumes between them at which the option does not exist are not to be joined."""
    points: list[dict[str, Any]] = []
    piece = 0
    for volume, cost in zip(volumes, curve.cost_per_success_usd, strict=True):
        if cost is None or cost <= 0 or volume <= 0:
            piece += 1
        else:
            points.append({"volume": volume, "cost": cost * 1000, "option": name, "piece": f"{name}/{piece}"})
    alone = {piece for piece, found in Counter(point["piece"] for point in points).items() if found == 1}
    # A line needs two points to be seen.
    dots = [{**point, "volume": point["volume"] * _DOT} for point in points if point["piece"] in alone]
    return points + dots


def _faded(colour: str) -> str:
    """The colour mixed with white."""
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(part * 0.5 + 255 * 0.5):02x}" for part in parts)


def _spec(plan: Plan, lines: list[_Line], size: Size) -> dict[str, Any]:
    now = plan.break_even.now_requests_per_month
    y_domain = _y_domain(lines, now)
    x_domain = _x_domain(lines, now, y_domain)
    layers = [_band(plan, x_domain, size), *_line_layers(lines, size)]
    if now > 0:
        layers += _now_rule(now, x_domain)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": size.width,
        "height": size.height,
        "padding": 6,
        "background": "white",
        "layer": layers,
        "encoding": {
            "x": {
                "type": "quantitative",
                "scale": {"type": "log", "domain": x_domain, "nice": False},
                "title": "requests per month",
                "axis": _axis(_ticks(x_domain, size.x_ticks), _VOLUME_LABEL),
            },
            "y": {
                "type": "quantitative",
                "scale": {"type": "log", "domain": y_domain, "nice": False},
                "title": f"{plan.scenario.currency} per 1,000 accepted answers",
                "axis": _axis(_ticks(y_domain, 8), "format(datum.value, ',.4~f')"),
            },
        },
        "config": {
            "font": _FONT,
            "view": {"stroke": None},
            "axis": {"labelColor": _INK, "titleColor": _INK, "labelFontSize": 12, "titleFontSize": 12},
            "legend": {"labelColor": _INK, "labelFontSize": 12},
        },
    }


def _axis(ticks: list[float], label: str) -> dict[str, Any]:
    look = {"gridColor": _GRID, "domainColor": "#9aa4af", "tickColor": "#9aa4af", "titleFontWeight": "normal"}
    return {"values": ticks, "labelExpr": label, "titlePadding": 10, "labelOverlap": True, **look}


def _line_layers(lines: list[_Line], size: Size) -> list[dict[str, Any]]:
    """A line for each option, and a halo around the chosen one."""
    legend = {
        "orient": "bottom",
        "title": None,
        "columns": size.legend_columns,
        "symbolType": "stroke",
        "symbolSize": 500,
        "labelLimit": size.label_limit,
    }
    names = [line.name for line in lines]
    by_option = {"field": "option", "type": "nominal", "sort": None, "legend": legend}
    place = {"x": {"field": "volume"}, "y": {"field": "cost"}, "detail": {"field": "piece"}}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": line.points},
            "mark": {**_LINE_MARK, "strokeWidth": 8, "opacity": 0.25, "color": line.colour},
            "encoding": place,
        }
        for line in lines
        if line.is_chosen
    ]
    layers.append(
        {
            "data": {"values": [point for line in lines for point in line.points]},
            "mark": _LINE_MARK,
            "encoding": {
                **place,
                "color": {**by_option, "scale": {"domain": names, "range": [line.colour for line in lines]}},
                "strokeDash": {**by_option, "scale": {"domain": names, "range": [line.dash for line in lines]}},
            },
        }
    )
    return layers


def _band(plan: Plan, x_domain: list[float], size: Size) -> dict[str, Any]:
    """Where hosting or a hybrid is cheaper: shaded over the full height, the widest named at its foot."""
    low, high = x_domain
    bands = []
    for start, end in plan.break_even.requests_per_month:
        left, right = max(start, low), min(high if end is None else end, high)
        if left < right:
            bands.append({"from": left, "to": right})
    bands.sort(key=lambda band: band["to"] / band["from"])
    widest = bands[-1:]
    room = sum(math.log(band["to"] / band["from"]) for band in widest) / math.log(high / low) * size.width
    label = "hosting or hybrid cheaper" + (", on cost alone" if gate_decides(plan) else "")
    label = label if room > len(label) * 6.5 else ""
    shape = {"mark": {"type": "rect", "color": _BAND, "opacity": 0.09}}
    text = {
        "data": {"values": widest},
        "mark": {"type": "text", "color": "#005a8c", "fontSize": 12, "text": label, "align": "right", "dx": -6},
        "encoding": {"x": {"field": "to"}, "x2": None, "y": {"value": size.height - 10}},
    }
    return {
        "data": {"values": bands},
        "layer": [
            {
                **shape,
                "encoding": {
                    "x": {"field": "from"},
                    "x2": {"field": "to"},
                    "y": {"value": 0},
                    "y2": {"value": size.height},
                },
            },
            text,
        ],
    }


def _now_rule(now: float, x_domain: list[float]) -> list[dict[str, Any]]:
    """A line at today's volume, named above the picture, where nothing can cross the words."""
    share = math.log(now / x_domain[0]) / math.log(x_domain[1] / x_domain[0])
    here = {"values": [{"volume": now}]}
    rule = {"type": "rule", "color": _INK, "strokeWidth": 1.5, "strokeDash": [3, 3]}
    text = {
        "type": "text",
        "text": f"you are here: {figures.count(now)}/month",
        "align": "left" if share < 1 / 3 else "right" if share > 2 / 3 else "center",
        "color": _INK,
        "fontSize": 12,
        "fontWeight": "bold",
        "baseline": "bottom",
    }
    return [
        {"data": here, "mark": rule, "encoding": {"x": {"field": "volume"}, "y": None}},
        {"data": here, "mark": text, "encoding": {"x": {"field": "volume"}, "y": {"value": -5}}},
    ]


def _y_domain(lines: list[_Line], now: float) -> list[float]:
    """The range of costs, cut where it would make what lies around today's volume unreadable."""
    points = [point for line in lines for point in line.points]
    costs = [point["cost"] for point in points]
    near = points
    if now > 0:
        nearest = min(points, key=lambda point: abs(math.log(point["volume"] / now)))["volume"]
        near = [point for point in points if point["volume"] == nearest]
    least = min(point["cost"] for point in near)
    # The chosen line stays in the picture where a requirement makes it a dear one.
    chosen = {line.name for line in lines if line.is_chosen}
    dearest = max((point["cost"] for point in near if point["option"] in chosen and now > 0), default=0.0)
    low = max(min(costs), least / _BELOW_NOW) * 0.7
    high = min(max(costs), max(least * _ABOVE_NOW, dearest * 2)) * 1.25
    return [low, high]


def _x_domain(lines: list[_Line], now: float, y_domain: list[float]) -> list[float]:
    """All volumes, without those so low that hosting and hybrids lie above the picture."""
    points = [point for line in lines for point in line.points]
    volumes = [point["volume"] for point in points] + ([now] if now > 0 else [])
    low, high = min(volumes), max(volumes)
    in_sight = [
        point["volume"] for line in lines if line.kind != "api" for point in line.points if point["cost"] <= y_domain[1]
    ]
    if in_sight:
        low = max(low, min([*in_sight, *([now] if now > 0 else [])]) / _MARGIN)
    return [low, high] if low < high else [low / 10, high * 10]


def _ticks(domain: list[float], most: int) -> list[float]:
    """Round values in a range: 1, 2 and 5 of each power of ten, or fewer where they would crowd."""
    low, high = domain
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{digit}e{power}") for power in decades for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= most:
            return ticks
    return ticks[:: math.ceil(len(ticks) / most)]
