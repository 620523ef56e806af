"""Volumes worth pricing every option at: an even grid, and where whole replicas make costs jump.

Pricing hybrids takes a millisecond a volume, so they cannot be priced everywhere. Hosting alone and APIs can:
thousands of volumes at once show where the cheaper of the two changes, which the grid alone would step over.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.core.capacity import MOST_REPLICAS
from planner.core.finance import discount_factors
from planner.core.hosting import present_prices
from planner.core.outcome import Hosting
from planner.core.question import Question
from planner.core.sizing import replicas_needed, sizing_load, worked_replicas

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

_POINTS_PER_DECADE = 16
"""Of the even grid: volumes 15 % apart."""
_SCREENED_PER_DECADE = 1000
_MOST_SCREENED_MONTHS = 1_000_000
"""Volumes times months that are screened at once: what fits into some tens of megabytes."""
_MOST_RUNS = 200
"""More ranges than this lie so close to a draw that nobody would act on their ends."""
_STEPS_LOOKED_AT, _MOST_STEPS_PRICED = 20, 80
"""Beyond twenty replicas one more is a small step; and a horizon of growth spreads each step over its months."""
_MOST_SCANNED_REPLICAS, _LEAST_SCANNED_REPLICAS = 400, 1e-3
"""Below, machines are idle, and the API is cheaper by far; above, costs per answer hardly change any more."""
_MOST_REPLICAS_THAT_MATTER = 40
"""Above, a gap that a hybrid leaves is narrower than what is looked at."""
_CLOSE = 0.015
"""Ratio between neighbouring volumes, less 1, where a hybrid may end in between."""
_NO_LOAD = 1e-9
"""A month with less of the busiest month's load needs no machines of its own."""
_JUST_BEYOND = 1e-6
"""A volume is this much beside a step, as a fraction, to be on one side of it."""


def volumes_to_price(question: Question, hosting: Sequence[Hosting]) -> Array:
    """Volumes of month 1 at which to price every option, ascending [requests/month]; that of today among them.

    Args:
        question: what is asked; it has hosting and API options.
        hosting: the hosting options that are compared, at least one.
    """
    low, high = _range(question, hosting)
    grid = np.geomspace(low, high, math.ceil(_POINTS_PER_DECADE * math.log10(high / low)) + 1)
    now = float(question.workload.requests[0])
    steps = _both_sides(_first_steps(question, hosting))
    extremes = _extremes(question, hosting, low, high)
    volumes = np.unique(np.concatenate([[now], grid, steps, extremes]))
    return np.asarray(volumes[(volumes >= low) & (volumes <= high)])


def volumes_between(question: Question, hosting: Sequence[Hosting], low: float, high: float) -> list[float]:
    """Volumes between two, about 1.5 % apart, as long as some machines are so few that a single one matters."""
    peak = float(question.workload.shape.relative_load.max())
    few = np.array(_MOST_REPLICAS_THAT_MATTER)
    if all(_unit_load_per_s(question, each).max() * low * peak > each.capacity.of(few) for each in hosting):
        return []
    steps = math.ceil(math.log(high / low) / _CLOSE)
    return [float(volume) for volume in np.geomspace(low, high, steps + 1)[1:-1]]


def hosting_lead_usd(question: Question, hosting: Sequence[Hosting], volumes: Array) -> Array:
    """By how much the best of these machines alone beat the best API per accepted answer [USD], shape (volumes,).

    Args:
        question: what is asked; it has API options.
        hosting: the hosting options that are compared, at least one.
        volumes: of month 1 [requests/month], shape (volumes,), each above 0.
    """
    rate = question.rate_fraction_per_year
    growth = question.at_volume(1.0).workload.requests
    discount = discount_factors(rate, growth.size)[1:]
    answers = volumes * float(growth @ discount)

    def each(present_usd: Array, success_fraction: float) -> Array:
        return present_usd / (answers * success_fraction) if success_fraction > 0 else np.full(volumes.shape, np.inf)

    requests = np.outer(growth, volumes)
    hosted = [each(_hosting_usd(question, option, volumes), option.option.success_fraction) for option in hosting]
    rented = [each(discount @ api.bill.total_usd(requests), api.option.success_fraction) for api in question.api]
    best_hosted, best_rented = np.min(hosted, axis=0), np.min(rented, axis=0)
    lead = np.full(volumes.shape, -np.inf)
    np.subtract(best_rented, best_hosted, out=lead, where=np.isfinite(best_hosted))
    return lead


