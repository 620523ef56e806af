"""Rules across the fields of a scenario: each by a good and a bad value, and all of them reported at once."""

import datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from planner.schema.scenario import Current, Requirements, Scenario, TokenLengths, Traffic

API = {"name": "mid-tier", "price": {"input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6}}
HOSTING = {"name": "owned", "tenure": "purchase", "purchase_usd_per_replica": 1.0, "capacity": {"requests_per_s": 5.0}}
TRAFFIC = {"requests_per_month": 1000, "input_tokens": 1200, "output_tokens": 300}
SCENARIO = {
    "schema": "planner.scenario/1",
    "name": "Support chat",
    "as_of": "2026-11-24",
    "currency": "USD",
    "horizon_months": 36,
    "traffic": TRAFFIC,
    "api": [API],
}


def problems(model: type[BaseModel], data: Any) -> list[tuple[str, str]]:
    """Every problem as (field, message); empty where the data are right."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        return [(".".join(map(str, line["loc"])), line["msg"]) for line in error.errors()]
    return []


def without(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}


def test_the_least_scenario_and_its_defaults() -> None:
    scenario = Scenario.model_validate(SCENARIO)
    assert scenario.as_of == datetime.date(2026, 11, 24)
    assert scenario.discount_rate_fraction_per_year == 0.0
    assert scenario.materiality_fraction == 0.02
    assert scenario.service.attainment_fraction == 0.99
    assert scenario.traffic.shape_name == "steady"
    assert (scenario.traffic.output_tokens.mean, scenario.traffic.output_tokens.p95) == (300.0, None)
    assert scenario.api[0].success_fraction == 1.0
    assert scenario.requirements == Requirements()
    assert not scenario.decision_rule.measured_capacity


@pytest.mark.parametrize("key", ["schema", "name", "as_of", "currency", "horizon_months", "traffic"])
def test_required_keys(key: str) -> None:
    assert problems(Scenario, without(SCENARIO, key)) == [(key, "Field required")]


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("schema", ["planner.scenario/1"], ["planner.scenario/2", "planner.plan/1", "", 1, None]),
        ("name", ["x", "Support chat, steady", "x" * 120], ["", " x", "x ", "a\nb", "x" * 121, 5, None]),
        ("as_of", ["2026-11-24", datetime.date(2026, 11, 24)], ["2026-02-30", "24.11.2026", "soon", 20261124, None]),
        ("currency", ["USD", "EUR"], ["usd", "US", "USDT", "$", "USD\n", 5, None]),
        ("current", [{"option": "mid-tier"}, {"usd_per_month": 9000}, None], [{"option": ""}, "mid-tier", 9000]),
        ("api", [[API]], [API, "mid-tier", None]),
    ],
)
def test_values_of_a_key(key: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert problems(Scenario, SCENARIO | {key: value}) == []
    for value in bad:
        assert key in [field.partition(".")[0] for field, _ in problems(Scenario, SCENARIO | {key: value})], value


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("data_residency", ["none", "preferred", "required"]),
        ("fine_tuning", ["none", "helpful", "required"]),
        ("frontier_capability", ["none", "some_tasks", "required"]),
        ("gpu_operations_experience", ["none", "some", "strong"]),
        ("growth", ["predictable", "uncertain"]),
        ("offline", [True, False]),
    ],
)
def test_values_of_a_requirement(name: str, good: list[Any]) -> None:
    for value in [*good, None]:
        assert problems(Requirements, {name: value}) == []
    for value in ("yes", "", 1, 0, [good[0]]):
        assert [field for field, _ in problems(Requirements, {name: value})] == [name]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"api": []}, "needs at least one option under hosting or api"),
        ({"api": [API, API]}, "option names must differ"),
        ({"hosting": [HOSTING], "api": [API, API | {"name": "owned"}]}, "twice: owned"),
        ({"hosting": [HOSTING], "api": [API, API | {"name": "owned + mid-tier"}]}, "twice: owned + mid-tier"),
    ],
)
def test_options_that_cannot_be_told_apart(changes: dict[str, Any], words: str) -> None:
    ((field, message),) = problems(Scenario, SCENARIO | changes)
    assert field == ""
    assert words in message


@pytest.mark.parametrize("option", ["owned", "mid-tier", "owned + mid-tier"])
def test_the_current_option_may_be_any_of_the_scenario(option: str) -> None:
    assert problems(Scenario, SCENARIO | {"hosting": [HOSTING], "current": {"option": option}}) == []


def test_the_current_option_must_exist() -> None:
    data = SCENARIO | {"hosting": [HOSTING], "current": {"option": "mid tier"}}
    words = "option must be one of: owned, mid-tier, owned + mid-tier; given: mid tier"
    assert problems(Scenario, data) == [("current", words)]


@pytest.mark.parametrize("data", [{}, {"option": "a", "usd_per_month": 5}])
def test_what_is_paid_now_is_an_option_or_a_sum(data: dict[str, Any]) -> None:
    assert problems(Current, data) == [("", "needs exactly one of option, usd_per_month")]


@pytest.mark.parametrize(
    ("mean", "p95", "is_right"),
    [(1200, 4000, True), (100, 100, True), (100, 386.7, True), (100, 99.9, False), (100, 387, False), (0, 5, False)],
)
def test_p95_of_lengths(mean: float, p95: float, is_right: bool) -> None:
    found = problems(TokenLengths, {"mean": mean, "p95": p95})
    if is_right:
        assert found == []
    else:
        ((field, message),) = found
        assert field == "p95"
        assert f"between the mean and 3.868 times the mean, as in every lognormal; the mean is {mean}" in message


@pytest.mark.parametrize(
    ("levels", "given"),
    [
        ({}, "none"),
        ({"requests_per_month": 0, "history": "h.csv"}, "requests_per_month and history"),
        ({"history": "h.csv", "forecast": "f.yaml"}, "history and forecast"),
    ],
)
def test_traffic_has_exactly_one_level(levels: dict[str, Any], given: str) -> None:
    ((field, message),) = problems(Traffic, {"input_tokens": 1, "output_tokens": 1} | levels)
    assert field == ""
    assert message == f"needs exactly one of requests_per_month, history, forecast; given: {given}"


@pytest.mark.parametrize("level", [{"requests_per_month": 0}, {"history": "h.csv"}, {"forecast": "f.yaml"}])
def test_each_level_will_do(level: dict[str, Any]) -> None:
    assert problems(Traffic, {"input_tokens": 1, "output_tokens": 1} | level) == []


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"shape": "history"}, "shape", "needs `history: FILE`"),
        ({"shape": "diurnal", "peak_to_mean": 24}, "peak_to_mean", "below 24"),
        ({"shape": "bursty", "peak_to_mean": 20.1}, "peak_to_mean", "times burst_hours_fraction (0.05)"),
        ({"shape": "bursty", "peak_to_mean": 3, "burst_hours_fraction": 0.5}, "peak_to_mean", "(0.5)"),
        ({"shape": "weekly"}, "shape", "'steady', 'diurnal', 'bursty' or 'history'"),
        ({"input_tokens": None}, "", "input_tokens is missing"),
        ({"output_tokens": None}, "", "output_tokens is missing"),
    ],
)
def test_shapes_and_lengths_that_cannot_be(changes: dict[str, Any], field: str, words: str) -> None:
    ((found, message),) = problems(Traffic, TRAFFIC | changes)
    assert found == field
    assert words in message


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": "diurnal", "peak_to_mean": 23.9},
        {"shape": "bursty", "peak_to_mean": 20},
        {"shape": "bursty", "peak_to_mean": 2, "burst_hours_fraction": 0.5},
        {"shape": "steady", "peak_to_mean": 100},
        {"requests_per_month": None, "history": "h.csv", "shape": "history"},
        {"requests_per_month": None, "history": "h.csv", "input_tokens": None, "output_tokens": None},
    ],
)
def test_shapes_and_lengths_that_can_be(changes: dict[str, Any]) -> None:
    assert problems(Traffic, TRAFFIC | changes) == []


@pytest.mark.parametrize(
    ("traffic", "shape"),
    [
        (TRAFFIC, "steady"),
        (TRAFFIC | {"shape": "diurnal"}, "diurnal"),
        ({"history": "h.csv"}, "history"),
        ({"history": "h.csv", "shape": "steady"}, "steady"),
    ],
)
def test_the_shape_in_force(traffic: dict[str, Any], shape: str) -> None:
    assert Traffic.model_validate(traffic).shape_name == shape


def test_all_mistakes_are_reported_at_once() -> None:
    data = SCENARIO | {
        "name": " x",
        "horizon_months": True,
        "colour": "red",
        "traffic": {
            "requests_per_month": "5",
            "input_tokens": {"mean": 10, "p95": 5},
            "shape": "bursty",
            "peak_to_mean": 50,
            "burstiness": -1,
        },
        "hosting": [{"name": "own", "tenure": "spot", "power": {"idle_w": 9, "busy_w": 8, "pue": 0.5}}],
        "api": [{"name": "api", "price": {"input_usd_per_mtok": float("nan")}, "retry_fraction": "0.1"}],
        "current": {"option": "other"},
    }
    fields = sorted(field for field, _ in problems(Scenario, data))
    assert fields == sorted(
        [
            "name",
            "horizon_months",
            "colour",
            "traffic.requests_per_month",
            "traffic.input_tokens.p95",
            "traffic.peak_to_mean",
            "traffic.burstiness",
            "traffic",  # output_tokens is missing
            "hosting.0",  # neither profile nor capacity
            "hosting.0",  # no rent
            "hosting.0.power.busy_w",
            "hosting.0.power.pue",
            "api.0.price",  # no price of generated tokens
            "api.0.price.input_usd_per_mtok",
            "api.0.retry_fraction",
            "current",
        ]
    )


def test_a_scenario_cannot_be_changed_once_read() -> None:
    scenario = Scenario.model_validate(SCENARIO)
    with pytest.raises(ValidationError, match="frozen"):
        scenario.horizon_months = 12
