"""The register of every number a plan stands on: value, unit, basis, source, age."""

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from planner.prices.catalog import catalog_version, token_prices
from planner.schema.options import ApiOption, ApiPrice, HostingOption, PriceSource
from planner.schema.plan import Assumption, Basis
from planner.schema.scenario import hybrid_name
from planner.units import unit_of
from planner.workflows.question import LoadedScenario, requests_per_month

PRICE_MAX_AGE_DAYS = 60
"""From its 61st day on, a price is stale."""

_BASIS_OF_PRICE: dict[str, Basis] = {"list": "list", "quote": "quoted", "invoice": "quoted", "example": "assumed"}
_PRICED_FIELDS = ("purchase_usd_per_replica", "usd_per_gpu_hour")
_NOT_A_NUMBER_TO_DEFEND = {
    "schema_", "name", "price_source", "bakeoff", "profile", "forecast", "basis", "source", "checked_on", "catalog",
    "provider", "model", "scaling", "term_months", "upfront_fraction", "interruptions_per_month", "restart_s",
    "rate_limits", "currency", "as_of", "option",
}  # fmt: skip

Loc = tuple[int | str, ...]


def assumptions_of(loaded: LoadedScenario) -> list[Assumption]:
    """Every number of the scenario, given or default, in the order of the scenario's schema."""
    scenario = loaded.scenario
    everything = all_option_names(loaded)
    register = list(_leaves(loaded, (), scenario, "", everything, skip={"hosting", "api", "traffic"}))
    register += _traffic(loaded, everything)
    for index, hosting in enumerate(scenario.hosting):
        users = [hosting.name, *(hybrid_name(hosting.name, api.name) for api in scenario.api)]
        register += _leaves(loaded, ("hosting", index), hosting, f"hosting[{index}].", users)
        register += _profile_rows(loaded, index, users)
    for index, api in enumerate(scenario.api):
        users = [api.name, *(hybrid_name(hosting.name, api.name) for hosting in scenario.hosting)]
        register += _leaves(loaded, ("api", index), api, f"api[{index}].", users)
        register += _catalog_rows(loaded, index, api, users)
    return register


def all_option_names(loaded: LoadedScenario) -> list[str]:
    """Names of all options that the scenario can have, hybrids included."""
    hosting = [option.name for option in loaded.scenario.hosting]
    api = [option.name for option in loaded.scenario.api]
    return [*hosting, *api, *(hybrid_name(h, a) for h in hosting for a in api)]


def price_is_stale(checked_on: datetime.date, as_of: datetime.date) -> bool:
    """Whether a price was checked too long ago.

    Example:
        >>> day = datetime.date(2026, 11, 24)
        >>> price_is_stale(day - datetime.timedelta(60), day), price_is_stale(day - datetime.timedelta(61), day)
        (False, True)
    """
    return (as_of - checked_on).days > PRICE_MAX_AGE_DAYS


def _traffic(loaded: LoadedScenario, users: Sequence[str]) -> Iterator[Assumption]:
    history = loaded.history
    replaced = set()
    if history is not None:
        source = f"{loaded.scenario.traffic.history}, sha256 {history.sha256[:12]}, {history.rows} rows"
        replaced = {"history", "requests_per_month"}
        yield _assumption(
            "traffic.requests_per_month", requests_per_month(loaded), "requests/month", "measured", source, users
        )
        for key in ("input_tokens", "output_tokens"):
            lengths = getattr(history, key)
            if lengths is not None:
                replaced.add(key)
                yield _assumption(f"traffic.{key}.mean", float(lengths.mean()), "tokens", "measured", source, users)
        if history.cached_input_tokens is not None and history.input_tokens is not None:
            replaced.add("cached_input_fraction")
            prompt_tokens = float(history.input_tokens.sum())
            share = float(history.cached_input_tokens.sum()) / prompt_tokens if prompt_tokens else 0.0
            yield _assumption("traffic.cached_input_fraction", share, "fraction", "measured", source, users)
    yield from _leaves(loaded, ("traffic",), loaded.scenario.traffic, "traffic.", users, skip=replaced)


