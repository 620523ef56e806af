"""The picture of cost against volume, as SVG."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from planner.report import figures
from planner.report.blocks import plain, unique
from planner.schema.plan import Curve, Plan

# Okabe and Ito's colours, which people with any colour vision can tell apart, without the pale yellow.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#444444")
_SOLID = [1, 0]
_DASHES = ([6, 4], [2, 3], [9, 3, 2, 3])
_INK, _GRID, _BAND = "#27313c", "#e6e9ed", "#0072B2"
_FONT = "Helvetica, Arial, sans-serif"
_ABOVE_NOW, _BELOW_NOW = 30.0, 10.0
"""How far the picture goes beyond the costs at today's volume, as factors."""


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


def volume_chart(plan: Plan, size: Size) -> str | None:
    """SVG of each option's cost per 1,000 accepted answers at other volumes, or None without volumes to show."""
    if plan.curves is None:
        return None
    curves = plan.curves.options
    # A control character in a name makes the renderer abort the whole process.
    shown = unique([plain(curve.name) for curve in curves])
    chosen = next((name for name, curve in zip(shown, curves, strict=True) if curve.name == plan.verdict.option), None)
    curves = [curve.model_copy(update={"name": name}) for name, curve in zip(shown, curves, strict=True)]
    points = [point for curve in curves for point in _points(plan.curves.requests_per_month, curve)]
    if not points:
        return None

    # Starting the renderer takes a third of a second, which only those who draw should pay.
    import vl_convert  # noqa: PLC0415

    svg: str = vl_convert.vegalite_to_svg(json.dumps(_spec(plan, curves, chosen, points, size)))
    # The renderer numbers its clipping areas from one picture to the next; the same plan must give the same bytes.
    numbers = {found: str(at) for at, found in enumerate(dict.fromkeys(re.findall(r'id="clip(\d+)"', svg)))}
    return re.sub(r'(id="clip|url\(#clip)(\d+)', lambda match: match[1] + numbers[match[2]], svg)


def _points(volumes: list[float], curve: Curve) -> list[dict[str, Any]]:
    return [
        {"volume": volume, "cost": cost * 1000, "option": curve.name}
        for volume, cost in zip(volumes, curve.cost_per_success_usd, strict=True)
        if cost is not None and cost > 0 and volume > 0
    ]


def _spec(
    plan: Plan, curves: list[Curve], chosen: str | None, points: list[dict[str, Any]], size: Size
) -> dict[str, Any]:
    now = plan.break_even.now_requests_per_month
    x_domain = _x_domain(points, now)
    y_domain = _y_domain(points, now)
    layers = [_band(plan, x_domain, size), *_lines(curves, chosen, points, size)]
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
                "axis": _axis(_ticks(x_domain, size.x_ticks), "replace(format(datum.value, '~s'), 'G', 'B')"),
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


def _lines(curves: list[Curve], chosen: str | None, points: list[dict[str, Any]], size: Size) -> list[dict[str, Any]]:
    """A line for each option, and a halo around the chosen one."""
    names = [curve.name for curve in curves]
    hybrids = [name for name, curve in zip(names, curves, strict=True) if curve.kind == "hybrid"]
    dashes = [_DASHES[hybrids.index(name) % len(_DASHES)] if name in hybrids else _SOLID for name in names]
    colours = [_COLOURS[at % len(_COLOURS)] for at in range(len(names))]
    legend = {
        "orient": "bottom",
        "title": None,
        "columns": size.legend_columns,
        "symbolType": "stroke",
        "symbolSize": 500,
        "labelLimit": size.label_limit,
    }
    by_option = {"field": "option", "type": "nominal", "sort": None, "legend": legend}
    place = {"x": {"field": "volume"}, "y": {"field": "cost"}}
    lines = {
        "data": {"values": points},
        "mark": {"type": "line", "clip": True, "strokeJoin": "round"},
        "encoding": {
            **place,
            "color": {**by_option, "scale": {"domain": names, "range": colours}},
            "strokeDash": {**by_option, "scale": {"domain": names, "range": dashes}},
        },
    }
    if chosen is None:
        return [lines]
    colour = colours[names.index(chosen)]
    halo = {
        "data": {"values": [point for point in points if point["option"] == chosen]},
        "mark": {"type": "line", "clip": True, "strokeWidth": 9, "opacity": 0.25, "color": colour},
        "encoding": place,
    }
    return [halo, lines]


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
    label = "hosting or hybrid cheaper" if room > 150 else "in house" if room > 40 else ""
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
    is_left = math.log(now / x_domain[0]) < math.log(x_domain[1] / x_domain[0]) / 2
    here = {"values": [{"volume": now}]}
    rule = {"type": "rule", "color": _INK, "strokeWidth": 1.5, "strokeDash": [3, 3]}
    text = {
        "type": "text",
        "text": ["you are here", f"{figures.count(now)}/month"],
        "align": "left" if is_left else "right",
        "dx": 6 if is_left else -6,
        "color": _INK,
        "fontSize": 12,
        "fontWeight": "bold",
        "baseline": "top",
    }
    at_top = {"x": {"field": "volume"}, "y": {"value": 4}}
    behind = {**text, "color": "white", "stroke": "white", "strokeWidth": 5, "opacity": 0.85}
    return [
        {"data": here, "mark": rule, "encoding": {"x": {"field": "volume"}, "y": None}},
        {"data": here, "mark": behind, "encoding": at_top},
        {"data": here, "mark": text, "encoding": at_top},
    ]


def _x_domain(points: list[dict[str, Any]], now: float) -> list[float]:
    volumes = [point["volume"] for point in points] + ([now] if now > 0 else [])
    low, high = min(volumes), max(volumes)
    return [low, high] if low < high else [low / 10, high * 10]


def _y_domain(points: list[dict[str, Any]], now: float) -> list[float]:
    """The range of costs, cut where it would make what lies around today's volume unreadable."""
    nearest = min((abs(math.log(point["volume"] / now)), point["volume"]) for point in points)[1] if now > 0 else None
    at_now = [point["cost"] for point in points if nearest in (None, point["volume"])]
    costs = [point["cost"] for point in points]
    low = max(min(costs), min(at_now) / _BELOW_NOW) * 0.8
    high = min(max(costs), min(at_now) * _ABOVE_NOW) * 1.25
    return [low, high]


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
