"""What a load test writes of itself: the server, the client, the workload, and each point as it is done."""

import json
import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol

from planner.engines.discovery import Discovered
from planner.schema.benchmark import Client, KnownLimits, LoadPoint, Run, RunPoint, Server, Workload, definitions
from planner.schema.profile import Accelerator, Model
from planner.store.files import shown_path
from planner.store.runs import RunDirectory
from planner.workflows.bench_options import DEFAULT_INPUT, DEFAULT_OUTPUT, BenchPlan

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
    """A run directory whose `run.json` is whole and up to date after every point."""

    def __init__(self, directory: RunDirectory, run: Run) -> None:
        self.directory = directory
        self.run = run
        self.points: list[LoadPoint] = []
        directory.write(run)

    @property
    def next_file(self) -> str:
        """For the requests of the next point."""
        return f"requests-{len(self.points):03}.jsonl"

    @property
    def schedule_path(self) -> Path:
        """Where the schedule of the next point is kept."""
        return self.directory.path / f"schedule-{len(self.points):03}.csv"

    def add(self, point: LoadPoint) -> None:
        """Adds the point whose requests are in `next_file`."""
        entry = RunPoint(requests_file=self.next_file, metrics=point)
        self.points.append(point)
        self._update(points=[*self.run.points, entry])

    def close(self, status: Literal["complete", "interrupted", "failed"]) -> None:
        """Says how it ended."""
        self._update(status=status)

    def _update(self, **changes: object) -> None:
        self.run = self.run.model_copy(update=changes)
        self.directory.write(self.run)


def default_directory(model: str) -> Path:
    """A name for the run of a model, that says when it was started."""
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:_LONGEST_SLUG].strip("-") or "model"
    return Path(f"bench-{slug}-{datetime.now(UTC).astimezone():%Y%m%d-%H%M%S}")


def new_run(plan: BenchPlan, found: Discovered, server: Server, name: str, warnings: list[str]) -> Run:
    """A run without points."""
    options = plan.options
    is_trace = plan.arrival == "trace"
    return Run(
        schema_="planner.run/1",
        name=name,
        basis=found.basis,
        started_at=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        definitions=definitions(),
        status="running",
        server=server,
        client=Client(
            planner_version=version("host-or-api"),
            python_version=platform.python_version(),
            platform=f"{platform.system()} {platform.release()} {platform.machine()}",
            cpu_count=os.cpu_count() or 1,
        ),
        workload=Workload(
            endpoint=plan.endpoint,
            input_tokens="trace" if is_trace else options.input_tokens or DEFAULT_INPUT,
            output_tokens="trace" if is_trace else options.output_tokens or DEFAULT_OUTPUT,
            arrival=plan.arrival,
            burstiness=1.0 if options.burstiness is None else options.burstiness,
            rate=options.rate,
            bursts=options.bursts,
            think_time_s=options.think_time_s,
            trace_speed=1.0 if options.trace_speed is None else options.trace_speed,
            requests=plan.extent.requests,
            duration_s=plan.extent.duration_s,
            seed=options.seed,
            warmup_s=options.warmup_s,
        ),
        slo=plan.slo,
        warnings=warnings,
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


def bench_json(points: Sequence[LoadPoint], directory: Path, is_sweep: bool) -> str:
    """The points as one JSON document: a point alone, or a list of those of a sweep; and where the run is."""
    run = {"run": shown_path(directory)}
    data = [point.model_dump(mode="json") for point in points]
    return json.dumps(run | ({"points": data} if is_sweep or len(data) != 1 else data[0]), allow_nan=False) + "\n"
