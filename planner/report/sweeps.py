"""What a sweep found, in words."""

from collections.abc import Iterator

from planner.schema.scenario import Slo
from planner.schema.sweep import RateWithinSlo, SweepResult


def sweep_lines(found: SweepResult, slo: Slo | None = None) -> Iterator[str]:
    r"""Saturation and the highest rate within the service level, a line each; and whether something is missing.

    Example:
        >>> from planner.schema.sweep import Saturation
        >>> best = Saturation(users=64, output_tokens_per_s=2560.0, requests_per_s=20.0)
        >>> print(*sweep_lines(SweepResult(saturation=best, rate_within_slo=None)), sep="\n")
        saturation: 20 requests/s, 2,560 output tokens/s, with 64 users
    """
    best = found.saturation
    if best is None:
        yield "saturation: not found"
    else:
        users = "1 user" if best.users == 1 else f"{best.users} users"
        tokens_per_s = f"{best.output_tokens_per_s:,.0f} output tokens/s"
        least = "at least " if best.is_lower_bound else ""
        yield f"saturation: {least}{best.requests_per_s:.3g} requests/s, {tokens_per_s}, with {users}"
    if found.rate_within_slo is not None:
        yield f"within the service level: {_ends(found.rate_within_slo)}"
    elif slo is not None and any(limit is not None for _, limit in slo):
        yield "within the service level: not looked for, or not found; rates are, users of closed loops are not"
    if not found.is_complete:
        yield f"the sweep ended after {found.spent_s or 0:.0f} s, before all was found"


def _ends(rate: RateWithinSlo) -> str:
    met, missed = rate.met_requests_per_s, rate.missed_requests_per_s
    if met is None:
        return f"no rate that was tried; missed at {missed or 0:.3g} requests/s"
    return f"up to {met:.3g} requests/s" + ("" if missed is None else f"; missed at {missed:.3g}")
