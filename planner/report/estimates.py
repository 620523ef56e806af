"""An estimated profile in a few lines, for a terminal."""

from planner.report.columns import aligned
from planner.schema.estimate import Ranged
from planner.schema.profile import Profile

_MILLISECONDS, _MICROSECONDS, _NANOSECONDS = 1e3, 1e6, 1e9
_GIGA = 1e9


def estimate_summary(profile: Profile) -> str:
    """Coefficients and figures at a few loads with their ranges, and what is left out; ends with a line break.

    Args:
        profile: as estimated; of another, its name and basis alone.
    """
    lines = [f"{profile.name} ({profile.basis}, not measured)"]
    estimate = profile.estimate
    if estimate is None:
        return lines[0] + "\n"
    step = estimate.step_time_s
    rows: list[tuple[str, ...]] = [
        ("time of an engine step", "low", "estimate", "high"),
        _row("base [ms]", step.base, _MILLISECONDS),
        _row("per prefill token [µs]", step.per_prefill_token, _MICROSECONDS),
        _row("per sequence [µs]", step.per_sequence, _MICROSECONDS),
        _row("per context token [ns]", step.per_context_token, _NANOSECONDS),
    ]
    lines += ["", *aligned(rows), ""]
    lines.append(
        f"weights {estimate.weights_bytes / _GIGA:,.1f} GB; KV cache {profile.limits.kv_cache_tokens:,} tokens of "
        f"{estimate.kv_bytes_per_token:,.0f} bytes ({estimate.kv_cache_tokens.low:,.0f} to "
        f"{estimate.kv_cache_tokens.high:,.0f} tokens)"
    )
    if estimate.loads:
        first = estimate.loads[0]
        header = ("users", "TPOT [ms]", "low", "high", "output tokens/s", "low", "high")
        loads = [
            (str(load.users), *_three(load.tpot_s, _MILLISECONDS), *_three(load.output_tokens_per_s, 1.0))
            for load in estimate.loads
        ]
        lines += ["", f"Requests of {first.input_tokens:,} + {first.output_tokens:,} tokens, each user one at a time:"]
        lines += aligned([header, *loads])
    lines += ["", "Not modelled:", *(f"- {each}" for each in estimate.not_modelled)]
    return "\n".join(lines) + "\n"


def _row(name: str, figure: Ranged, scale: float) -> tuple[str, ...]:
    return name, _number(figure.low * scale), _number(figure.central * scale), _number(figure.high * scale)


def _three(figure: Ranged, scale: float) -> tuple[str, str, str]:
    return _number(figure.central * scale), _number(figure.low * scale), _number(figure.high * scale)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
