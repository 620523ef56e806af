"""From a scenario file to the question in numbers: reads the history and the prices that the scenario names."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from planner.core import demand
from planner.core.api import TokenPrices, request_usd
from planner.core.capacity import Capacity
from planner.core.demand import Shape, Workload
from planner.core.question import Question, priced_api, priced_hosting
from planner.core.requests import RequestSample, lognormal_lengths
from planner.errors import InputError, InputFileError, Problem
from planner.prices.catalog import CATALOG_CURRENCY, token_prices
from planner.schema.base import day_from_iso
from planner.schema.options import ApiPrice, HostingOption
from planner.schema.profile import Profile
from planner.schema.scenario import Lengths, Scenario, Traffic
from planner.store.documents import Document, Loc, load_document
from planner.store.history import History, read_history
from planner.store.profiles import read_profile
from planner.store.tables import Progress
from planner.store.validate import read_model
from planner.workflows.refusals import not_in_this_version

if TYPE_CHECKING:
    from planner.core.profile_capacity import HourSample

_SEED = 0
"""The same scenario gives the same plan."""


@dataclass(frozen=True)
class LoadedScenario:
    """A scenario, the file it stands in, and what it names: traffic history, service profiles, prices of each API."""

    document: Document
    scenario: Scenario
    history: History | None
    profiles: tuple[Profile | None, ...]
    """Of each hosting option; None where its capacity is stated."""
    api_prices: tuple[TokenPrices, ...]


def load_scenario(path: Path, progress: Progress = lambda _: None) -> LoadedScenario:
    """Reads a scenario and what it names.

    Args:
        path: the scenario.
        progress: told the fraction of a history that is read, from 0 to 1.

    Raises:
        InputFileError: every mistake of the scenario, of its history and profiles, and of the catalogue rows it names.
    """
    document = load_document(path)
    problems: list[Problem] = []
    scenario, history = None, None
    try:
        scenario = read_model(document, Scenario, "scenario", extra=not_in_this_version(document))
    except InputFileError as error:
        problems += error.problems
    try:
        history = _history(document, path.parent, progress)
    except InputFileError as error:
        problems += error.problems
    profiles, unreadable = _profiles(document, path.parent)
    prices, unknown = _api_prices(document)
    problems += unreadable + unknown
    if scenario is None or problems:
        raise InputFileError(problems)
    loaded = LoadedScenario(document, scenario, history, tuple(profiles), tuple(prices))
    missing = [key for key in ("input_tokens", "output_tokens") if _lengths(loaded, key) is None]
    if missing:
        message = f"{' and '.join(missing)} missing, and {scenario.traffic.history} has no such column"
        raise InputFileError([document.problem(("traffic",), message)])
    return loaded


def _history(document: Document, folder: Path, progress: Progress) -> History | None:
    """The history that a scenario names, read even where other fields of it are wrong."""
    traffic = document.data.get("traffic")
    name = traffic.get("history") if isinstance(traffic, dict) else None
    if not isinstance(name, str) or not name:
        return None
    path = folder / name
    if not path.is_file():
        raise InputFileError([document.problem(("traffic", "history"), f"no such file: {name}")])
    return read_history(path, progress)


def _profiles(document: Document, folder: Path) -> tuple[list[Profile | None], list[Problem]]:
    """The profile of each hosting option, read even where other fields are wrong; and what is wrong with them."""
    profiles: list[Profile | None] = []
    problems: list[Problem] = []
    hosting = document.data.get("hosting")
    for index, option in enumerate(hosting if isinstance(hosting, list) else []):
        name = option.get("profile") if isinstance(option, dict) else None
        profiles.append(None)
        if not isinstance(name, str) or not name:
            continue
        if not (folder / name).is_file():
            problems.append(document.problem(("hosting", index, "profile"), f"no such file: {name}"))
            continue
        try:
            profiles[-1] = read_profile(folder / name)
        except InputFileError as error:
            problems += error.problems
    return profiles, problems


def _api_prices(document: Document) -> tuple[list[TokenPrices], list[Problem]]:
    """Prices of each API, looked up even where other fields are wrong; and what the catalogue does not have."""
    prices, problems = [], []
    as_of, currency = day_from_iso(document.data.get("as_of")), document.data.get("currency")
    apis = document.data.get("api")
    for index, api in enumerate(apis if isinstance(apis, list) else []):
        loc: Loc = ("api", index, "price")
        try:
            price = ApiPrice.model_validate(api.get("price") if isinstance(api, dict) else None)
        except ValidationError:
            continue  # told by the scenario's model
        if price.catalog is not None and currency != CATALOG_CURRENCY:
            problems.append(
                document.problem((*loc, "catalog"), f"is in {CATALOG_CURRENCY}; state the figures in {currency}")
            )
        elif isinstance(as_of, datetime.date):
            try:
                prices.append(token_prices(price, as_of))
            except InputError as error:
                problems.append(document.problem((*loc, error.field), error.message))
    return prices, problems


def ask(loaded: LoadedScenario) -> tuple[Question, RequestSample]:
    """The question in numbers, and the requests that bills are averaged over.

    Raises:
        InputError: a shape that is not possible.
    """
    scenario = loaded.scenario
    months = scenario.horizon_months
    sample = _request_sample(loaded)
    list_prices = [float(request_usd(prices, sample).mean()) for prices in loaded.api_prices]
    growth = demand.growth_factors(scenario.traffic.growth_fraction_per_month, 1, months)
    workload = Workload(requests_per_month(loaded) * growth, _shape(loaded), growth)
    changes = scenario.requirements.model_changes_per_year
    question = Question(
        workload=workload,
        hosting=tuple(
            priced_hosting(
                option,
                _capacity(loaded, option, profile),
                months,
                changes,
                capacity_is_measured=profile is not None and profile.basis == "measured",
            )
            for option, profile in zip(scenario.hosting, loaded.profiles, strict=True)
        ),
        api=tuple(priced_api(option, usd, months) for option, usd in zip(scenario.api, list_prices, strict=True)),
        list_usd_per_request=tuple(list_prices),
        attainment_fraction=scenario.service.attainment_fraction,
        rate_fraction_per_year=scenario.discount_rate_fraction_per_year,
        hybrids_are_allowed=scenario.requirements.data_residency != "required" and not scenario.requirements.offline,
    )
    return question, sample


def _capacity(loaded: LoadedScenario, option: HostingOption, profile: Profile | None) -> Capacity:
    """As stated, or by simulating the profile under the scenario's requests."""
    if profile is None:
        return Capacity.per_replica(option.capacity.requests_per_s if option.capacity else 0.0)
    from planner.core.profile_capacity import profile_capacity  # noqa: PLC0415 - numba, for profiles alone

    return profile_capacity(profile, loaded.scenario.service.slo, sampled_hour(loaded, option))