def _leaves(
    loaded: LoadedScenario,
    loc: Loc,
    model: BaseModel,
    prefix: str,
    users: Sequence[str],
    skip: set[str] | frozenset[str] = frozenset(),
    is_default: bool = False,
) -> Iterator[Assumption]:
    for key in type(model).model_fields:
        value: Any = getattr(model, key)
        if key in _NOT_A_NUMBER_TO_DEFEND or key in skip or (value is None and key not in ("shape",)):
            continue
        left_out = is_default or key not in model.model_fields_set
        if isinstance(value, BaseModel):
            yield from _leaves(loaded, (*loc, key), value, f"{prefix}{key}.", users, is_default=left_out)
            continue
        if key == "shape" and value is None:
            value = loaded.scenario.traffic.shape_name
        where = "left out" if left_out else f"{Path(loaded.document.file).name}:{loaded.document.place((*loc, key))[0]}"
        basis: Basis = "default" if left_out else "assumed"
        unit = unit_of(f"{prefix}{key}", loaded.scenario.currency)
        yield _with_price_source(
            _assumption(f"{prefix}{key}", value, unit, basis, where, users), key, model, loaded.scenario.as_of
        )


def _with_price_source(row: Assumption, key: str, model: BaseModel, as_of: datetime.date) -> Assumption:
    """A price carries the basis and date of its source rather than its line in the scenario."""
    source: PriceSource | ApiPrice | None = None
    if isinstance(model, HostingOption) and key in _PRICED_FIELDS:
        source = model.price_source
    if isinstance(model, ApiPrice):
        source = model
    if source is None or row.basis == "default":
        return row
    return _dated(row, _BASIS_OF_PRICE[source.basis], _describe(source), source.checked_on, as_of)


def _describe(source: PriceSource | ApiPrice) -> str:
    text = source.source or "no source stated"
    return f"example: {text}" if source.basis == "example" else text


def _profile_rows(loaded: LoadedScenario, index: int, users: Sequence[str]) -> Iterator[Assumption]:
    """What a profile says of the engine, with the profile's basis."""
    profile, option = loaded.profiles[index], loaded.scenario.hosting[index]
    if profile is None:
        return
    source = f"{option.profile}: {profile.name}"
    prefix = f"hosting[{index}].profile."
    for name, value in profile.step_time_s.model_dump().items():
        yield _assumption(f"{prefix}step_time_s.{name}", value, "s", profile.basis, source, users)
    overhead_id = f"{prefix}request_overhead_s"
    yield _assumption(overhead_id, profile.request_overhead_s, "s", profile.basis, source, users)
    for name, value in profile.limits.model_dump().items():
        unit = "requests" if name == "max_num_seqs" else "tokens"
        yield _assumption(f"{prefix}limits.{name}", value, unit, profile.basis, source, users)


def _catalog_rows(loaded: LoadedScenario, index: int, option: ApiOption, users: Sequence[str]) -> Iterator[Assumption]:
    """The figures that a catalogue gave."""
    price, as_of = option.price, loaded.scenario.as_of
    if price.catalog is None:
        return
    source = f"{catalog_version()}: {price.provider}/{price.model}" + (f"; {price.source}" if price.source else "")
    found = token_prices(price, as_of)
    for kind, tiered in (("input", found.input), ("cached_input", found.cached_input), ("output", found.output)):
        id_ = f"api[{index}].price.{kind}_usd_per_mtok"
        starts = [f"{tier_usd:g} above {start:,.0f} prompt tokens" for start, tier_usd in tiered.tiers]
        row = _assumption(id_, tiered.base_usd_per_mtok, unit_of(id_, loaded.scenario.currency), "list", "", users)
        yield _dated(row, _BASIS_OF_PRICE[price.basis], "; ".join([source, *starts]), price.checked_on, as_of)


def _dated(
    row: Assumption, basis: Basis, source: str, checked_on: datetime.date | None, as_of: datetime.date
) -> Assumption:
    dates = {} if checked_on is None else {
        "as_of": checked_on,
        "age_days": (as_of - checked_on).days,
        "expires_on": checked_on + datetime.timedelta(PRICE_MAX_AGE_DAYS),
    }  # fmt: skip
    return row.model_copy(update={"basis": basis, "source": source, **dates})


def _assumption(id_: str, value: Any, unit: str, basis: Basis, source: str, users: Sequence[str]) -> Assumption:
    return Assumption(
        id=id_, value=value, unit=unit, basis=basis, source=source,
        as_of=None, age_days=None, expires_on=None, used_by=list(users),
    )  # fmt: skip
