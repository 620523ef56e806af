"""What a plan says about other volumes and prices: break-evens, curves and switch points."""

import math
from collections.abc import Callable, Sequence

from planner.core.breakeven import VolumeScan
from planner.core.finance import level_payment_usd
from planner.core.flips import SwitchPoint, switch_points
from planner.core.question import Question
from planner.core.rules import Rules
from planner.core.search import price_factors
from planner.schema.plan import BreakEven, Choice, CostCurves, Curve, Flip, VerdictChoice

_MOST_PRICE_FACTOR = 10.0
"""No API gets dearer or cheaper than that while a plan holds."""


def break_even(question: Question, scan: VolumeScan | None, price_change: float | None) -> BreakEven:
    """Volumes and API prices at which the best of both sides cost the same."""
    return BreakEven(
        requests_per_month=[(low, high if math.isfinite(high) else None) for low, high in scan.cheaper] if scan else [],
        now_requests_per_month=float(question.workload.requests[0]),
        scanned_requests_per_month=(float(scan.requests_per_month[0]), float(scan.requests_per_month[-1]))
        if scan
        else None,
        api_price_change_fraction=price_change,
    )


def cost_curves(scan: VolumeScan, names: Sequence[str], rate_fraction_per_year: float, months: int) -> CostCurves:
    """Every option's costs over the volumes scanned, in the order of the names."""
    kinds: dict[str, Choice] = {each.name: each.kind for at in scan.candidates for each in at}
    found = [{each.name: each for each in at} for at in scan.candidates]
    return CostCurves(
        requests_per_month=scan.requests_per_month.tolist(),
        options=[
            Curve(
                name=name,
                kind=kinds[name],
                monthly_cost_usd=[
                    level_payment_usd(at[name].npv_cost_usd, rate_fraction_per_year, months) if name in at else None
                    for at in found
                ],
                cost_per_success_usd=[at[name].cost_per_success_usd if name in at else None for at in found],
            )
            for name in names
            if name in kinds
        ],
    )


def flips(question: Question, rules: Rules, scan: VolumeScan | None, progress: Callable[[float], None]) -> list[Flip]:
    """The nearest volumes and API prices, up and down, at which the verdict is another one.

    Args:
        question: what is asked.
        rules: what decides.
        scan: the volumes looked at.
        progress: told the fraction done, from 0 to 1.
    """
    now = float(question.workload.requests[0])
    if scan is None or now <= 0:
        return []
    by_volume = _volume_flips(question, rules, scan, now)
    return [*by_volume, *_price_flips(question, rules, progress)]


def _volume_flips(question: Question, rules: Rules, scan: VolumeScan, now: float) -> list[Flip]:
    known = dict(zip(scan.requests_per_month.tolist(), scan.candidates, strict=True))

    def choice_at(volume: float) -> VerdictChoice:
        candidates = known.get(volume)
        if candidates is None:
            candidates = rules.candidates(question.at_volume(volume).outcomes())
        return rules.decide(candidates).choice

    above = [now, *(volume for volume in known if volume > now)]
    below = [now, *reversed([volume for volume in known if volume < now])]
    points = [*switch_points(choice_at, below), *switch_points(choice_at, above)]
    return [_flip("traffic.requests_per_month", now, point, point.value) for point in points]


def _price_flips(question: Question, rules: Rules, progress: Callable[[float], None]) -> list[Flip]:
    def choice_at(factor: float) -> VerdictChoice:
        way = math.log(factor) / math.log(_MOST_PRICE_FACTOR)  # from 0 down to -1, then from 0 up to 1
        progress(abs(way) / 2 + (0.5 if way > 0 else 0.0))
        return rules.decide(rules.candidates(question.at_api_prices(factor).outcomes())).choice

    paths = [price_factors(upward, _MOST_PRICE_FACTOR) for upward in (False, True)]
    points = [point for path in paths for point in switch_points(choice_at, path)]
    return [_flip("api.price_change_fraction", 0.0, point, point.value - 1) for point in points]


def _flip(name: str, now: float, point: SwitchPoint, flips_at: float) -> Flip:
    return Flip(input=name, now=now, flips_at=flips_at, to=point.to)
