"""What a sweep found, in words."""

from collections.abc import Iterator

from planner.schema.scenario import Slo
from planner.schema.sweep import RateWithinSlo, SweepResult, UsersWithinSlo

_NEAR_FRACTION = 0.05
"""To which a sweep looks for the highest rate within the service level; short loads may not know it so well."""


def sweep_lines(found: SweepResult, slo: Slo | None = None) -> Iterator[str]:
    r"""Saturation and the highest load within the service level, a line each; and whether something is missing.

    Example:
        >>> from planner.schema.sweep import Saturation
        >>> best = Saturation(users=64, output_tokens_per_s=2560.0, requests_per_s=20.0)
        >>> print(*sweep_lines(SweepResult(saturation=best, rate_within_slo=None)), sep="\n")
        saturation: 20 requests/s, 2,560 output tokens/s, while all 64 users waited
    """
    best = found.saturation
    if best is None:
        yield "saturation: not found"
    else:
        users = "the user" if best.users == 1 else f"all {best.users} users"
        tokens_per_s = f"{best.output_tokens_per_s:,.0f} output tokens/s"
        least = "at least " if best.is_lower_bound else ""
        yield f"saturation: {least}{best.requests_per_s:.3g} requests/s, {tokens_per_s}, while {users} waited"
    within = found.rate_within_slo or found.users_within_slo
    if within is not None:
        yield f"within the service level: {_ends(within)}"
    elif slo is not None and any(limit is not None for _, limit in slo):
        yield "within the service level: not found"
    met = found.rate_within_slo.met_requests_per_s if found.rate_within_slo is not None else None
    if best is not None and met is not None and met > best.requests_per_s:
        yield "that is more than the server can do for long: loads this short do not show how the queue grows"
    if not found.is_complete:
        more = "--resume RUN --time-budget-s SECONDS gives it more"
        yield f"the sweep ended after {found.spent_s or 0:.0f} s, before all was found; {more}"


def _ends(within: RateWithinSlo | UsersWithinSlo) -> str:
    if isinstance(within, RateWithinSlo):
        met, missed, unit = within.met_requests_per_s, within.missed_requests_per_s, "requests/s"
    else:
        met, missed, unit = within.met_users, within.missed_users, "users"
    if met is None:
        return f"no load that was tried; missed at {missed or 0:.3g} {unit}"
    known = within.known_to_fraction if isinstance(within, RateWithinSlo) else None
    about = f" (so short loads know a rate to ±{known:.0%})" if known is not None and known > _NEAR_FRACTION else ""
    return f"up to {met:.3g} {unit}" + ("" if missed is None else f"; missed at {missed:.3g}") + about
