"""Every number of a scenario: what it allows, what it refuses, and that nothing else passes for a number."""

import copy
import math
from typing import Any

import pytest
from pydantic import ValidationError

from planner.schema.scenario import Scenario

FULL: dict[str, Any] = {
    "schema": "planner.scenario/1",
    "name": "Support chat",
    "as_of": "2026-11-24",
    "currency": "USD",
    "horizon_months": 36,
    "discount_rate_fraction_per_year": 0.08,
    "materiality_fraction": 0.02,
    "traffic": {
        "requests_per_month": 12_000_000,
        "growth_fraction_per_month": 0.02,
        "shape": "bursty",
        "peak_to_mean": 2.0,
        "burst_hours_fraction": 0.05,
        "burstiness": 1.0,
        "input_tokens": {"mean": 1200, "p95": 4000},
        "output_tokens": 300,
        "cached_input_fraction": 0.3,
    },
    "service": {"slo": {"ttft_p95_s": 0.5, "tpot_p95_s": 0.04}, "attainment_fraction": 0.99},
    "hosting": [
        {
            "name": "owned",
            "capacity": {"requests_per_s": 5.0},
            "gpus_per_replica": 1,
            "tenure": "purchase",
            "purchase_usd_per_replica": 45_000,
            "usd_per_gpu_hour": 2.5,
            "lifetime_months": 48,
            "residual_fraction": 0.2,
            "term_months": 12,
            "upfront_fraction": 0.5,
            "interruptions_per_month": 2,
            "restart_s": 300,
            "scaling": {"mode": "fixed", "cold_start_s": 280, "min_replicas": 1},
            "power": {"idle_w": 300, "busy_w": 900, "pue": 1.4, "usd_per_kwh": 0.12},
            "colocation_usd_per_month_per_replica": 400,
            "maintenance_fraction_per_year": 0.05,
            "one_off_usd": 20_000,
            "operations": {"engineer_fraction": 0.25, "engineer_usd_per_year": 220_000},
            "requalification_usd_per_model_change": 4000,
            "price_change_fraction_per_year": {"rent": -0.1, "purchase": -0.15, "people": 0.03, "power": 0.02},
            "spare_replicas": 1,
            "prefix_hit_fraction": 0.0,
            "retry_fraction": 0.0,
            "success_fraction": 0.96,
        }
    ],
    "api": [
        {
            "name": "mid-tier",
            "price": {"input_usd_per_mtok": 0.15, "cached_input_usd_per_mtok": 0.075, "output_usd_per_mtok": 0.6},
            "retry_fraction": 0.02,
            "success_fraction": 0.97,
            "commitment": {"usd_per_month": 0, "discount_fraction": 0},
            "batch": {"share_fraction": 0, "discount_fraction": 0.5},
            "rate_limits": {"requests_per_min": 10_000, "tokens_per_min": 4_000_000},
            "price_change_fraction_per_year": -0.2,
        }
    ],
    "requirements": {"model_changes_per_year": 2},
    "decision_rule": {"minimum_probability": 0.8},
}

Path = tuple[str | int, ...]

# What each range allows at its ends, and what it refuses just outside.
FRACTION = ([0, 0.5, 1], [-0.01, 1.01])
NOT_NEGATIVE = ([0, 1e9], [-0.01, -1])
POSITIVE = ([1e-6, 1e9], [0, -1])
CHANGE = ([-0.99, 0, 10], [-1, -1.5, 10.1])
RETRIES = ([0, 10], [-0.1, 10.1])

