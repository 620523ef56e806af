"""One way of serving the workload: what it costs, month by month, and what comes out of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.core.api import ApiBill
from planner.core.capacity import Capacity
from planner.core.demand import Workload
from planner.core.finance import discount_factors, level_payment_usd, present_value_usd
from planner.core.hosting import HostingPrices, Ledger, hosting_ledger
from planner.core.sizing import attainment_fraction, replicas_needed, worked_replicas
from planner.schema.options import ApiOption, HostingOption
from planner.schema.plan import Choice
from planner.units import TOKENS_PER_MTOK

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hosting:
    """A hosting option with its prices over the horizon and the load that so many replicas carry.

    Attributes:
        option: as stated.
        prices: over the horizon.
        capacity: load that so many replicas carry within the service level.
        capacity_is_measured: on a real machine, rather than stated, estimated or emulated.
    """

    option: HostingOption
    prices: HostingPrices
    capacity: Capacity
    capacity_is_measured: bool = False

    def load_per_s(self, workload: Workload) -> Array:
        """Mean load of each month, retries included [requests/s], shape (months,)."""
        return workload.mean_load_per_s * (1 + self.option.retry_fraction)


@dataclass(frozen=True)
class Api:
    """An API option with its bill over the horizon."""

    option: ApiOption
    bill: ApiBill


@dataclass(frozen=True)
class Outcome:
    """What an option does over the horizon.

    Attributes:
        name: of the option.
        kind: host, api or hybrid.
        machines: the hosting option that serves it, alone or in a hybrid; None for an API.
        ledger: nominal cash by line [USD], each of shape (months + 1,).
        replicas: working replicas of months 1…H, spares not counted, shape (months,).
        spare_replicas: on beside them.
        requests: requests of months 1…H, shape (months,).
        hosted_requests: those served in house, shape (months,).
        accepted: answers that are accepted, shape (months,).
        attainment_fraction: share of requests in hours that hold; None where nothing is hosted alone.
        can_hold: whether any number of replicas meets the service level; where none does, a single one is priced.
        capacity_is_measured: whether the load that machines carry was measured on a real one.
    """

    name: str
    kind: Choice
    machines: HostingOption | None
    ledger: Ledger
    replicas: NDArray[np.int64]
    spare_replicas: int
    requests: Array
    hosted_requests: Array
    accepted: Array
    attainment_fraction: float | None
    can_hold: bool = True
    capacity_is_measured: bool = False

    @property
    def cash_usd(self) -> Array:
        """Nominal cash at the end of months 0…H [USD], shape (months + 1,)."""
        return np.asarray(np.sum(list(self.ledger.values()), axis=0))

    @property
    def is_split(self) -> bool:
        """Whether machines and an API both serve a part; a share that is a rounding error is none."""
        return bool(0 < self.hosted_requests.sum() < self.requests.sum() * (1 - 1e-12))

    @property
    def is_whole(self) -> bool:
        """Whether machines serve everything, so that nothing is left to an API."""
        return bool(self.hosted_requests.sum() > 0) and not self.is_split

    @property
    def hosted_fraction(self) -> float | None:
        """Share of the horizon's requests served in house, or None where there are none."""
        return _share(float(self.hosted_requests.sum()), float(self.requests.sum()))

    @property
    def success_fraction(self) -> float | None:
        """Share of the horizon's requests that end in an accepted answer, or None where there are none."""
        return _share(float(self.accepted.sum()), float(self.requests.sum()))

    def npv_cost_usd(self, rate_fraction_per_year: float) -> float:
        """Present value of all costs [USD]."""
        return present_value_usd(self.cash_usd, rate_fraction_per_year)

    def monthly_cost_usd(self, rate_fraction_per_year: float) -> float:
        """Level monthly payment of the same present value [USD/month]."""
        return level_payment_usd(self.npv_cost_usd(rate_fraction_per_year), rate_fraction_per_year, self.requests.size)

    def cost_per_success_usd(self, rate_fraction_per_year: float) -> float | None:
        """Present value of costs over that of accepted answers [USD]; None (undefined) where there are none."""
        return _ratio(self.npv_cost_usd(rate_fraction_per_year), self.present_answers(rate_fraction_per_year))

    def present_answers(self, rate_fraction_per_year: float) -> float:
        """Accepted answers of all months, discounted as the costs are."""
        return float(self.accepted @ discount_factors(rate_fraction_per_year, self.requests.size)[1:])

    def cost_per_mtok_usd(self, rate_fraction_per_year: float, mean_tokens: float) -> float | None:
        """Present value of costs over that of tokens, per million [USD]; None (undefined) where none are served.

        Args:
            rate_fraction_per_year: price of capital [fraction/year].
            mean_tokens: prompt and generated tokens of the mean request [tokens].
        """
        if not self.can_hold:
            return None
        discount = discount_factors(rate_fraction_per_year, self.requests.size)[1:]
        mtok = float(self.requests @ discount) * mean_tokens / TOKENS_PER_MTOK
        return _ratio(self.npv_cost_usd(rate_fraction_per_year), mtok)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _share(part: float, whole: float) -> float | None:
    """A part of the whole, which a rounding error may take to be more than it."""
    return min(part / whole, 1.0) if whole > 0 else None


