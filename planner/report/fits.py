"""A fitted profile in a few lines, for a terminal."""

from typing import Any

from planner.schema.profile import Profile

_MICROSECONDS = 1e6


def fit_summary(profile: Profile) -> str:
    """Coefficients, and what they predict for the load points kept out; ends with a line break.

    Args:
        profile: as fitted.
    """
    step = profile.step_time_s
    validation: dict[str, Any] = profile.validation
    lines = [
        f"{profile.name} ({profile.basis})",
        "",
        "Time of an engine step:",
        f"  base               {step.base * 1e3:12.4f} ms",
        f"  per prefill token  {step.per_prefill_token * _MICROSECONDS:12.4f} µs",
        f"  per sequence       {step.per_sequence * _MICROSECONDS:12.4f} µs",
        f"  per context token  {step.per_context_token * _MICROSECONDS:12.4f} µs",
        f"Outside the engine   {profile.request_overhead_s * 1e3:12.4f} ms per request",
        "",
        f"Fitted on {validation.get('fitted_on')} load points; kept out, and predicted by simulation:",
    ]
    for prediction in validation.get("held_out", []):
        errors = ", ".join(f"{name} {error:+.1%}" for name, error in prediction["error_fraction"].items())
        lines.append(f"  {prediction['load']}: {errors}")
    return "\n".join(lines) + "\n"
