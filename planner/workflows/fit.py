"""From load points to a service profile, with load points kept out to test it on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planner.core.heldout import measured_figures, predicted_figures, relative_errors
from planner.core.steptime import Observations, StepTimeFit, Timeline, fit_step_time, observe, token_times_s
from planner.errors import InputError, UsageError
from planner.schema.benchmark import KnownLimits, RequestRecord, Server
from planner.schema.profile import Accelerator, Limits, Profile
from planner.store.files import shown_path
from planner.workflows.evidence import misses_of
from planner.workflows.measurements import Measurement, read_measurements

LEAST_POINTS = 6
HELD_OUT = 2
_MOST_FAILED_FRACTION = 0.05

DEFAULT_LIMITS = {
    "max_num_seqs": 256,
    "max_num_batched_tokens": 2048,
    "kv_cache_tokens": 100_000_000,
    "block_tokens": 16,
    "max_model_len": 100_000_000,
}
"""Taken where neither the server nor the user says: what small vLLM servers have, and memory that is never short."""


@dataclass(frozen=True)
class FitOptions:
    """What the user adds to what was measured.

    Attributes:
        name: of the profile; None for one made of model and accelerator.
        limits: that the server did not tell, or told wrong.
        accelerator: that the server did not tell.
        held_out: load points to keep out of the fit.
    """

    name: str | None = None
    limits: KnownLimits = field(default_factory=KnownLimits)
    accelerator: Accelerator | None = None
    held_out: int = HELD_OUT


@dataclass(frozen=True)
class FittedProfile:
    """A profile, and what its reader must know."""

    profile: Profile
    warnings: tuple[str, ...]


def fit_profile(paths: Sequence[Path], options: FitOptions) -> FittedProfile:
    """Fits a profile to the load points of runs.

    Args:
        paths: run directories of `planner bench` or `planner import`, or results of other load-test tools.
        options: what the user adds.

    Raises:
        InputFileError: every mistake of the runs.
        UsageError: the runs are of different servers, or too few load points can be used.
    """
    measurements = read_measurements(paths)
    server = _one_server(measurements, options)
    usable, warnings = usable_points(measurements)
    limits, assumed = _limits(server.limits, options.limits)
    if assumed:
        told = ", ".join(f"{name}={getattr(limits, name):,}" for name in assumed)
        warnings.append(f"nobody told {', '.join(assumed)}: taken as {told}; state them with --limits")
    train, kept_out = _split(usable, options.held_out)
    timelines = [timeline_of(measurement.records) for measurement in train]
    fit = _fit([observe(timeline, limits.max_num_batched_tokens) for timeline in timelines])
    draft = _profile(server, limits, fit, measurements, options)
    held_out = [_prediction(draft, measurement) for measurement in kept_out]
    profile = draft.model_copy(
        update={
            "points": [
                *(_point(measurement, "fit") for measurement in train),
                *(_point(measurement, "validation") for measurement in kept_out),
            ],
            "validation": {
                "fitted_on": len(train),
                "observations": fit.observations,
                "median_fit_error_fraction": round(fit.median_error_fraction, 6),
                "held_out": held_out,
                "mean_absolute_error_fraction": _mean_errors(held_out),
            },
            "provenance": _provenance(measurements, assumed),
        }
    )
    checked = _checked(profile)
    return FittedProfile(checked, (*warnings, *fit.warnings, *misses_of(checked)))


def timeline_of(records: Sequence[RequestRecord]) -> Timeline:
    """Answered requests as the fit looks at them, the warm-up among them, since it was part of the load."""
    answered = [
        record
        for record in records
        if record.outcome == "ok" and record.sent_s is not None and record.first_token_s is not None
    ]
    tokens = [record.output_tokens or len(record.gaps_s or []) + 1 for record in answered]
    token_s = [token_times_s(_chunks_s(record), count) for record, count in zip(answered, tokens, strict=True)]
    return Timeline(
        sent_s=np.array([record.sent_s for record in answered], dtype=np.float64),
        prompt_tokens=np.array([record.input_tokens or record.asked_input_tokens or 0 for record in answered]),
        output_tokens=np.array(tokens, dtype=np.int64),
        token_s=np.concatenate(token_s) if token_s else np.zeros(0),
        is_counted=np.array([not record.is_warmup for record in answered], dtype=np.bool_),
    )


def _chunks_s(record: RequestRecord) -> NDArray[np.float64]:
    """When an answer's chunks came [s]; the first and the last, where no others were kept."""
    first_s = record.first_token_s or 0.0
    if record.gaps_s is None:
        return np.array([first_s, max(first_s, record.finished_s or first_s)])
    return np.asarray(first_s + np.concatenate([[0.0], np.cumsum(record.gaps_s)]))