def api_outcome(api: Api, workload: Workload) -> Outcome:
    """Every request goes to the API.

    Args:
        api: the option with its bill.
        workload: requests by month; their shape makes no difference.
    """
    months = workload.requests.size
    return Outcome(
        name=api.option.name,
        kind="api",
        machines=None,
        ledger=api_ledger(api, workload.requests),
        replicas=np.zeros(months, dtype=np.int64),
        spare_replicas=0,
        requests=workload.requests,
        hosted_requests=np.zeros(months),
        accepted=workload.requests * api.option.success_fraction,
        attainment_fraction=None,
    )


def api_ledger(api: Api, requests: Array) -> Ledger:
    """Lines of an API's bill for the requests of months 1…H [USD], each of shape (months + 1,)."""
    return {
        "API usage": np.concatenate(([0.0], api.bill.usage_usd(requests))),
        "API commitment not used": np.concatenate(([0.0], api.bill.shortfall_usd(requests))),
    }


def hosting_outcome(hosting: Hosting, workload: Workload, attainment: float) -> Outcome:
    """Every request is served in house, by the fewest replicas that reach the attainment, and the spares.

    Where no number of replicas does, no request counts as served, and a single idle replica is priced, with its spares.

    Args:
        hosting: the option.
        workload: requests by month, and their shape.
        attainment: share of requests that must be in hours that hold [fraction].

    Raises:
        InputError: more replicas would be needed than anybody has.

    Example:
        Hours at half and at one and a half of the mean load of two replicas need three, and 80 % of the answers
        are accepted:

        >>> from planner.core.demand import Shape
        >>> from planner.core.question import priced_hosting
        >>> option = HostingOption(
        ...     name="r", tenure="on_demand", usd_per_gpu_hour=1.0, capacity={"requests_per_s": 1}, success_fraction=0.8
        ... )
        >>> shape = Shape(np.array([0.5, 1.5]), np.array([0.5, 0.5]))
        >>> month = Workload(np.array([2 * 730.5 * 3600]), shape)
        >>> outcome = hosting_outcome(priced_hosting(option, Capacity.per_replica(1.0), 1, 0.0), month, 0.99)
        >>> outcome.replicas.tolist(), outcome.npv_cost_usd(0.0), outcome.success_fraction
        ([3], 2191.5, 0.8)
    """
    option, capacity, shape = hosting.option, hosting.capacity, workload.shape
    load = hosting.load_per_s(workload)
    if capacity.is_none:
        replicas = np.ones(load.size, dtype=np.int64)
        worked, held, served = np.zeros(load.size), np.zeros(load.size), np.zeros(load.size)
    else:
        replicas = replicas_needed(capacity, shape, load, attainment)
        if option.is_bought:
            replicas = np.maximum.accumulate(replicas)
        on = (replicas + option.spare_replicas)[:, np.newaxis]
        worked = worked_replicas(shape, capacity.load_replicas(load[:, np.newaxis], on), on)[:, 0]
        held, served = attainment_fraction(capacity, shape, load, replicas), workload.requests
    return Outcome(
        name=option.name,
        kind="host",
        machines=option,
        ledger=hosting_ledger(hosting.prices, replicas + option.spare_replicas, worked),
        replicas=replicas,
        spare_replicas=option.spare_replicas,
        requests=workload.requests,
        hosted_requests=served,
        accepted=served * option.success_fraction,
        attainment_fraction=_share(float(held @ workload.requests), float(workload.requests.sum())),
        can_hold=not capacity.is_none,
        capacity_is_measured=hosting.capacity_is_measured,
    )
