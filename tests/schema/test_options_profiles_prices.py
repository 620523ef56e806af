"""Rules of options, service profiles and price books: a good and a bad value for each."""

import datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from planner.schema.options import ApiOption, ApiPrice, HostingOption, Operations, Power, PriceSource
from planner.schema.prices import AcceleratorPriceRow, ApiPriceRow, PriceBook
from planner.schema.profile import Profile, StepTime


def problems(model: type[BaseModel], data: Any) -> list[tuple[str, str]]:
    """Every problem as (field, message); empty where the data are right."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        return [(".".join(map(str, line["loc"])), line["msg"]) for line in error.errors()]
    return []


def without(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}


RENTED = {"name": "H100", "tenure": "on_demand", "usd_per_gpu_hour": 2.5, "capacity": {"requests_per_s": 5.0}}
OWNED = {"name": "H100", "tenure": "purchase", "purchase_usd_per_replica": 45_000, "profile": "h100.json"}


@pytest.mark.parametrize("data", [RENTED, OWNED, RENTED | {"tenure": "spot"}, RENTED | {"tenure": "reserved"}])
def test_hosting_that_is_complete(data: dict[str, Any]) -> None:
    option = HostingOption.model_validate(data)
    assert option.is_bought == (data["tenure"] == "purchase")
    assert option.lifetime_months == 48
    assert option.residual_fraction == 0.0


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        (without(RENTED, "capacity"), "", "needs exactly one of profile, capacity"),
        (RENTED | {"profile": "h100.json"}, "", "needs exactly one of profile, capacity"),
        (without(OWNED, "purchase_usd_per_replica"), "", "needs purchase_usd_per_replica with tenure: purchase"),
        (without(RENTED, "usd_per_gpu_hour"), "", "needs usd_per_gpu_hour with tenure: on_demand"),
        (without(RENTED, "usd_per_gpu_hour") | {"tenure": "reserved"}, "", "with tenure: reserved"),
        (without(RENTED, "usd_per_gpu_hour") | {"tenure": "spot"}, "", "with tenure: spot"),
        (RENTED | {"tenure": "leased"}, "tenure", "'purchase', 'reserved', 'on_demand' or 'spot'"),
        (without(RENTED, "tenure"), "tenure", "Field required"),
        (without(RENTED, "name"), "name", "Field required"),
        (RENTED | {"capacity": {}}, "capacity.requests_per_s", "Field required"),
        (RENTED | {"scaling": {"mode": "elastic"}}, "scaling.mode", "'fixed' or 'autoscale'"),
        (RENTED | {"price_source": {"source": "page"}}, "price_source.basis", "Field required"),
    ],
)
def test_hosting_that_is_not(data: dict[str, Any], field: str, words: str) -> None:
    ((found, message),) = problems(HostingOption, data)
    assert found == field
    assert words in message


def test_two_rules_broken_are_two_problems() -> None:
    found = problems(HostingOption, {"name": "H100", "tenure": "purchase"})
    assert len(found) == 2


@pytest.mark.parametrize(
    ("idle_w", "busy_w", "is_right"), [(300, 900, True), (300, 300, True), (0, 0, True), (300, 299.9, False)]
)
def test_work_takes_no_less_power_than_idling(idle_w: float, busy_w: float, is_right: bool) -> None:
    expected = [] if is_right else [("busy_w", f"must be at least idle_w ({idle_w})")]
    assert problems(Power, {"idle_w": idle_w, "busy_w": busy_w}) == expected


def test_idle_power_alone_lacks_the_power_at_work() -> None:
    assert problems(Power, {"idle_w": 300}) == [("busy_w", "must be at least idle_w (300)")]


@pytest.mark.parametrize(("fraction", "usd", "is_priced"), [(0.1, 1.0, True), (0.1, 0.0, False), (0.0, 1.0, False)])
def test_operations_are_priced_where_somebody_is_paid(fraction: float, usd: float, is_priced: bool) -> None:
    assert Operations(engineer_fraction=fraction, engineer_usd_per_year=usd).is_priced == is_priced


FIGURES = {"input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6}
ROW = {"catalog": "genai-prices", "provider": "openai", "model": "gpt-4o-mini"}


@pytest.mark.parametrize("data", [FIGURES, FIGURES | {"cached_input_usd_per_mtok": 0.075}, ROW])
def test_api_prices_as_figures_or_as_a_row(data: dict[str, Any]) -> None:
    assert problems(ApiPrice, data) == []
    assert problems(ApiOption, {"name": "api", "price": data}) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "given: none"),
        (without(FIGURES, "output_usd_per_mtok"), "given: input_usd_per_mtok"),
        (without(FIGURES, "input_usd_per_mtok"), "given: output_usd_per_mtok"),
        (FIGURES | {"provider": "openai"}, "given: input_usd_per_mtok, output_usd_per_mtok, provider"),
        (without(ROW, "catalog"), "given: provider, model"),
        (without(ROW, "model"), "a catalogue needs provider and model and no figures; given: provider"),
        (ROW | FIGURES, "a catalogue needs provider and model and no figures; given: input_usd_per_mtok"),
    ],
)
def test_api_prices_that_are_neither_or_both(data: dict[str, Any], words: str) -> None:
    ((field, message),) = problems(ApiPrice, data)
    assert field == ""
    assert words in message


@pytest.mark.parametrize(
    ("key", "value"), [("basis", "guess"), ("checked_on", "yesterday"), ("source", 5), ("checked_on", 20261120)]
)
def test_where_a_price_comes_from(key: str, value: Any) -> None:
    good = {"basis": "quote", "source": "offer 17", "checked_on": "2026-11-20"}
    assert PriceSource.model_validate(good).checked_on == datetime.date(2026, 11, 20)
    assert [field for field, _ in problems(PriceSource, good | {key: value})] == [key]
    assert [field for field, _ in problems(ApiPrice, FIGURES | {key: value})] == [key]


PROFILE = {
    "schema": "planner.profile/1",
    "name": "H100, 8B",
    "basis": "estimated",
    "step_time_s": {"base": 0.006, "per_prefill_token": 2.1e-5},
    "limits": {
        "max_num_seqs": 256,
        "max_num_batched_tokens": 8192,
        "kv_cache_tokens": 400_000,
        "block_tokens": 16,
        "max_model_len": 16_384,
    },
}
EVIDENCE = {
    "points": [{"offered_requests_per_s": 5.0}],
    "engine": {"name": "vllm", "version": "0.11"},
    "accelerator": {"name": "NVIDIA H100 80GB HBM3"},
    "provenance": ["run-1"],
}


@pytest.mark.parametrize("changes", [{}, {"basis": "emulated"}, {"basis": "measured", **EVIDENCE}])
def test_profiles_that_are_complete(changes: dict[str, Any]) -> None:
    assert problems(Profile, PROFILE | changes) == []


@pytest.mark.parametrize("lacking", ["points", "engine", "accelerator", "provenance"])
def test_a_measured_profile_shows_its_evidence(lacking: str) -> None:
    data = PROFILE | {"basis": "measured"} | without(EVIDENCE, lacking)
    assert problems(Profile, data) == [("basis", f"measured also needs {lacking}")]


@pytest.mark.parametrize("key", ["schema", "name", "basis", "step_time_s", "limits"])
def test_what_a_profile_must_have(key: str) -> None:
    assert problems(Profile, without(PROFILE, key)) == [(key, "Field required")]


@pytest.mark.parametrize("limit", list(PROFILE["limits"]))  # type: ignore[call-overload]
def test_limits_are_whole_and_above_zero(limit: str) -> None:
    for value in (0, -1, 1.5, "256", True):
        limits = PROFILE["limits"] | {limit: value}  # type: ignore[operator]
        assert [field for field, _ in problems(Profile, PROFILE | {"limits": limits})] == [f"limits.{limit}"]


def test_a_step_takes_time() -> None:
    assert problems(StepTime, {"base": 0, "per_sequence": 1e-5}) == []
    assert problems(StepTime, {"base": 0}) == [("", "at least one coefficient must be above 0")]
    assert [field for field, _ in problems(StepTime, {"base": -0.001})] == ["base"]


DATED = {"basis": "list", "source": "https://example.org/prices", "checked_on": "2026-11-20"}
API_ROW = DATED | {"provider": "openai", "model": "m", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0}
GPU_ROW = DATED | {"accelerator": "H100", "provider": "cloud", "tenure": "on_demand", "usd_per_gpu_hour": 2.5}
BOUGHT = without(GPU_ROW, "usd_per_gpu_hour") | {"tenure": "purchase", "purchase_usd_per_gpu": 30_000}
BOOK = {"schema": "planner.prices/1", "name": "book", "currency": "EUR", "api": [API_ROW], "accelerators": [GPU_ROW]}


def test_a_price_book() -> None:
    assert problems(PriceBook, BOOK) == []
    assert problems(PriceBook, without(BOOK, "api", "accelerators")) == []
    assert problems(PriceBook, BOOK | {"currency": "euro"})[0][0] == "currency"
    assert [field for field, _ in problems(PriceBook, BOOK | {"api": [API_ROW | {"model": ""}]})] == ["api.0.model"]


@pytest.mark.parametrize("key", ["basis", "source", "checked_on"])
def test_every_price_tells_where_it_is_from(key: str) -> None:
    for model, row in ((ApiPriceRow, API_ROW), (AcceleratorPriceRow, GPU_ROW)):
        assert problems(model, without(row, key)) == [(key, "Field required")]
        assert [field for field, _ in problems(model, row | {key: ""})] == [key]


@pytest.mark.parametrize("written", [str, datetime.date.fromisoformat], ids=["JSON", "YAML"])
def test_a_price_expires_after_it_was_checked(written: Any) -> None:
    # YAML has days of its own; in JSON they are text.
    def row(expires_on: str) -> dict[str, Any]:
        return API_ROW | {"checked_on": written("2026-11-20"), "expires_on": written(expires_on)}

    assert problems(ApiPriceRow, row("2026-11-21")) == []
    for expires_on in ("2026-11-20", "2026-11-01"):
        words = "must be after checked_on (2026-11-20)"
        assert problems(ApiPriceRow, row(expires_on)) == [("expires_on", words)]


@pytest.mark.parametrize("row", [GPU_ROW, GPU_ROW | {"tenure": "spot"}, GPU_ROW | {"tenure": "reserved"}, BOUGHT])
def test_accelerator_prices_by_tenure(row: dict[str, Any]) -> None:
    assert problems(AcceleratorPriceRow, row) == []


@pytest.mark.parametrize(
    "row",
    [
        without(GPU_ROW, "usd_per_gpu_hour"),
        GPU_ROW | {"purchase_usd_per_gpu": 1.0},
        GPU_ROW | {"tenure": "purchase"},
        BOUGHT | {"usd_per_gpu_hour": 2.5},
        BOUGHT | {"tenure": "spot"},
    ],
)
def test_accelerator_prices_that_do_not_fit_the_tenure(row: dict[str, Any]) -> None:
    needed, other = "usd_per_gpu_hour", "purchase_usd_per_gpu"
    if row["tenure"] == "purchase":
        needed, other = other, needed
    message = f"needs {needed} and not {other} with tenure: {row['tenure']}"
    assert problems(AcceleratorPriceRow, row) == [("", message)]
