"""From result files of other load-test tools to a run directory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from planner.errors import InputFileError, Problem, UsageError
from planner.loadtest.schedule import load_label
from planner.schema.benchmark import ImportedFile, KnownLimits, LoadPoint, Run, RunPoint, Server, definitions
from planner.schema.profile import Accelerator, Engine, Model
from planner.store.cuts import requests_file
from planner.store.files import shown_path
from planner.store.foreign.read import read_foreign
from planner.store.foreign.result import ForeignResult, refusal
from planner.store.runs import RUN_FILE, RunDirectory, refuse_to_mix
from planner.workflows.bench.options import BenchOptions
from planner.workflows.doubts import doubts
from planner.workflows.measurements import UNKNOWN_ENGINE, foreign_load_point

_LONGEST_NAME = 120


@dataclass(frozen=True)
class ImportOptions:
    """What the user knows and the files do not tell; or tell otherwise.

    Attributes:
        model: that was asked.
        engine: that served it.
        accelerator: that it ran on.
        limits: of the server.
        is_emulated: whether it only kept the timing of a profile.
    """

    model: Model | None = None
    engine: Engine | None = None
    accelerator: Accelerator | None = None
    limits: KnownLimits = field(default_factory=KnownLimits)
    is_emulated: bool = False


@dataclass(frozen=True)
class Imported:
    """A run that was made of files.

    Attributes:
        run: as `run.json` holds it.
        directory: where it is.
        warnings: what must be known of its load points, each with its load.
        doubts: why they must not be trusted, likewise; empty where they may.
    """

    run: Run
    directory: Path
    warnings: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def not_told(self) -> tuple[str, ...]:
        """What each tool does not keep, once, with the tool's name."""
        told = (f"{source.tool}: {what}" for source in self.run.imported_from for what in source.not_told)
        return tuple(dict.fromkeys(told))

    @property
    def points(self) -> tuple[LoadPoint, ...]:
        """The figures of its loads."""
        return tuple(point.metrics for point in self.run.points)


def import_results(paths: Sequence[Path], out: Path, options: ImportOptions) -> Imported:
    """Reads results and writes them as one run, a load point for each of their loads.

    Args:
        paths: result files, or the folders that their tools wrote.
        out: the folder to write.
        options: what the user adds.

    Raises:
        InputFileError: every mistake of the files.
        UsageError: the folder is no new one, a file is given twice, or the files are of different servers.
        EnvironmentLackingError: the folder cannot be written.
    """
    refuse_to_mix(out)
    results = _read(paths)
    server = Server(
        url=_common(result.url for result in results) or "",
        model=_model(results, options),
        engine=_engine(results, options),
        accelerator=options.accelerator,
        limits=options.limits,
    )
    basis = _basis(results, options)
    directory = RunDirectory(out)
    points: list[RunPoint] = []
    for of_result in (point for result in results for point in result.points):
        name = requests_file(len(points))
        with directory.requests(name) as file:
            for entry in of_result.records:
                file.append(entry)
        sent = len(of_result.records)
        points.append(RunPoint(requests_file=name, metrics=foreign_load_point(of_result), requests_sent=sent))
    run = Run(
        schema_="planner.run/1",
        name=shown_path(Path(out.absolute().name))[:_LONGEST_NAME].strip() or "run",
        basis=basis,
        started_at=min(filter(None, (result.started_at for result in results)), default=""),
        definitions=definitions(),
        status="complete",
        server=server,
        client=None,
        workload=None,
        points=points,
        warnings=[note for result in results for note in result.notes],
        requests_sent_in_all=sum(point.requests_sent or 0 for point in points),
        imported_from=[_source(result) for result in results],
    )
    directory.write(run)
    return Imported(run, out, tuple(_warnings(run)), tuple(_doubts(run)))


def _read(paths: Sequence[Path]) -> list[ForeignResult]:
    """Every file, each once; all mistakes of all of them at once."""
    results: list[ForeignResult] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            if path.name == RUN_FILE or (path / RUN_FILE).exists():
                raise refusal(path, "is a run of planner's own; planner fit and planner compare take it as it is")
            results.append(read_foreign(path))
        except InputFileError as error:
            problems += error.problems
    if problems:
        raise InputFileError(problems)
    seen: dict[str, Path] = {}
    twice = [
        f"RESULT: {shown_path(result.path)} is {shown_path(seen[result.sha256])} again"
        for result in results
        if seen.setdefault(result.sha256, result.path) is not result.path
    ]
    if twice:
        raise UsageError("\n".join(twice))
    return results


def _model(results: Sequence[ForeignResult], options: ImportOptions) -> Model:
    if options.model is not None:
        return options.model
    told = {result.model for result in results}
    if told == {None}:
        raise UsageError("--model: is missing, and the files do not tell it")
    names = sorted(name for name in told if name is not None)
    if len(names) > 1:
        raise UsageError(
            f"RESULT: the files are of several models: {', '.join(names)}; --model says which, if it is one"
        )
    return Model(id=names[0])


def _engine(results: Sequence[ForeignResult], options: ImportOptions) -> Engine:
    if options.engine is not None:
        return options.engine
    names = sorted({result.engine.name for result in results if result.engine is not None})
    if len(names) > 1:
        raise UsageError(f"RESULT: the files are of several engines: {', '.join(names)}; --engine says which")
    return Engine(name=names[0]) if names else UNKNOWN_ENGINE


def _basis(results: Sequence[ForeignResult], options: ImportOptions) -> Literal["measured", "emulated"]:
    emulated = [result for result in results if result.is_emulated]
    if options.is_emulated or len(emulated) == len(results):
        return "emulated"
    if emulated:
        told = f"RESULT: {shown_path(emulated[0].path)} is of planner's emulator, and other files do not tell"
        raise UsageError(f"{told}; if all are, say --emulated, else import them apart")
    return "measured"


def _common(values: Iterable[str]) -> str | None:
    """The one value that there is; None where there are several."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _source(result: ForeignResult) -> ImportedFile:
    return ImportedFile(
        tool=result.tool,
        version=result.version,
        file=shown_path(Path(result.path.name)),
        sha256=result.sha256,
        points=len(result.points),
        not_told=list(result.not_told),
    )


def _warnings(run: Run) -> Iterator[str]:
    yield from run.warnings
    for point in run.points:
        yield from (f"{_label(point.metrics)}: {told}" for told in point.metrics.warnings)


def _doubts(run: Run) -> Iterator[str]:
    for point in run.points:
        found = doubts(point.metrics, BenchOptions.max_error_fraction)
        yield from (f"{_label(point.metrics)}: {told}" for told in found)


def _label(point: LoadPoint) -> str:
    return load_label(point.concurrency, point.offered_requests_per_s)
