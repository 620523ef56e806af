"""From a scenario file to the question in numbers: reads the history and the prices that the scenario names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.core import demand
from planner.core.api import request_usd
from planner.core.demand import Shape, Workload
from planner.core.question import Question, priced_api, priced_hosting
from planner.core.requests import RequestSample, lognormal_lengths
from planner.errors import InputError, InputFileError, Problem
from planner.prices.catalog import CATALOG_CURRENCY, token_prices
from planner.schema.scenario import Lengths, Scenario, Traffic
from planner.store.documents import Document, Loc, field_name, load_document
from planner.store.history import History, read_history
from planner.store.validate import read_model
from planner.workflows.refusals import not_in_this_version


@dataclass(frozen=True)
class LoadedScenario:
    """A scenario, the file it stands in, and the traffic history it names."""

    document: Document
    scenario: Scenario
    history: History | None

    def problem(self, loc: Loc, message: str) -> Problem:
        """A problem at a place of the scenario file."""
        line, column = self.document.place(loc)
        return Problem(self.document.file, line, column, field_name(loc), message)


def load_scenario(path: Path) -> LoadedScenario:
    """Reads a scenario and the history it names.

    Raises:
        InputFileError: every mistake of either file.
    """
    document = load_document(path)
    scenario = read_model(document, Scenario, "scenario", extra=not_in_this_version(document))
    loaded = LoadedScenario(document, scenario, None)
    if scenario.traffic.history is None:
        return loaded
    history_path = path.parent / scenario.traffic.history
    if not history_path.is_file():
        raise InputFileError([loaded.problem(("traffic", "history"), f"no such file: {scenario.traffic.history}")])
    loaded = LoadedScenario(document, scenario, read_history(history_path))
    missing = [key for key in ("input_tokens", "output_tokens") if _lengths(loaded, key) is None]
    if missing:
        message = f"{' and '.join(missing)} missing, and {scenario.traffic.history} has no token columns"
        raise InputFileError([loaded.problem(("traffic",), message)])
    return loaded


def ask(loaded: LoadedScenario) -> tuple[Question, RequestSample]:
    """The question in numbers, and the requests that bills are averaged over.

    Raises:
        InputFileError: a price that cannot be found, or a shape that is not possible.
    """
    scenario = loaded.scenario
    months = scenario.horizon_months
    sample = _request_sample(loaded)
    list_prices = _list_usd_per_request(loaded, sample)
    growth = demand.growth_factors(scenario.traffic.growth_fraction_per_month, 1, months)
    workload = Workload(requests_per_month(loaded) * growth, _shape(loaded), growth)
    changes = scenario.requirements.model_changes_per_year
    question = Question(
        workload=workload,
        hosting=tuple(
            priced_hosting(option, option.capacity.requests_per_s, months, changes)
            for option in scenario.hosting
            if option.capacity is not None
        ),
        api=tuple(priced_api(option, usd, months) for option, usd in zip(scenario.api, list_prices, strict=True)),
        list_usd_per_request=tuple(list_prices),
        attainment_fraction=scenario.service.attainment_fraction,
        rate_fraction_per_year=scenario.discount_rate_fraction_per_year,
        hybrids_are_allowed=scenario.requirements.data_residency != "required" and not scenario.requirements.offline,
    )
    return question, sample


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
        raise InputError("traffic.shape", "history needs a history")
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


def _list_usd_per_request(loaded: LoadedScenario, sample: RequestSample) -> list[float]:
    problems: list[Problem] = []
    usd: list[float] = []
    for index, option in enumerate(loaded.scenario.api):
        loc = ("api", index, "price")
        if option.price.catalog is not None and loaded.scenario.currency != CATALOG_CURRENCY:
            message = f"is in {CATALOG_CURRENCY}; state the figures in {loaded.scenario.currency}"
            problems.append(loaded.problem((*loc, "catalog"), message))
            continue
        try:
            prices = token_prices(option.price, loaded.scenario.as_of)
        except InputError as error:
            problems.append(loaded.problem((*loc, error.field), error.message))
            continue
        usd.append(float(request_usd(prices, sample).mean()))
    if problems:
        raise InputFileError(problems)
    return usd
