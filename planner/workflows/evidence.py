"""How far a profile can be trusted, by what it says of itself."""

from collections.abc import Iterator

from planner.schema.profile import Profile

MOST_ERROR_FRACTION = 0.2
"""Mean error on load points kept out from which on a profile is not to be relied on."""

_TOLD = ("ttft_p50_s", "ttft_p95_s", "tpot_p50_s", "tpot_p95_s", "e2e_mean_s")


def misses_of(profile: Profile) -> Iterator[str]:
    """Figures that the profile predicts badly for load points that it was not fitted on.

    Args:
        profile: as fitted.
    """
    errors = profile.validation.get("mean_absolute_error_fraction")
    if not isinstance(errors, dict) or not errors:
        return
    for name in _TOLD:
        error = errors.get(name)
        if isinstance(error, int | float) and error > MOST_ERROR_FRACTION:
            allowed = f"{MOST_ERROR_FRACTION:.0%} are allowed"
            yield f"misses the load points kept out by {error:.0%} in {name}, on average; {allowed}"


def unmeasured(profile: Profile) -> str | None:
    """What a profile is in place of measured, with its range where it has one; None where it was measured.

    Args:
        profile: of any basis.
    """
    if profile.basis == "measured":
        return None
    told = f"{profile.basis}, not measured"
    if profile.estimate is None or not profile.estimate.loads:
        return told
    load = profile.estimate.loads[-1]
    low, high = load.output_tokens_per_s.low, load.output_tokens_per_s.high
    users = "1 user" if load.users == 1 else f"{load.users:,} users"
    lengths = f"{load.input_tokens:,} + {load.output_tokens:,} tokens"
    return f"{told}: {users} with requests of {lengths} may get {low:,.0f} to {high:,.0f} output tokens/s"


def doubts_of(profile: Profile) -> Iterator[str]:
    """Why a profile that was measured is no ground for a decision yet; empty where it is.

    Args:
        profile: of any basis.
    """
    if profile.basis == "estimated":
        yield "capacity is estimated, not measured"
    if profile.basis != "measured":
        return
    if not profile.validation.get("mean_absolute_error_fraction"):
        yield "its profile was not tested on load points kept out of the fit"
    for miss in misses_of(profile):
        yield f"its profile {miss}"
    for entry in profile.provenance:
        assumed = entry.get("assumed_limits") if isinstance(entry, dict) else None
        if isinstance(assumed, list):
            yield f"its profile assumes {', '.join(map(str, assumed))}, which nobody told"
