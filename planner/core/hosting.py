"""What hosting costs: equipment that is bought, replaced and sold, rent, power, people."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.core.demand import growth_factors
from planner.core.finance import discount_factors
from planner.schema.options import HostingOption
from planner.units import HOURS_PER_MONTH, MONTHS_PER_YEAR, WATTS_PER_KW

Array = NDArray[np.float64]
Ledger = dict[str, Array]
"""Nominal cash [USD] by line at the end of months 0…H, each of shape (months + 1,); month 0 is the start."""


@dataclass(frozen=True)
class HostingPrices:
    """What an option is paid for in each month of the horizon.

    Attributes:
        rent_usd: rent of one replica for months 1…H [USD/month], shape (months,).
        colocation_usd: the same for its place, shape (months,).
        idle_power_usd: power of a replica that is on all month and idle [USD/month], shape (months,).
        busy_power_usd: added power of a replica at work all month [USD/month], shape (months,).
        bought: for a replica bought at the start of month m, its lines [USD], each of shape (months, months + 1).
        fixed: lines that do not depend on the number of replicas.
    """

    rent_usd: Array
    colocation_usd: Array
    idle_power_usd: Array
    busy_power_usd: Array
    bought: Ledger
    fixed: Ledger


def hosting_prices(option: HostingOption, months: int, model_changes_per_year: float) -> HostingPrices:
    """Prices of an option over a horizon [USD].

    Args:
        option: bought, or rented by the hour.
        months: the horizon H [months].
        model_changes_per_year: how often a re-qualification is paid; spread evenly over the year [changes/year].

    Example:
        >>> option = HostingOption(
        ...     name="H100", tenure="on_demand", usd_per_gpu_hour=2.5, capacity={"requests_per_s": 5.0}
        ... )
        >>> hosting_prices(option, 2, 0.0).rent_usd.tolist()
        [1826.25, 1826.25]
    """
    change = option.price_change_fraction_per_year
    rent_usd_per_hour = 0.0 if option.is_bought else (option.usd_per_gpu_hour or 0.0) * option.gpus_per_replica
    power = option.power
    usd_per_w_month = power.pue * HOURS_PER_MONTH / WATTS_PER_KW * power.usd_per_kwh
    power_price = usd_per_w_month * growth_factors(change.power, MONTHS_PER_YEAR, months)
    people = option.operations.engineer_fraction * option.operations.engineer_usd_per_year / MONTHS_PER_YEAR
    requalification = option.requalification_usd_per_model_change * model_changes_per_year / MONTHS_PER_YEAR
    return HostingPrices(
        rent_usd=rent_usd_per_hour * HOURS_PER_MONTH * growth_factors(change.rent, MONTHS_PER_YEAR, months),
        colocation_usd=np.full(months, option.colocation_usd_per_month_per_replica),
        idle_power_usd=power.idle_w * power_price,
        busy_power_usd=(power.busy_w - power.idle_w) * power_price,
        bought=_bought_replica(option, months) if option.is_bought else {},
        fixed={
            "one-off": np.concatenate(([option.one_off_usd], np.zeros(months))),
            "people": _at_month_ends(people * growth_factors(change.people, MONTHS_PER_YEAR, months)),
            "re-qualification": _at_month_ends(np.full(months, requalification)),
        },
    )


@dataclass(frozen=True)
class PresentPrices:
    """Present values of what an option is paid for, for those who compare many numbers of replicas.

    Attributes:
        per_replica_usd: rent, place and idle power of a replica in months 1…H [USD], shape (months,).
        at_work_usd: added power of a replica at work in months 1…H [USD], shape (months,).
        bought_usd: a replica bought at the start of months 1…H, its later replacement, resale and maintenance
            included [USD], shape (months,); zero where replicas are rented.
        fixed_usd: all that does not depend on the number of replicas [USD].
    """

    per_replica_usd: Array
    at_work_usd: Array
    bought_usd: Array
    fixed_usd: float


def present_prices(prices: HostingPrices, rate_fraction_per_year: float) -> PresentPrices:
    """Present values of an option's prices.

    Args:
        prices: of months 1…H.
        rate_fraction_per_year: price of capital [fraction/year].

    Example:
        A month of rent at its end, and machines bought at the start of either month, at 1 % a month:

        >>> rented = HostingOption(name="r", tenure="on_demand", usd_per_gpu_hour=1.0, capacity={"requests_per_s": 1})
        >>> present_prices(hosting_prices(rented, 2, 0.0), 1.01**12 - 1).per_replica_usd.round(2).tolist()
        [723.27, 716.11]
        >>> bought = HostingOption(
        ...     name="b", tenure="purchase", purchase_usd_per_replica=1000.0, capacity={"requests_per_s": 1}
        ... )
        >>> present_prices(hosting_prices(bought, 2, 0.0), 1.01**12 - 1).bought_usd.round(2).tolist()
        [60.55, 30.23]
    """
    months = prices.rent_usd.size
    discount = discount_factors(rate_fraction_per_year, months)
    return PresentPrices(
        per_replica_usd=(prices.rent_usd + prices.colocation_usd + prices.idle_power_usd) * discount[1:],
        at_work_usd=prices.busy_power_usd * discount[1:],
        bought_usd=sum((by_start @ discount for by_start in prices.bought.values()), start=np.zeros(months)),
        fixed_usd=sum(float(line @ discount) for line in prices.fixed.values()),
    )


def hosting_ledger(prices: HostingPrices, replicas: NDArray[np.int64], worked: Array) -> Ledger:
    """Cash flow of hosting [USD].

    Args:
        prices: what the option is paid for.
        replicas: replicas that are on in months 1…H, spares included, shape (months,); never falling where bought.
        worked: replicas at work on average in months 1…H [replicas], shape (months,).

    Returns:
        Every line, at the end of months 0…H. A purchase at the start of month m stands at the end of m − 1.

    Example:
        Two replicas and then three, at 1 USD an hour:

        >>> option = HostingOption(name="r", tenure="on_demand", usd_per_gpu_hour=1.0, capacity={"requests_per_s": 1})
        >>> prices = hosting_prices(option, 2, 0.0)
        >>> hosting_ledger(prices, np.array([2, 3]), np.array([1.5, 2.5]))["rent"].tolist()
        [0.0, 1461.0, 2191.5]
    """
    added = np.diff(replicas, prepend=0)
    lines = {name: added @ by_start for name, by_start in prices.bought.items()}
    lines["rent"] = _at_month_ends(prices.rent_usd * replicas)
    lines["colocation"] = _at_month_ends(prices.colocation_usd * replicas)
    lines["power"] = _at_month_ends(prices.idle_power_usd * replicas + prices.busy_power_usd * worked)
    return lines | prices.fixed


def _at_month_ends(monthly: Array) -> Array:
    return np.concatenate(([0.0], monthly))


def _bought_replica(option: HostingOption, months: int) -> Ledger:
    """Purchase, resale and maintenance of a replica by the month it is first bought in, (months, months + 1) each.

    Worth falls in a straight line from the price to its residual. At the end of its life a replica is sold
    for the residual and bought again; at the end of the horizon it is sold for what it is worth then.
    """
    price = (option.purchase_usd_per_replica or 0.0) * growth_factors(
        option.price_change_fraction_per_year.purchase, MONTHS_PER_YEAR, months
    )
    life = option.lifetime_months
    purchase, resale, maintenance = (np.zeros((months, months + 1)) for _ in range(3))
    for first in range(months):  # `first` and `start` are month ends: the start of month m is the end of m − 1
        for start in range(first, months, life):
            end = min(start + life, months)
            worth_fraction = 1 - (1 - option.residual_fraction) * (end - start) / life
            purchase[first, start] += price[start]
            resale[first, end] -= price[start] * worth_fraction
            maintenance[first, start + 1 : end + 1] = (
                price[start] * option.maintenance_fraction_per_year / MONTHS_PER_YEAR
            )
    return {"purchase": purchase, "resale": resale, "maintenance": maintenance}
