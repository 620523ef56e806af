"""The whole question in numbers, and every option's outcome; what-if questions change it and ask again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from planner.core.api import api_bill
from planner.core.capacity import Capacity
from planner.core.demand import Workload
from planner.core.hosting import hosting_prices
from planner.core.hybrid import hybrid_outcome
from planner.core.outcome import Api, Hosting, Outcome, api_outcome, hosting_outcome
from planner.errors import InputError
from planner.schema.options import ApiOption, HostingOption
from planner.schema.scenario import hybrid_name


@dataclass(frozen=True)
class Question:
    """Traffic, options and terms.

    Attributes:
        workload: requests by month, and their shape.
        hosting: hosting options, in the scenario's order.
        api: API options, in the scenario's order.
        list_usd_per_request: list price of the mean request at each API option in month 1 [USD].
        attainment_fraction: share of requests that must be in hours that hold.
        rate_fraction_per_year: price of capital [fraction/year].
        hybrids_are_allowed: whether an API may serve a part.
    """

    workload: Workload
    hosting: tuple[Hosting, ...]
    api: tuple[Api, ...]
    list_usd_per_request: tuple[float, ...]
    attainment_fraction: float
    rate_fraction_per_year: float
    hybrids_are_allowed: bool

    def outcomes(self) -> list[Outcome]:
        """Every option: hosting, then APIs, then the hybrids that exist.

        Raises:
            InputError: an option would need more replicas than anybody has.
        """
        return [*self.unmixed(), *(hybrid for hybrid in self.hybrids() if hybrid.is_split)]

    def unmixed(self) -> list[Outcome]:
        """Hosting alone, then APIs alone.

        Raises:
            InputError: an option would need more replicas than anybody has.
        """
        outcomes = []
        for index, hosting in enumerate(self.hosting):
            with _naming_machines(index):
                outcomes.append(hosting_outcome(hosting, self.workload, self.attainment_fraction))
        return outcomes + [api_outcome(api, self.workload) for api in self.api]

    def hybrids(self) -> list[Outcome]:
        """The best split of every pair of machine and API, also where one of the two serves everything.

        Machines that miss the service level at any load have nothing to split.

        Raises:
            InputError: an option would need more replicas than anybody has.
        """
        if not self.hybrids_are_allowed:
            return []
        outcomes = []
        for index, hosting in enumerate(self.hosting):
            if hosting.capacity.is_none:
                continue
            with _naming_machines(index):
                for api in self.api:
                    outcomes.append(hybrid_outcome(hosting, api, self.workload, self.rate_fraction_per_year))
        return outcomes

    def pair(self, name: str) -> Self:
        """The same question about one machine and one API, those of the hybrid of this name."""
        for hosting in self.hosting:
            for api, usd in zip(self.api, self.list_usd_per_request, strict=True):
                if hybrid_name(hosting.option.name, api.option.name) == name:
                    return replace(self, hosting=(hosting,), api=(api,), list_usd_per_request=(usd,))
        raise KeyError(name)

    def at_volume(self, requests_per_month: float) -> Self:
        """The same question with another volume in month 1 [requests/month]; growth and shape stay."""
        return replace(self, workload=self.workload.at_level(requests_per_month))

    def at_api_prices(self, factor: float) -> Self:
        """The same question with every API's token prices multiplied."""
        months = self.workload.requests.size
        api = tuple(
            replace(api, bill=api_bill(api.option, usd, months, factor))
            for api, usd in zip(self.api, self.list_usd_per_request, strict=True)
        )
        return replace(self, api=api)


@contextmanager
def _naming_machines(index: int) -> Iterator[None]:
    """An error of sizing, told of the hosting option that it is about."""
    try:
        yield
    except InputError as error:
        raise InputError("capacity", f"{error.field}: {error.message}", ("hosting", index)) from error


def priced_hosting(
    option: HostingOption, capacity: Capacity, months: int, changes: float, capacity_is_measured: bool = False
) -> Hosting:
    """A hosting option ready to be asked.

    Args:
        option: as stated.
        capacity: load that so many replicas carry within the service level.
        months: the horizon H [months].
        changes: model changes per year [changes/year].
        capacity_is_measured: on a real machine, rather than stated, estimated or emulated.
    """
    return Hosting(option, hosting_prices(option, months, changes), capacity, capacity_is_measured)


def priced_api(option: ApiOption, list_usd_per_request: float, months: int) -> Api:
    """An API option ready to be asked.

    Args:
        option: as stated.
        list_usd_per_request: list price of the mean request in month 1 [USD].
        months: the horizon H [months].
    """
    return Api(option, api_bill(option, list_usd_per_request, months))
