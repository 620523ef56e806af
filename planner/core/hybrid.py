"""Base load on own replicas, the rest to an API: the best number of replicas for each month.

For one month with continuous capacity the answer is the critical fractile of the newsvendor,
P(load > K) = fixed cost of a replica / (API bill of a fully used replica − its variable cost). Whole
replicas, commitments, growth, purchases that cannot be undone and answers of different worth leave no
closed form, so every K of every month is priced and the cheapest path through them is taken.

Source of the fractile: Arrow, Harris and Marschak, "Optimal Inventory Policy", Econometrica 19 (1951).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.core.demand import Workload
from planner.core.finance import discount_factors
from planner.core.hosting import hosting_ledger, present_prices
from planner.core.outcome import Api, Hosting, Outcome, api_ledger
from planner.core.sizing import worked_replicas
from planner.schema.scenario import hybrid_name

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

_MOST_ROUNDS = 50


@dataclass(frozen=True)
class _Choices:
    """Present values of every replica count in every month, shape (months, counts) each.

    `bought_usd` and `fixed_usd` are those of the present prices.
    """

    cost_usd: Array
    accepted: Array
    bought_usd: Array
    fixed_usd: float


def hybrid_outcome(hosting: Hosting, api: Api, workload: Workload, rate_fraction_per_year: float) -> Outcome:
    """The split between machines and an API of least cost per accepted answer; it may leave one of them nothing.

    No replica is spare, since the API is the failover. Fixed costs of hosting are paid once.

    Args:
        hosting: the machines, which carry some load.
        api: where the load above the replicas goes.
        workload: requests by month, and their shape.
        rate_fraction_per_year: price of capital [fraction/year].

    Raises:
        InputError: the busiest hour would need more replicas than anybody has.

    Example:
        Half of the hours at 1 replica, half at 3, for 730.50 a month each; the API asks 1,200 for what one serves.
        One replica leaves half of the work to the API, 730.50 + 1,200. Two would cost 1,461 + 600.

        >>> from planner.core.capacity import Capacity
        >>> from planner.core.demand import Shape
        >>> from planner.core.question import priced_api, priced_hosting
        >>> from planner.schema.options import ApiOption, HostingOption
        >>> option = HostingOption(name="r", tenure="on_demand", usd_per_gpu_hour=1.0, capacity={"requests_per_s": 1})
        >>> api = ApiOption(name="a", price={"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0})
        >>> month = Workload(np.array([2 * 730.5 * 3600]), Shape(np.array([0.5, 1.5]), np.array([0.5, 0.5])))
        >>> usd_per_request = 1200 / (730.5 * 3600)
        >>> hosting = priced_hosting(option, Capacity.per_replica(1.0), 1, 0.0)
        >>> outcome = hybrid_outcome(hosting, priced_api(api, usd_per_request, 1), month, 0.0)
        >>> outcome.replicas.tolist(), outcome.hosted_fraction, round(outcome.npv_cost_usd(0.0), 2)
        ([1], 0.5, 1930.5)
    """
    load_per_s = hosting.load_per_s(workload)
    most = int(hosting.capacity.replicas_for(load_per_s.max() * workload.shape.relative_load.max()))
    counts = np.arange(most + 1)
    load = hosting.capacity.load_replicas(load_per_s[:, np.newaxis], counts)
    worked = worked_replicas(workload.shape, load, counts)
    # Without retries' share: a request that needs 1.05 attempts takes 1.05 of its load in house.
    hosted_share = np.divide(worked, load, out=np.zeros_like(worked), where=load > 0)
    hosted = workload.requests[:, np.newaxis] * np.minimum(hosted_share, 1.0)
    choices = _price_choices(hosting, api, workload, worked, hosted, rate_fraction_per_year)
    replicas = _best_replicas(choices, only_grows=hosting.option.is_bought)

    months = np.arange(replicas.size)
    hosted_requests = hosted[months, replicas]
    overflow = workload.requests - hosted_requests
    return Outcome(
        name=hybrid_name(hosting.option.name, api.option.name),
        kind="hybrid",
        machines=hosting.option,
        ledger=hosting_ledger(hosting.prices, replicas, worked[months, replicas]) | api_ledger(api, overflow),
        replicas=replicas,
        spare_replicas=0,
        requests=workload.requests,
        hosted_requests=hosted_requests,
        accepted=hosted_requests * hosting.option.success_fraction + overflow * api.option.success_fraction,
        attainment_fraction=1.0,
        capacity_is_measured=hosting.capacity_is_measured,
    )


def _price_choices(
    hosting: Hosting, api: Api, workload: Workload, worked: Array, hosted: Array, rate_fraction_per_year: float
) -> _Choices:
    months, counts = worked.shape
    discount = discount_factors(rate_fraction_per_year, months)[1:, np.newaxis]
    prices = present_prices(hosting.prices, rate_fraction_per_year)
    overflow = workload.requests[:, np.newaxis] - hosted
    cost = (
        np.outer(prices.per_replica_usd, np.arange(counts))
        + prices.at_work_usd[:, np.newaxis] * worked
        + api.bill.total_usd(overflow) * discount
    )
    accepted = hosted * hosting.option.success_fraction + overflow * api.option.success_fraction
    return _Choices(cost, accepted * discount, prices.bought_usd, prices.fixed_usd)


def _best_replicas(choices: _Choices, only_grows: bool) -> Counts:
    """Replicas of each month that minimise cost per accepted answer over the horizon, shape (months,).

    A ratio is minimised by minimising cost − λ·answers and setting λ to the ratio found, until it stays
    (Dinkelbach, "On nonlinear fractional programming", Management Science 13, 1967).
    """
    # Begun where most is accepted, so that there is a ratio to better wherever there is one at all: all in house, or
    # nothing, since what a replica more serves is either the better or the worse for it, all along.
    months = np.arange(choices.accepted.shape[0])
    totals = choices.accepted.sum(axis=0)
    replicas = np.full(months.size, totals.size - 1 if totals[-1] > totals[0] else 0)
    for _ in range(_MOST_ROUNDS):
        added = np.maximum(np.diff(replicas, prepend=0), 0)
        cost = choices.cost_usd[months, replicas].sum() + added @ choices.bought_usd + choices.fixed_usd
        answers = choices.accepted[months, replicas].sum()
        usd_per_answer = cost / answers if answers > 0 else 0.0
        worth = choices.cost_usd - usd_per_answer * choices.accepted
        better = _cheapest_path(worth, choices.bought_usd, only_grows)
        if np.array_equal(better, replicas):
            break
        replicas = better
    return replicas


def _cheapest_path(cost_usd: Array, bought_usd: Array, only_grows: bool) -> Counts:
    """Replicas of each month with the least cost in all, shape (months,); the fewest where several are as cheap.

    Args:
        cost_usd: present value of each count in each month [USD], shape (months, counts).
        bought_usd: present value of a replica bought at the start of each month [USD], shape (months,).
        only_grows: whether a replica, once there, stays; else months are independent.
    """
    if not only_grows:
        return np.asarray(np.argmin(cost_usd, axis=1))
    months, counts = cost_usd.shape
    replicas = np.arange(counts)
    came_from = np.empty((months, counts), dtype=np.int64)
    so_far = np.where(replicas == 0, 0.0, np.inf)
    for month in range(months):
        # Cheapest way to arrive at K: the best of all K' ≤ K with K − K' replicas bought now.
        before = so_far - replicas * bought_usd[month]
        is_new_best = np.concatenate(([True], before[1:] < np.minimum.accumulate(before)[:-1]))
        came_from[month] = np.maximum.accumulate(np.where(is_new_best, replicas, 0))
        so_far = before[came_from[month]] + replicas * bought_usd[month] + cost_usd[month]
    path = np.empty(months, dtype=np.int64)
    last = int(np.argmin(so_far))
    for month in range(months - 1, -1, -1):
        path[month] = last
        last = int(came_from[month, last])
    return path
