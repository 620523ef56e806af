"""A load test from its options to a run directory."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from planner.engines.discovery import discover
from planner.engines.exchange import Timeouts
from planner.engines.gpus import Gpu
from planner.engines.loop import client_loop
from planner.engines.openai_http import OpenAIClient
from planner.engines.target import Target, target_of
from planner.loadtest.calibration import calibrate
from planner.loadtest.own_prompts import OnCount
from planner.loadtest.schedule import load_label
from planner.loadtest.telemetry import Telemetry, idle_power_w
from planner.schema.benchmark import LoadPoint, Run
from planner.store.files import free_path
from planner.store.runs import RunDirectory
from planner.workflows.bench.gpu_choice import gpus_to_watch
from planner.workflows.bench.interruption import interruptible
from planner.workflows.bench.loads import Bench, Show, measure_loads
from planner.workflows.bench.open_files import allow_open_files, refuse_too_many
from planner.workflows.bench.options import BenchOptions, BenchPlan, read_options
from planner.workflows.bench.request_source import RequestSource
from planner.workflows.bench.resume import EarlierRun, earlier_run
from planner.workflows.bench.run_book import RunBook, Started, default_directory, new_run, server_of
from planner.workflows.bench.schedules import part_of, schedules
from planner.workflows.bench.sweep_search import Search
from planner.workflows.bench.workload_file import read_workload, with_workload
from planner.workflows.doubts import doubts
from planner.workflows.workload import read_trace

_START_UP_LIMIT_S = 1800.0
"""Large models load for a quarter of an hour from slow disks."""


@dataclass(frozen=True)
class BenchResult:
    """A load test that was made.

    Attributes:
        run: as `run.json` holds it.
        directory: where it is.
        points: its load points.
        warnings: what must be known of them, each with its load.
        doubts: why they must not be trusted, likewise; empty where they may.
        is_old: nothing was measured, since the run to go on with was complete.
    """

    run: Run
    directory: Path
    points: tuple[LoadPoint, ...]
    warnings: tuple[str, ...]
    doubts: tuple[str, ...]
    is_old: bool = False

    @property
    def is_interrupted(self) -> bool:
        """Somebody stopped it."""
        return self.run.status == "interrupted"

    @property
    def is_sweep(self) -> bool:
        """A ladder of loads was asked for."""
        return bool((self.run.command or {}).get("sweep"))


def bench(
    options: BenchOptions,
    environment: Mapping[str, str],
    show: Show = lambda _, __: None,
    on_wait: Callable[[float], None] = lambda _: None,
    on_count: OnCount = lambda _, __: None,
) -> BenchResult:
    """Load-tests a server, one that is there or one that it starts.

    Args:
        options: of the command; with `resume`, those of the run to go on with take their place.
        environment: where the values of headers are.
        show: told the load and where it stands, several times a second.
        on_wait: told for how long a server has been starting [s].
        on_count: told how many of the user's own prompts the server has counted, and of how many.

    Raises:
        UsageError: every mistake of the options.
        InputFileError: every mistake of the trace or the workload, and prompts that the server's context cannot hold.
        EnvironmentLackingError: the server cannot be reached or started, or the disk is full.
        KeyboardInterrupt: before anything was measured.
    """
    earlier = None if options.resume is None else earlier_run(options)
    if earlier is not None:
        options = earlier.options
        if earlier.is_complete:
            return _result(earlier.run, earlier.folder, options.max_error_fraction, is_old=True)
    plan = read_options(options, environment)
    refuse_too_many(max(plan.users, default=0), options.processes, allow_open_files())
    trace = (
        None if options.trace is None else part_of(read_trace(options.trace, options.trace_speed or 1.0), plan.extent)
    )
    workload = None if options.workload is None else read_workload(options.workload)
    if workload is not None:
        plan = with_workload(plan, workload)
    source = RequestSource(trace, workload)
    gpus = gpus_to_watch(options.gpus, None if plan.target is None else plan.target.root, environment)
    if plan.target is not None:
        return _run(_measure(plan, plan.target, source, show, gpus, on_count, earlier=earlier))
    from planner.engines.vllm import find_vllm, serve  # noqa: PLC0415 - only where a server is started

    find_vllm()  # before there is a folder for its log
    model = options.serve or ""
    directory = RunDirectory(options.out or default_directory(model)) if earlier is None else earlier.directory()
    with serve(model, options.vllm_args, free_path(directory.path / "vllm.log"), on_wait, _START_UP_LIMIT_S) as started:
        target = _served(started.url, environment)
        return _run(
            _measure(plan, target, source, show, gpus, on_count, directory=directory, started=started, earlier=earlier)
        )


def _run(work: Coroutine[Any, Any, BenchResult]) -> BenchResult:
    """Runs it on the fastest event loop there is."""
    try:
        with asyncio.Runner(loop_factory=client_loop()) as runner:
            return runner.run(work)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _served(url: str, environment: Mapping[str, str]) -> Target:
    """A server that we started; it asks for the key that vLLM takes from the environment."""
    key = environment.get("VLLM_API_KEY")
    return target_of(url, {"Authorization": "KEY"} if key else {}, {"KEY": f"Bearer {key}"})


async def _measure(
    plan: BenchPlan,
    target: Target,
    source: RequestSource,
    show: Show,
    gpus: tuple[Gpu, ...],
    on_count: OnCount,
    *,
    directory: RunDirectory | None = None,
    started: Started | None = None,
    earlier: EarlierRun | None = None,
) -> BenchResult:
    options = plan.options
    async with (
        OpenAIClient(target, plan.endpoint, _timeouts(options)) as client,
        Telemetry(target, gpus) as telemetry,
    ):
        with interruptible() as interruption:
            found = await discover(client, options.model or (started.model if started is not None else None))
            server = server_of(plan, target.root, found, started)
            source.refuse_misfits(found, server.limits)
            calibration = (earlier and earlier.calibration) or await calibrate(
                client, found.model, source.recipe.parameters
            )
            shape, notes = await source.shape(plan, client, found.model, calibration, server.limits, on_count)
            if earlier is not None:
                book = earlier.book(found, server)
            else:
                directory = directory or RunDirectory(options.out or default_directory(found.model))
                run = new_run(plan, found, server, directory.path.name, calibration, notes, source.workload)
                book = RunBook(directory, run)
            if gpus and not book.points:
                book.note_idle_power(await idle_power_w(telemetry))
            spent_s = earlier.spent_s if earlier is not None else None
            search = Search(plan, server.limits, source.recipe.turns, len(book.points), spent_s)
            loads = schedules(plan, shape, server.limits, book.points, search)
            ready = Bench(plan, client, telemetry, found.model, source, calibration, notes, book)
            if plan.finds_loads:
                book.find(search.result)
                show = _with_time_left(show, search)
                status = await measure_loads(ready, loads, interruption, show, lambda: search.left_s)
                book.find(search.result)
            else:
                status = await measure_loads(ready, loads, interruption, show)
            book.close(status)
    return _result(book.run, book.directory.path, options.max_error_fraction)


def _result(run: Run, directory: Path, max_error_fraction: float, is_old: bool = False) -> BenchResult:
    points = tuple(point.metrics for point in run.points)
    return BenchResult(
        run=run,
        directory=directory,
        points=points,
        warnings=tuple(f"{_label(point)}: {told}" for point in points for told in point.warnings),
        doubts=tuple(f"{_label(point)}: {why}" for point in points for why in doubts(point, max_error_fraction)),
        is_old=is_old,
    )


def _with_time_left(show: Show, search: Search) -> Show:
    return lambda label, now: show(f"{label}, {search.left_s:.0f} s left of the sweep", now)


def _timeouts(options: BenchOptions) -> Timeouts:
    first_token_s = inf if options.ttft_timeout_s is None else options.ttft_timeout_s
    return Timeouts(options.timeout_s, first_token_s, options.idle_timeout_s)


def _label(point: LoadPoint) -> str:
    return load_label(point.concurrency, point.offered_requests_per_s)