def _one_server(measurements: Sequence[Measurement], options: FitOptions) -> Server:
    """The server that all runs measured: one model, engine and machine, with the same settings."""
    first, *others = measurements
    problems = [
        f"RUN: {other.run} differs from {first.run} in {name}: {theirs} and {ours}"
        for other in others
        for name, ours, theirs in _differences(first, other)
    ]
    if problems:
        raise UsageError("\n".join(sorted(set(problems))))
    known = {
        name: value for each in measurements for name, value in each.server.limits.model_dump(exclude_none=True).items()
    }
    accelerator = options.accelerator or first.server.accelerator
    return first.server.model_copy(update={"limits": KnownLimits(**known), "accelerator": accelerator})


def _differences(first: Measurement, other: Measurement) -> Iterator[tuple[str, object, object]]:
    """What two runs do not have in common of all that a profile is a profile of."""
    for name in ("model", "engine", "accelerator"):
        ours, theirs = getattr(first.server, name), getattr(other.server, name)
        if ours != theirs:
            yield name, ours, theirs
    if first.basis != other.basis:
        yield "basis", first.basis, other.basis
    for name in DEFAULT_LIMITS:
        ours, theirs = getattr(first.server.limits, name), getattr(other.server.limits, name)
        if ours is not None and theirs is not None and ours != theirs:
            yield name, ours, theirs


def usable_points(measurements: Sequence[Measurement]) -> tuple[list[Measurement], list[str]]:
    """Load points that say something about the server, and why others do not."""
    usable: list[Measurement] = []
    warnings = sorted({note for measurement in measurements for note in measurement.notes})
    for measurement in measurements:
        requests, client = measurement.point.requests, measurement.point.client
        if client is not None and client.is_saturated:
            warnings.append(f"{measurement.label}: not used, since the client was the bottleneck")
        elif requests.failed > _MOST_FAILED_FRACTION * requests.sent:
            warnings.append(
                f"{measurement.label}: not used, since {requests.failed} of {requests.sent} requests failed"
            )
        elif doubts := [*measurement.point.doubts, *(f"{model} answered" for model in measurement.point.other_models)]:
            warnings.append(f"{measurement.label}: not used: {doubts[0]}")
        elif requests.ok == 0:
            warnings.append(f"{measurement.label}: not used, since no request was answered")
        else:
            usable.append(measurement)
    return usable, warnings