def _hosting_usd(question: Question, hosting: Hosting, volumes: Array) -> Array:
    """Present value of hosting everything [USD], shape (volumes,)."""
    prices = present_prices(hosting.prices, question.rate_fraction_per_year)
    shape = question.workload.shape
    load = np.outer(volumes, _unit_load_per_s(question, hosting))
    replicas = replicas_needed(hosting.capacity, shape, load, question.attainment_fraction)
    if hosting.option.is_bought:
        replicas = np.maximum.accumulate(replicas, axis=1)
    on = replicas + hosting.option.spare_replicas
    load_replicas = hosting.capacity.load_replicas(load, on)
    worked = worked_replicas(shape, load_replicas.reshape(-1, 1), on.reshape(-1, 1)).reshape(load.shape)
    added = np.diff(on, prepend=0, axis=1)
    return np.asarray(
        on @ prices.per_replica_usd + worked @ prices.at_work_usd + added @ prices.bought_usd + prices.fixed_usd
    )


def _unit_load_per_s(question: Question, hosting: Hosting) -> Array:
    """Mean load of each month at one request in month 1, retries included [requests/s], shape (months,)."""
    return hosting.load_per_s(question.at_volume(1.0).workload)


def _busy_months(question: Question, hosting: Hosting) -> Array:
    """Unit loads of months [requests/s], each once, without those of a volume that has all but vanished."""
    load = _unit_load_per_s(question, hosting)
    return np.unique(load[load > load.max() * _NO_LOAD])


def _unit_load_replicas(question: Question, hosting: Hosting, counts: Counts) -> Array:
    """The same loads where so many serve [replicas], shape (months, counts)."""
    return hosting.capacity.load_replicas(_busy_months(question, hosting)[:, np.newaxis], counts)


def _filled(question: Question, hosting: Hosting, level: float, counts: Counts) -> Array:
    """Volumes at which hours at a level, over the mean, fill so many replicas, for each busy month and count, flat."""
    return np.asarray(counts * (1 / (level * _unit_load_replicas(question, hosting, counts)))).ravel()


def _range(question: Question, hosting: Sequence[Hosting]) -> tuple[float, float]:
    """From a thousandth of a replica to some hundreds of them, and so wide that it holds the volume of today."""
    peak = float(question.workload.shape.relative_load.max())

    def busiest(replicas: int) -> float:
        """Load of the busiest hour, at one request in month 1, where so many serve [replicas]."""
        each = (_unit_load_replicas(question, option, np.array([replicas])) for option in hosting)
        return max(float(load.max()) * peak for load in each)

    now = float(question.workload.requests[0])
    high = max(_MOST_SCANNED_REPLICAS / busiest(_MOST_SCANNED_REPLICAS), now * 1.5)
    high = max(min(high, 0.99 * MOST_REPLICAS / busiest(MOST_REPLICAS)), now)  # machines for more could not be counted
    low = min(1 / busiest(1) * _LEAST_SCANNED_REPLICAS, high / 10)
    return (min(low, now / 10) if now > 0 else low), high


def _first_steps(question: Question, hosting: Sequence[Hosting]) -> Array:
    """Volumes that fill the first few replicas to their sizing load, or their busiest hour, in any month."""
    shape = question.workload.shape
    levels = {1.0, sizing_load(shape, question.attainment_fraction), float(shape.relative_load.max())}
    steps = []
    for option in hosting:
        counts = np.arange(1, max(1, _STEPS_LOOKED_AT // _busy_months(question, option).size) + 1)
        steps += [_filled(question, option, level, counts) for level in levels if level > 0]
    distinct = np.unique(np.concatenate(steps))
    few = np.unique(np.linspace(0, distinct.size - 1, _MOST_STEPS_PRICED).astype(int))
    return np.asarray(distinct[few])


def _extremes(question: Question, hosting: Sequence[Hosting], low: float, high: float) -> Array:
    """Between any two turns of hosting alone against the APIs, the volume at which the lead is the largest."""
    months = question.workload.requests.size
    most = _MOST_SCREENED_MONTHS // months
    grid = np.geomspace(low, high, min(most, math.ceil(_SCREENED_PER_DECADE * math.log10(high / low))))
    level = sizing_load(question.workload.shape, question.attainment_fraction)
    steps = []
    for option in hosting if level > 0 else ():
        busy = _busy_months(question, option)
        last = min(int(option.capacity.replicas_for(level * busy.max() * high)), most // (2 * busy.size * len(hosting)))
        steps.append(_filled(question, option, level, np.arange(1, last + 1)))
    volumes = np.unique(np.concatenate([grid, *map(_both_sides, steps)]))
    volumes = volumes[(volumes >= low) & (volumes <= high)]
    lead = hosting_lead_usd(question, hosting, volumes)
    runs = np.split(np.arange(volumes.size), np.flatnonzero(np.diff(lead > 0)) + 1)
    size = np.abs(lead)
    found = np.array([run[np.argmax(size[run])] for run in runs])
    widest = np.argsort(size[found])[::-1][:_MOST_RUNS]
    return np.asarray(volumes[found[widest]])


def _both_sides(volumes: Array) -> Array:
    return np.concatenate([volumes * (1 - _JUST_BEYOND), volumes * (1 + _JUST_BEYOND)])