def sampled_hour(loaded: LoadedScenario, option: HostingOption) -> "HourSample":
    """Requests of an hour, as a hosting option's engine meets them; the same at every call."""
    from planner.core.profile_capacity import hour_sample  # noqa: PLC0415 - see above

    prompt, output = _lengths(loaded, "input_tokens"), _lengths(loaded, "output_tokens")
    if prompt is None or output is None:
        raise InputError("traffic", "input_tokens and output_tokens are missing")
    return hour_sample(
        prompt,
        output,
        are_pairs=_has_pairs(loaded),
        burstiness=loaded.scenario.traffic.burstiness,
        prefix_hit_fraction=option.prefix_hit_fraction,
        rng=np.random.default_rng(_SEED),
    )


def _has_pairs(loaded: LoadedScenario) -> bool:
    """Whether prompts and answers are of the same requests, rather than spreads that know nothing of each other."""
    history = loaded.history
    if history is None or not history.is_trace:
        return False
    return history.input_tokens is not None and history.output_tokens is not None


def requests_per_month(loaded: LoadedScenario) -> float:
    """Requests of month 1 [requests/month]."""
    stated = loaded.scenario.traffic.requests_per_month
    if stated is not None:
        return stated
    return 0.0 if loaded.history is None else loaded.history.requests_per_month


def _shape(loaded: LoadedScenario) -> Shape:
    traffic = loaded.scenario.traffic
    shapes: dict[str, Callable[[], Shape]] = {
        "steady": demand.steady,
        "diurnal": lambda: demand.diurnal(traffic.peak_to_mean),
        "bursty": lambda: demand.bursty(traffic.peak_to_mean, traffic.burst_hours_fraction),
        "history": lambda: _observed_shape(loaded.history),
    }
    return shapes[traffic.shape_name]()


def _observed_shape(history: History | None) -> Shape:
    if history is None:
        raise InputError("shape", "history needs a history", ("traffic",))
    return demand.observed(history.requests_per_hour, history.hours)


def _lengths(loaded: LoadedScenario, key: str) -> np.ndarray | None:
    observed: np.ndarray | None = getattr(loaded.history, key) if loaded.history else None
    stated: Lengths | None = getattr(loaded.scenario.traffic, key)
    if observed is not None:
        return observed
    return None if stated is None else lognormal_lengths(stated.mean, stated.p95)


def _request_sample(loaded: LoadedScenario) -> RequestSample:
    traffic: Traffic = loaded.scenario.traffic
    prompt, output = _lengths(loaded, "input_tokens"), _lengths(loaded, "output_tokens")
    if prompt is None or output is None:
        raise InputError("traffic", "input_tokens and output_tokens are missing")
    cached = loaded.history.cached_input_tokens if loaded.history else None
    if prompt.size > 1 and output.size > 1 and (loaded.history is None or not loaded.history.is_trace):
        # Bills are linear in the generated tokens, so their mean will do beside the spread of prompts.
        output = np.array([output.mean()])
    return RequestSample.of(prompt, output, traffic.cached_input_fraction if cached is None else cached)
