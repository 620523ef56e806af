"""What a load test writes of itself: the server, the client, the workload, and each point as it is done."""

import json
import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol

from planner.engines.discovery import Discovered
from planner.errors import UsageError
from planner.loadtest.schedule import Schedule
from planner.loadtest.texts import Calibration
from planner.schema.benchmark import (
    Client,
    KnownLimits,
    LoadPoint,
    PromptCalibration,
    Run,
    RunPoint,
    Server,
    Workload,
    definitions,
)
from planner.schema.profile import Accelerator, Model
from planner.schema.sweep import SweepResult
from planner.schema.telemetry import ServerSample
from planner.schema.workload import WorkloadSpec
from planner.store.cuts import requests_file, schedule_file, server_file
from planner.store.files import free_path, shown_path
from planner.store.runs import RequestsFile, RunDirectory
from planner.store.server_samples import write_samples
from planner.workflows.bench.command import command_of
from planner.workflows.bench.options import DEFAULT_INPUT, DEFAULT_OUTPUT, BenchPlan
from planner.workflows.bench.point_key import point_key
from planner.workflows.bench.workload_file import WorkloadFile

_LONGEST_SLUG = 60


class Started(Protocol):
    """What is known of a server that was started for the test."""

    @property
    def url(self) -> str:
        """Its root."""

    @property
    def model(self) -> str:
        """The name that it serves the model by."""

    @property
    def start_up_s(self) -> float:
        """From start to healthy [s]."""

    @property
    def version(self) -> str | None:
        """Of the engine."""

    @property
    def args(self) -> list[str]:
        """That it was started with."""

    @property
    def limits(self) -> KnownLimits:
        """As its arguments or its log tell."""

    @property
    def accelerator(self) -> Accelerator | None:
        """That it runs on."""

    @property
    def tensor_parallel_size(self) -> int:
        """GPUs that share the model."""

    @property
    def dtype(self) -> str | None:
        """Of the weights, as asked for."""

    @property
    def quantization(self) -> str | None:
        """Likewise."""


class RunBook:
    """A run directory whose `run.json` is whole and up to date before and after every point."""

    def __init__(self, directory: RunDirectory, run: Run) -> None:
        """Begins with the points that the run has; it is written when the first of those to come is drawn."""
        self.directory = directory
        self.run = run
        self.points = [point.metrics for point in run.points]
        self._file: RequestsFile | None = None
        self._server_file: str | None = None
        self._result_of: Callable[[Sequence[RunPoint]], SweepResult] | None = None

    @property
    def next_file(self) -> str:
        """For the requests of the next point."""
        return requests_file(len(self.points))

    @property
    def schedule_path(self) -> Path:
        """Where the schedule of the next point is kept."""
        return self.directory.path / schedule_file(len(self.points))

    def to_come(
        self, schedules: Iterable[tuple[Schedule, list[str]]], identity: str = ""
    ) -> Iterator[tuple[Schedule, list[str]]]:
        """Those that are not measured yet, of all the points of the run; each is under way when it is handed out.

        Args:
            schedules: of all points.
            identity: what makes their requests the ones they are, where a file says it.

        Raises:
            UsageError: a point that is done, or was cut off, is not the one that is asked for in its place.
        """
        done, asked = tuple(self.run.points), self.run.workload
        if asked is None:
            raise UsageError(
                f"--resume {shown_path(self.directory.path)}: was imported, so there is nothing to go on with"
            )
        for number, (schedule, notes) in enumerate(schedules):
            key = point_key(self.run.server.model.id, asked.endpoint, (asked.seed, number), schedule, identity)
            before = done[number].key if number < len(done) else self.run.key_under_way
            if before not in (None, key) or (before is None and number < len(done)):
                file = shown_path(self.directory.path / requests_file(number))
                raise UsageError(
                    f"--resume: {schedule.label} is not what was sent in {file}: the trace or the workload, or how "
                    "this version draws what it sends, is another; measure anew, with another --out"
                )
            if number >= len(done):
                self._update(key_under_way=key)
                yield schedule, notes

    def requests(self) -> RequestsFile:
        """The file for the requests of the next point, to be used in a `with`."""
        self._file = self.directory.requests(self.next_file)
        return self._file

    def keep_samples(self, samples: Iterable[ServerSample]) -> None:
        """Writes what was seen of the server during the next point, where anything was."""
        name = server_file(len(self.points))
        self._server_file = name if write_samples(self.directory.path / name, samples) else None

    def note_idle_power(self, power_w: float | None) -> None:
        """Notes what the GPUs draw before the first load; it is written with the first point."""
        self.run = self.run.model_copy(update={"idle_power_w": power_w})

    def add(self, point: LoadPoint, prompt_salt: int, is_cut: bool = False) -> None:
        """Adds the point whose requests are in `next_file`; is_cut where it is not what was asked for."""
        entry = RunPoint(
            requests_file=self.next_file,
            server_file=self._server_file,
            metrics=point,
            key=self.run.key_under_way,
            requests_sent=self._file.sent if self._file is not None else None,
            is_cut=is_cut,
            prompt_salt=prompt_salt,
        )
        self.points.append(point)
        self._server_file = None
        points = [*self.run.points, entry]
        found = {} if self._result_of is None else {"sweep": self._result_of(points)}
        self._update(points=points, key_under_way=None, **found)

    def find(self, result_of: Callable[[Sequence[RunPoint]], SweepResult]) -> None:
        """Says from now on what a sweep found that chose its loads itself, with each point; at once where it has some.

        Args:
            result_of: what it found, from the points of the run.
        """
        self._result_of = result_of
        if self.points:
            self._update(sweep=result_of(self.run.points))

    def close(self, status: Literal["complete", "interrupted", "failed"]) -> None:
        """Says how it ended."""
        self._update(status=status)

    def _update(self, **changes: object) -> None:
        run = self.run.model_copy(update=changes)
        self.run = run.model_copy(update={"requests_sent_in_all": _sent_in_all(run)})
        self.directory.write(self.run)


