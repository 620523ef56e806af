"""Load points of any origin, as the fit takes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from planner.errors import InputFileError, Problem, UsageError
from planner.loadtest.sample import Outcome, Sample
from planner.loadtest.schedule import load_label
from planner.loadtest.summary import Offered, load_point
from planner.schema.benchmark import LoadPoint, RequestRecord, Server
from planner.schema.profile import Engine, Model
from planner.schema.scenario import Slo
from planner.store.files import sha256_of, shown_path
from planner.store.runs import RUN_FILE, read_run
from planner.store.vllm_bench import read_vllm_bench


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


def read_measurements(paths: Sequence[Path]) -> list[Measurement]:
    """Load points of run directories, and of results of `vllm bench serve`.

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
            found = _of_run(path) if path.is_dir() or path.name == RUN_FILE else [_of_vllm_bench(path)]
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
    if not run.points:
        told = "; ".join(["holds no load point that was measured to its end", *loaded.notes])
        raise InputFileError([Problem(shown_path(folder / RUN_FILE), 0, 0, "points", told)])
    return [
        Measurement(
            run=run.name,
            path=folder / RUN_FILE,
            sha256=digest,
            basis=run.basis,
            started_at=run.started_at,
            server=run.server,
            label=load_label(point.metrics.concurrency, point.metrics.offered_requests_per_s),
            point=point.metrics,
            records=of_point,
            notes=loaded.notes,
        )
        for point, of_point in zip(run.points, loaded.requests, strict=True)
    ]


def _of_vllm_bench(path: Path) -> Measurement:
    result = read_vllm_bench(path)
    records = result.records()
    rate_per_s = result.rate_per_s
    users = None if rate_per_s is not None else result.max_concurrency or len(records) or None
    # It tells neither when requests were due nor how its client did.
    outcome = Outcome(Sample.of(records), knows_due=False)
    point = load_point(Offered(rate_per_s, users), outcome, Slo())
    return Measurement(
        run=shown_path(Path(path.stem)),
        path=path,
        sha256=sha256_of(path),
        basis="measured",
        started_at=result.date,
        server=Server(url="", model=Model(id=result.model_id), engine=Engine(name="vllm")),
        label=load_label(point.concurrency, point.offered_requests_per_s),
        point=point,
        records=records,
    )
