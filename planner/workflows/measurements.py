"""Load points of any origin, as the fit takes them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from planner.errors import InputFileError, Problem, UsageError
from planner.loadtest.sample import Outcome, Sample
from planner.loadtest.schedule import load_label
from planner.loadtest.summary import Offered, load_point
from planner.schema.benchmark import LoadPoint, RequestRecord, Server, Workload
from planner.schema.profile import Engine, Model
from planner.schema.scenario import Slo
from planner.schema.sweep import SweepResult
from planner.store.files import sha256_of, shown_path
from planner.store.foreign.read import read_foreign, result_in
from planner.store.foreign.result import ForeignPoint, refusal
from planner.store.runs import RUN_FILE, read_run

UNKNOWN_ENGINE = Engine(name="openai-compatible")
"""Stands for one that nobody told."""


@dataclass(frozen=True)
class Measurement:
    """A load point, and what was measured in it.

    Attributes:
        run: name of the run.
        path: the file that describes it.
        sha256: of that file.
        basis: measured, or emulated.
        started_at: when the run began, as its file says.
        server: what was measured.
        label: the load in a few words.
        point: its figures.
        records: its requests.
        notes: what was passed over in reading them, in plain words.
        workload: what was asked for; None where the file does not tell, as those of other tools.
        slo: the service level of the run; without limits where it has none.
        sweep: what the run found, where it chose its loads itself.
    """

    run: str
    path: Path
    sha256: str
    basis: Literal["measured", "emulated"]
    started_at: str
    server: Server
    label: str
    point: LoadPoint
    records: Sequence[RequestRecord]
    notes: tuple[str, ...] = ()
    workload: Workload | None = None
    slo: Slo = field(default_factory=Slo)
    sweep: SweepResult | None = None


def read_measurements(paths: Sequence[Path]) -> list[Measurement]:
    """Load points of run directories, and of results of other load-test tools.

    Raises:
        InputFileError: every mistake of the files.
        UsageError: one of them is given twice.
    """
    measurements: list[Measurement] = []
    problems: list[Problem] = []
    seen: dict[str, Path] = {}
    twice = []
    for path in paths:
        try:
            found = _of_run(path) if _is_run(path) else _of_foreign(path)
        except InputFileError as error:
            problems += error.problems
            continue
        for digest in {each.sha256 for each in found}:
            if digest in seen:
                twice.append(f"RUN: {shown_path(path)} is {shown_path(seen[digest])} again")
            seen.setdefault(digest, path)
        measurements += found
    if problems:
        raise InputFileError(problems)
    if twice:
        told = "a load point that is kept out must not be one that was fitted on"
        raise UsageError("\n".join([*twice, told]))
    return measurements


def _of_run(path: Path) -> list[Measurement]:
    folder = path if path.is_dir() else path.parent
    loaded = read_run(folder)
    run, digest = loaded.run, sha256_of(folder / RUN_FILE)
    # Of answers that nobody waited for the long ones are missing.
    whole = [not (point.is_cut and point.metrics.requests.cancelled) for point in run.points]
    cut = [point for point, is_whole in zip(run.points, whole, strict=True) if not is_whole]
    notes = (
        *loaded.notes,
        *(f"{_label(point.metrics)}: not used, since it was cut off before its end" for point in cut),
    )
    if not any(whole):
        told = "; ".join(["holds no load point that was measured to its end", *notes])
        raise InputFileError([Problem(shown_path(folder / RUN_FILE), 0, 0, "points", told)])
    return [
        Measurement(
            run=run.name,
            path=folder / RUN_FILE,
            sha256=digest,
            basis=run.basis,
            started_at=run.started_at,
            server=run.server,
            label=_label(point.metrics),
            point=point.metrics,
            records=of_point,
            notes=notes,
            workload=run.workload,
            slo=run.slo,
            sweep=run.sweep,
        )
        for point, of_point, is_whole in zip(run.points, loaded.requests, whole, strict=True)
        if is_whole
    ]


def _is_run(path: Path) -> bool:
    if path.is_dir():
        return (path / RUN_FILE).exists() or result_in(path) is None
    return path.name == RUN_FILE


def _of_foreign(path: Path) -> list[Measurement]:
    result = read_foreign(path)
    if result.model is None:
        raise refusal(result.path, "does not tell the model; planner import takes it with --model")
    server = Server(url=result.url, model=Model(id=result.model), engine=result.engine or UNKNOWN_ENGINE)
    points = [foreign_load_point(point) for point in result.points]
    return [
        Measurement(
            run=shown_path(Path(path.absolute().name if path.is_dir() else path.stem)),
            path=result.path,
            sha256=result.sha256,
            basis="emulated" if result.is_emulated else "measured",
            started_at=result.started_at,
            server=server,
            label=_label(point),
            point=point,
            records=of_point.records,
            notes=result.notes,
        )
        for point, of_point in zip(points, result.points, strict=True)
    ]


def _label(point: LoadPoint) -> str:
    return load_label(point.concurrency, point.offered_requests_per_s)


def foreign_load_point(point: ForeignPoint) -> LoadPoint:
    """The figures of a load of another tool's, as planner defines them."""
    outcome = Outcome(Sample.of(point.records), knows_due=point.knows_due)
    found = load_point(Offered(point.requests_per_s, point.concurrency), outcome, Slo())
    is_known = found.client is not None and found.client.lag_p99_s is not None
    # How the client did is not told, but by its lag.
    return found if is_known else found.model_copy(update={"client": None})