def _split(usable: Sequence[Measurement], held_out: int) -> tuple[list[Measurement], list[Measurement]]:
    """Load points to fit on, and others to test on.

    Those come from between the lowest and the highest load, since a fit must not be asked beyond; half of them open
    loops where there are some, since a closed loop's own answers set its pace.
    """
    if len(usable) < LEAST_POINTS + held_out:
        raise UsageError(
            f"RUN: {len(usable)} load points can be used; needed: {LEAST_POINTS} to fit on and {held_out} to keep out. "
            "`planner bench --sweep` measures a ladder of loads"
        )
    by_load = sorted(usable, key=lambda measurement: measurement.point.output_tokens_per_s)
    between = by_load[1:-1]
    open_loops = [each for each in between if each.point.concurrency is None]
    closed_loops = [each for each in between if each.point.concurrency is not None]
    wanted = min(len(open_loops), max(-(-held_out // 2), held_out - len(closed_loops)))
    kept_out = [*_spread(open_loops, wanted), *_spread(closed_loops, held_out - wanted)]
    return [each for each in by_load if all(each is not other for other in kept_out)], kept_out


def _spread(measurements: Sequence[Measurement], count: int) -> list[Measurement]:
    """So many of them, evenly spaced."""
    return [measurements[(2 * number + 1) * len(measurements) // (2 * count)] for number in range(count)]


def _limits(told: KnownLimits, stated: KnownLimits) -> tuple[Limits, list[str]]:
    """Limits by the user, else by the server, else by default; and the names of those that were assumed."""
    known = {
        name: getattr(stated, name) or getattr(told, name)
        for name in DEFAULT_LIMITS
        if getattr(stated, name) or getattr(told, name)
    }
    return Limits(**(DEFAULT_LIMITS | known)), [name for name in DEFAULT_LIMITS if name not in known]


def _fit(observations: Sequence[Observations]) -> StepTimeFit:
    try:
        return fit_step_time(observations)
    except InputError as error:
        raise UsageError(f"RUN: {error}") from error


def _profile(
    server: Server, limits: Limits, fit: StepTimeFit, measurements: Sequence[Measurement], options: FitOptions
) -> Profile:
    basis = measurements[0].basis
    machine = server.accelerator.name if server.accelerator else basis
    start_ups = [m.server.start_up_s for m in measurements if m.server.start_up_s is not None]
    return Profile(
        schema_="planner.profile/1",
        name=options.name or f"{server.model.id} on {machine}"[:120],
        basis="emulated",  # until its load points stand in it; see _checked
        model=server.model,
        engine=server.engine,
        accelerator=server.accelerator,
        step_time_s=fit.step_time,
        request_overhead_s=fit.request_overhead_s,
        limits=limits,
        start_up_s=float(np.median(start_ups)) if start_ups else None,
    ).model_copy(update={"basis": basis})


def _checked(profile: Profile) -> Profile:
    """The profile by its own rules, such as that a measured one names its accelerator."""
    if profile.basis == "measured" and profile.accelerator is None:
        raise UsageError("--accelerator: is missing, and the runs do not tell it; a measured profile names its machine")
    return Profile.model_validate(profile.model_dump(by_alias=True))


def _point(measurement: Measurement, used_for: str) -> dict[str, object]:
    return {"used_for": used_for, "run": measurement.run, **measurement.point.model_dump(mode="json")}


def _prediction(profile: Profile, measurement: Measurement) -> dict[str, object]:
    timeline = timeline_of(measurement.records)
    try:
        measured, predicted = measured_figures(timeline), predicted_figures(profile, timeline)
    except InputError as error:
        raise UsageError(f"{measurement.label}: {error.message}; state them with --limits") from error
    if measurement.point.concurrency is not None:
        # Sent at the moments at which its own answers came, it cannot but have that throughput.
        del measured["output_tokens_per_s"], predicted["output_tokens_per_s"]
    return {
        "load": measurement.label,
        "measured": measured,
        "predicted": predicted,
        "error_fraction": relative_errors(predicted, measured),
    }


def _mean_errors(held_out: Sequence[dict[str, object]]) -> dict[str, float]:
    errors: dict[str, list[float]] = {}
    for prediction in held_out:
        found = prediction["error_fraction"]
        for name, error in found.items() if isinstance(found, dict) else ():
            errors.setdefault(name, []).append(abs(error))
    return {name: round(float(np.mean(values)), 6) for name, values in errors.items()}


def _provenance(measurements: Sequence[Measurement], assumed: Sequence[str]) -> list[object]:
    runs: dict[str, dict[str, object]] = {}
    for measurement in measurements:
        runs.setdefault(
            measurement.sha256,
            {
                "run": measurement.run,
                "file": shown_path(Path(measurement.path.name)),
                "sha256": measurement.sha256,
                "started_at": measurement.started_at,
            },
        )
    return [*runs.values(), *([{"assumed_limits": list(assumed)}] if assumed else [])]