def _sent_in_all(run: Run) -> int:
    calibrating = run.calibration.requests_sent if run.calibration is not None else 0
    measured = sum(point.requests_sent or 0 for point in run.points)
    return calibrating + measured + sum(point.requests_sent for point in run.cut_points)


def default_directory(model: str) -> Path:
    """A name for the run of a model, that says when it was started, and that nothing has yet."""
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:_LONGEST_SLUG].strip("-") or "model"
    return free_path(Path(f"bench-{slug}-{datetime.now(UTC).astimezone():%Y%m%d-%H%M%S}"))


def new_run(
    plan: BenchPlan,
    found: Discovered,
    server: Server,
    name: str,
    calibration: Calibration,
    notes: Sequence[str] = (),
    workload: WorkloadFile | None = None,
) -> Run:
    """A run without points; notes are what must be known of all of them."""
    options = plan.options
    spec = None if workload is None else workload.spec
    return Run(
        schema_="planner.run/1",
        name=name,
        basis=found.basis,
        started_at=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        definitions=definitions(),
        status="running",
        server=server,
        client=this_client(),
        workload=Workload(
            endpoint=plan.endpoint,
            input_tokens=_length(plan, spec, "input_tokens", DEFAULT_INPUT),
            output_tokens=_length(plan, spec, "output_tokens", DEFAULT_OUTPUT),
            arrival=plan.arrival,
            burstiness=1.0 if options.burstiness is None else options.burstiness,
            rate=options.rate,
            bursts=options.bursts,
            think_time_s=options.think_time_s,
            trace_speed=1.0 if options.trace_speed is None else options.trace_speed,
            requests=plan.extent.requests,
            duration_s=plan.extent.duration_s,
            file=spec,
            file_sha256={} if workload is None else workload.sha256,
            seed=options.seed,
            warmup_s=plan.extent.warmup_s,
        ),
        slo=plan.slo,
        warnings=list(notes),
        command=command_of(plan),
        calibration=PromptCalibration(**{**asdict(calibration), "word_tokens": list(calibration.word_tokens)}),
    )


def _length(plan: BenchPlan, spec: WorkloadSpec | None, name: str, default: str) -> str:
    """How the lengths of prompts or answers were asked for."""
    if plan.arrival == "trace":
        return "trace"
    if spec is None:
        return getattr(plan.options, name) or default
    return str(getattr(spec, name) or ("prompts" if spec.prompts is not None else "trace"))


def this_client() -> Client:
    """The machine and software that measure now."""
    return Client(
        planner_version=version("host-or-api"),
        python_version=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu_count=os.cpu_count() or 1,
    )


def server_of(plan: BenchPlan, url: str, found: Discovered, started: Started | None) -> Server:
    """The server: as it describes itself, as it was started, and as the user knows it, the later before the earlier."""
    known = found.limits.model_dump(exclude_none=True)
    model, engine, accelerator = Model(id=found.model), found.engine, plan.accelerator
    if started is not None:
        known |= started.limits.model_dump(exclude_none=True)
        changed = {"args": list(started.args), "version": started.version or engine.version}
        engine = engine.model_copy(update={**changed, "tensor_parallel_size": started.tensor_parallel_size})
        model = model.model_copy(update={"dtype": started.dtype, "quantization": started.quantization})
        accelerator = accelerator or started.accelerator
    return Server(
        url=url,
        model=model,
        engine=engine,
        accelerator=accelerator,
        limits=KnownLimits(**(known | plan.limits.model_dump(exclude_none=True))),
        start_up_s=started.start_up_s if started is not None else None,
    )


def bench_json(run: Run, directory: Path, is_sweep: bool) -> str:
    """The points as one JSON document: a point alone, or a list of those of a sweep; and where the run is."""
    told: dict[str, object] = {"run": shown_path(directory)}
    if run.sweep is not None:
        told["sweep"] = run.sweep.model_dump(mode="json")
    data = [point.metrics.model_dump(mode="json") for point in run.points]
    return json.dumps(told | ({"points": data} if is_sweep or len(data) != 1 else data[0]), allow_nan=False) + "\n"
