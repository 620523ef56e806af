"""What the file format has and this version does not compute: refused by name, never ignored."""

from collections.abc import Iterator, Mapping
from typing import Any

from planner.errors import Problem
from planner.store.documents import Document, Loc

_NOT_IN_THIS_VERSION = "not in this version"

_TRAFFIC = {"forecast": "forecasts; allowed: requests_per_month or history"}
_HOSTING = {
    "bakeoff": "success from a bake-off; allowed: success_fraction",
    "term_months": "terms of a reservation",
    "upfront_fraction": "terms of a reservation",
    "interruptions_per_month": "interruptions of spot machines",
    "restart_s": "interruptions of spot machines",
}
_API = {
    "bakeoff": "success from a bake-off; allowed: success_fraction",
    "rate_limits": "rate limits",
}
_SCALING = {"cold_start_s": "autoscaling", "min_replicas": "autoscaling"}
_TENURES = ("reserved", "spot")


def not_in_this_version(document: Document) -> list[Problem]:
    """Every use of something that this version does not compute, as problems with their places."""
    return [document.problem(loc, f"{_NOT_IN_THIS_VERSION}: {what}") for loc, what in _refusals(document.data)]


def _refusals(data: Any) -> Iterator[tuple[Loc, str]]:
    if not isinstance(data, Mapping):
        return
    for loc, block in _blocks(data, "traffic"):
        yield from _named(loc, block, _TRAFFIC)
    for loc, block in _blocks(data, "hosting"):
        yield from _named(loc, block, _HOSTING)
        if block.get("tenure") in _TENURES:
            yield (*loc, "tenure"), f"tenure: {block['tenure']}; allowed: purchase, on_demand"
        scaling = block.get("scaling")
        if isinstance(scaling, Mapping):
            if scaling.get("mode") == "autoscale":
                yield (*loc, "scaling", "mode"), "autoscaling; allowed: fixed"
            yield from _named((*loc, "scaling"), scaling, _SCALING)
    for loc, block in _blocks(data, "api"):
        yield from _named(loc, block, _API)
    for section in ("traffic", "hosting", "api"):
        yield from _doubts((section,), data.get(section))


def _blocks(data: Mapping[str, Any], section: str) -> Iterator[tuple[Loc, Mapping[str, Any]]]:
    """The mapping of a section, or each mapping of its list."""
    value = data.get(section)
    if isinstance(value, Mapping):
        yield (section,), value
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                yield (section, index), item


def _named(loc: Loc, block: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[tuple[Loc, str]]:
    for name, what in names.items():
        if block.get(name) is not None:
            yield (*loc, name), what


def _doubts(loc: Loc, value: Any) -> Iterator[tuple[Loc, str]]:
    """Numbers written as a spread: `uncertain: {…}`, `{p10: , p50: , p90: }`, `{samples: FILE}`."""
    if isinstance(value, Mapping):
        if "uncertain" in value or "samples" in value or {"p10", "p50", "p90"} <= set(value):
            yield loc, "doubt about a number (uncertain:); allowed: a plain number"
            return
        for key, item in value.items():
            yield from _doubts((*loc, key), item)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _doubts((*loc, index), item)