RANGES: list[tuple[Path, tuple[list[float], list[float]]]] = [
    (("horizon_months",), ([1, 240], [0, 241, -1, 1.5])),
    (("discount_rate_fraction_per_year",), ([0, 0.5, 10], [-0.01, 10.1])),
    (("materiality_fraction",), FRACTION),
    (("traffic", "requests_per_month"), ([0, 1e-3, 1e15], [-1, 5e-324, 2e15])),
    (("traffic", "growth_fraction_per_month"), CHANGE),
    (("traffic", "peak_to_mean"), ([1, 20], [0.99, 0, -1, 1001])),
    (("traffic", "burst_hours_fraction"), ([0.001, 0.5], [0, 1, -0.1])),
    (("traffic", "burstiness"), NOT_NEGATIVE),
    (("traffic", "input_tokens", "mean"), ([1100, 4000], [-1])),
    (("traffic", "input_tokens", "p95"), ([1200, 4600], [0, -1])),
    (("traffic", "output_tokens"), ([0, 300.5], [-1])),
    (("traffic", "cached_input_fraction"), FRACTION),
    (("service", "slo", "ttft_p95_s"), POSITIVE),
    (("service", "slo", "tpot_p95_s"), POSITIVE),
    (("service", "attainment_fraction"), ([0.01, 1], [0, 1.01, -0.5])),
    (("hosting", 0, "capacity", "requests_per_s"), ([1e-6, 1e6], [0, -1, 1e-7, 2e6])),
    (("hosting", 0, "gpus_per_replica"), ([1, 1024], [0, 1025, 1.5])),
    (("hosting", 0, "purchase_usd_per_replica"), NOT_NEGATIVE),
    (("hosting", 0, "usd_per_gpu_hour"), NOT_NEGATIVE),
    (("hosting", 0, "lifetime_months"), ([1, 240], [0, 241, 12.5])),
    (("hosting", 0, "residual_fraction"), FRACTION),
    (("hosting", 0, "term_months"), ([1, 240], [0, 241])),
    (("hosting", 0, "upfront_fraction"), FRACTION),
    (("hosting", 0, "interruptions_per_month"), NOT_NEGATIVE),
    (("hosting", 0, "restart_s"), NOT_NEGATIVE),
    (("hosting", 0, "scaling", "cold_start_s"), NOT_NEGATIVE),
    (("hosting", 0, "scaling", "min_replicas"), ([0, 5], [-1, 0.5])),
    (("hosting", 0, "power", "idle_w"), ([0, 900], [-1])),
    (("hosting", 0, "power", "busy_w"), ([300, 1e5], [-1])),
    (("hosting", 0, "power", "pue"), ([1, 5], [0.99, 5.01])),
    (("hosting", 0, "power", "usd_per_kwh"), NOT_NEGATIVE),
    (("hosting", 0, "colocation_usd_per_month_per_replica"), NOT_NEGATIVE),
    (("hosting", 0, "maintenance_fraction_per_year"), FRACTION),
    (("hosting", 0, "one_off_usd"), ([0, 1e15], [-1, 2e15])),
    (("hosting", 0, "operations", "engineer_fraction"), ([0, 2.5, 100], [-0.1, 101])),
    (("hosting", 0, "operations", "engineer_usd_per_year"), NOT_NEGATIVE),
    (("hosting", 0, "requalification_usd_per_model_change"), NOT_NEGATIVE),
    *[(("hosting", 0, "price_change_fraction_per_year", k), CHANGE) for k in ("rent", "purchase", "people", "power")],
    (("hosting", 0, "spare_replicas"), ([0, 1000], [-1, 1001, 0.5])),
    (("hosting", 0, "prefix_hit_fraction"), FRACTION),
    (("hosting", 0, "retry_fraction"), RETRIES),
    (("hosting", 0, "success_fraction"), FRACTION),
    (("api", 0, "price", "input_usd_per_mtok"), NOT_NEGATIVE),
    (("api", 0, "price", "cached_input_usd_per_mtok"), NOT_NEGATIVE),
    (("api", 0, "price", "output_usd_per_mtok"), NOT_NEGATIVE),
    (("api", 0, "retry_fraction"), RETRIES),
    (("api", 0, "success_fraction"), FRACTION),
    (("api", 0, "commitment", "usd_per_month"), NOT_NEGATIVE),
    (("api", 0, "commitment", "discount_fraction"), FRACTION),
    (("api", 0, "batch", "share_fraction"), FRACTION),
    (("api", 0, "batch", "discount_fraction"), FRACTION),
    (("api", 0, "rate_limits", "requests_per_min"), POSITIVE),
    (("api", 0, "rate_limits", "tokens_per_min"), POSITIVE),
    (("api", 0, "price_change_fraction_per_year"), CHANGE),
    (("requirements", "model_changes_per_year"), ([0, 0.5, 365], [-1, 366])),
    (("decision_rule", "minimum_probability"), FRACTION),
]
IDS = [".".join(map(str, path)) for path, _ in RANGES]


def with_value(path: Path, value: Any) -> dict[str, Any]:
    data = copy.deepcopy(FULL)
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return data


def numbers_in(value: Any, path: Path = ()) -> set[Path]:
    if isinstance(value, dict):
        return set().union(*(numbers_in(item, (*path, key)) for key, item in value.items()))
    if isinstance(value, list):
        return set().union(*(numbers_in(item, (*path, index)) for index, item in enumerate(value)))
    return {path} if isinstance(value, int | float) else set()


def test_the_table_has_every_number_of_the_scenario() -> None:
    assert numbers_in(FULL) == {path for path, _ in RANGES}


@pytest.mark.parametrize(("path", "allowed"), [(path, allowed) for path, (allowed, _) in RANGES], ids=IDS)
def test_allowed_numbers_are_kept(path: Path, allowed: list[float]) -> None:
    for value in allowed:
        place: Any = Scenario.model_validate(with_value(path, value))
        for key in path:
            place = place[key] if isinstance(key, int) else getattr(place, key)
        assert getattr(place, "mean", place) == value


@pytest.mark.parametrize(("path", "refused"), [(path, refused) for path, (_, refused) in RANGES], ids=IDS)
def test_what_is_no_allowed_number_is_refused(path: Path, refused: list[float]) -> None:
    for value in [*refused, "1", True, False, math.nan, math.inf, -math.inf, [1], "NaN"]:
        with pytest.raises(ValidationError) as raised:
            Scenario.model_validate(with_value(path, value))
        locations = [error["loc"][: len(path)] for error in raised.value.errors()]
        assert path in locations, f"{value!r} at {path} gave {locations}"


@pytest.mark.parametrize(
    "path",
    [
        ("traffic", "peak_to_mean"),
        ("traffic", "output_tokens"),
        ("api", 0, "retry_fraction"),
        ("hosting", 0, "power", "idle_w"),
    ],
    ids=lambda path: str(path[-1]),
)
def test_a_number_too_large_for_a_float_is_refused(path: Path) -> None:
    with pytest.raises(ValidationError):
        Scenario.model_validate(with_value(path, 10**400))


def containers_in(value: Any, path: Path = ()) -> list[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    own = [path] if isinstance(value, dict) else []
    return own + [found for key, item in inner for found in containers_in(item, (*path, key))]


@pytest.mark.parametrize("path", containers_in(FULL), ids=lambda path: ".".join(map(str, path)) or "top")
def test_unknown_keys_are_refused_everywhere(path: Path) -> None:
    with pytest.raises(ValidationError) as raised:
        Scenario.model_validate(with_value((*path, "colour"), "red"))
    (error,) = raised.value.errors()
    assert error["type"] == "extra_forbidden"
    assert error["loc"] == (*path, "colour")
