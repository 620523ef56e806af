"""Going on with a load test that was interrupted or killed: what was measured stays, what was cut off is done again."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

from planner.engines.discovery import Discovered
from planner.errors import InputFileError, Problem, UsageError
from planner.loadtest.texts import Calibration
from planner.schema.benchmark import Run, RunPoint, Server
from planner.store.cuts import cut_points, is_claimed, requests_file, set_aside
from planner.store.documents import load_document
from planner.store.files import shown_path
from planner.store.runs import RUN_FILE, RunDirectory
from planner.store.validate import read_model
from planner.workflows.bench.command import HIDDEN_USER, read_command
from planner.workflows.bench.options import BenchOptions, extent_of, finds_loads
from planner.workflows.bench.run_book import RunBook, this_client

_FIXED_LIMITS = ("max_num_seqs", "max_num_batched_tokens", "block_tokens", "max_model_len")
"""Of a server that was started again; the memory that it finds free is never quite the same."""

_OF_TIME = ("time_budget_s", "duration_s", "warmup_s")

_BESIDE_RESUME = frozenset({"resume", "url", "header", "time_budget_s", "json", "quiet"})


@dataclass(frozen=True)
class EarlierRun:
    """A run to go on with.

    Attributes:
        folder: where it is.
        run: as `run.json` holds it.
        options: as they were given, but for what is given anew.
        has_more_time: a sweep whose time was over is given more.
    """

    folder: Path
    run: Run
    options: BenchOptions
    has_more_time: bool = False

    @property
    def is_complete(self) -> bool:
        """There is nothing to go on with."""
        return self.run.status == "complete" and not self.has_more_time

    @property
    def spent_s(self) -> float | None:
        """How long a sweep that finds its loads itself took until its last load was done [s]; None where it is none."""
        return self.run.sweep.spent_s if self.run.sweep is not None else None

    @property
    def model(self) -> str:
        """That was measured."""
        return self.run.server.model.id

    @property
    def calibration(self) -> Calibration | None:
        """As it was found out: the same for all points of a run, and paid for once."""
        found = self.run.calibration
        if found is None:
            return None
        return Calibration(**{**found.model_dump(), "word_tokens": tuple(found.word_tokens)})

    def directory(self) -> RunDirectory:
        """To write to."""
        return RunDirectory(self.folder, is_new=False)

    def book(self, found: Discovered, server: Server) -> RunBook:
        """The run with the points that are done, open for those to come.

        Can be cut off at any line, and done again.

        Args:
            found: what the server says of itself now.
            server: it, and what is known of it otherwise.

        Raises:
            UsageError: it is not the server that was measured; or somebody else is measuring.
            EnvironmentLackingError: the folder cannot be written.
        """
        self._refuse_another(found, server)
        done, cut = _split(self.run.points)
        if is_claimed(self.folder / requests_file(len(done))):
            raise UsageError(f"--resume {shown_path(self.folder)}: is being measured by another process")
        key = cut[0].key if cut else self.run.key_under_way
        now = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        directory, told = self.directory(), list(self._changes(server, now))
        changes: dict[str, Any] = {"status": "running", "points": done, "key_under_way": key}
        run = self.run.model_copy(update=changes)
        if cut:
            directory.write(run)  # before its file gets another name
        set_aside(self.folder, len(done))
        changes = {"cut_points": cut_points(self.folder), "resumed_at": [*run.resumed_at, now]}
        if self.has_more_time:
            changes["command"] = {**(run.command or {}), **{name: getattr(self.options, name) for name in _OF_TIME}}
        return RunBook(directory, run.model_copy(update={**changes, "warnings": [*run.warnings, *told]}))

    def _refuse_another(self, found: Discovered, server: Server) -> None:
        differences = [
            f"--resume {shown_path(self.folder)}: {name} was {_said(before)}, and is {_said(now)} now"
            for name, before, now in _compared(self.run, found.basis, server)
            if before != now
        ]
        if differences:
            told = "load points of two servers are no one run; measure anew, with another --out"
            raise UsageError("\n".join([*differences, told]))

    def _changes(self, server: Server, now: str) -> Iterator[str]:
        """What must be known of the later part of a run."""
        before, client = self.run.server, this_client()
        if server.url != before.url and self.options.serve is None:
            yield f"resumed at {now} at another address: {server.url}"
        if server.limits.kv_cache_tokens != before.limits.kv_cache_tokens:
            sizes = f"{before.limits.kv_cache_tokens} tokens before, {server.limits.kv_cache_tokens} since"
            yield f"resumed at {now} with another KV cache: {sizes}"
        for name, value in client:
            if value != (earlier := getattr(self.run.client, name)):
                yield f"resumed at {now} with another {name}: {earlier} before, {value} since"


def refuse_beside_resume(given: Collection[str]) -> None:
    """Raises where options stand beside `--resume` that the run has its own of.

    Args:
        given: names of the command's parameters.

    Raises:
        UsageError: there are such.
    """
    names = {name: "arguments after --" if name == "vllm_args" else f"--{name.replace('_', '-')}" for name in given}
    refused = sorted(option for name, option in names.items() if name not in _BESIDE_RESUME)
    if refused:
        allowed = "the run asks again what it asked; only --url, --header and --time-budget-s may be given anew"
        raise UsageError(f"{', '.join(refused)}: not with --resume: {allowed}")


def told_of_cuts(run: Run) -> str | None:
    """What a bill holds beyond the figures of a run; None where nothing was cut off."""
    if not run.cut_points:
        return None
    cut = sum(point.requests_sent for point in run.cut_points)
    return f"{run.requests_sent_in_all:,} requests were sent in all; {cut:,} of them were cut off and are in no figure"


def earlier_run(given: BenchOptions) -> EarlierRun:
    """Reads the run that is to be gone on with.

    Args:
        given: its folder; and a URL and headers, where they are not to be those of before.

    Raises:
        InputFileError: there is no run, or none that says what was asked.
        UsageError: what is given anew does not go with it.
    """
    folder = given.resume or Path()
    if not (folder / RUN_FILE).is_file():
        told = "is no run to go on with: there is no run.json; a run without one had measured nothing yet"
        raise InputFileError([Problem(shown_path(folder), 0, 0, "", told)])
    run = read_model(load_document(folder / RUN_FILE), Run, "run")
    before = read_command(folder, run)
    gone = [point.requests_file for point in run.points if not _is_there(folder, point)]
    if gone:
        problems = [
            Problem(shown_path(folder / name), 0, 0, "", "is not there, and run.json names it") for name in gone
        ]
        raise InputFileError(problems)
    if before.serve is not None and (given.url is not None or given.headers):
        raise UsageError(f"--url, --header: not with this run, which started {before.serve} itself and does so again")
    if run.status != "complete" and HIDDEN_USER in (given.url or before.url or ""):
        raise UsageError("--url: is needed again, since it held a user and a password, and these are not kept")
    # A key for one address is not for another: with a new one go the headers that are given with it.
    headers = given.headers if given.url is not None or given.headers else before.headers
    options = replace(before, url=given.url or before.url, headers=headers, model=run.server.model.id)
    options = options if before.serve is None else before
    if given.time_budget_s is None:
        return EarlierRun(folder, run, options)
    is_unfinished = run.sweep is None or not run.sweep.is_complete
    return EarlierRun(folder, run, _with_more_time(options, run, given.time_budget_s), has_more_time=is_unfinished)


def _with_more_time(options: BenchOptions, run: Run, budget_s: float) -> BenchOptions:
    """The options of a sweep with another time in all [s], and loads as long as before."""
    if not finds_loads(options):
        raise UsageError("--time-budget-s: only with a run whose sweep finds its loads itself")
    spent_s = (run.sweep.spent_s if run.sweep is not None else None) or 0.0
    if not spent_s < budget_s < inf:
        told = f"must be more than the {spent_s:.0f} s that the sweep has taken, which count"
        raise UsageError(f"--time-budget-s: {told}; given: {budget_s:g}")
    extent = extent_of(options)
    return replace(options, time_budget_s=budget_s, duration_s=extent.duration_s, warmup_s=extent.warmup_s)


def _is_there(folder: Path, point: RunPoint) -> bool:
    name = point.requests_file
    return Path(name).name == name and (folder / name).is_file()


def _split(points: list[RunPoint]) -> tuple[list[RunPoint], list[RunPoint]]:
    """Those that are done, and the last, where it was cut off."""
    is_cut = bool(points) and points[-1].is_cut
    return (points[:-1], points[-1:]) if is_cut else (points, [])


def _compared(run: Run, basis: str, server: Server) -> Iterator[tuple[str, object, object]]:
    """What must be the same of a server: its name, what it was, and what it is."""
    yield "basis", run.basis, basis
    for part in ("model", "engine"):
        for name, now in getattr(server, part):
            yield f"{part} {name}", getattr(getattr(run.server, part), name), now
    yield "accelerator", run.server.accelerator, server.accelerator
    for name in _FIXED_LIMITS:
        yield name, getattr(run.server.limits, name), getattr(server.limits, name)


def _said(value: object) -> str:
    return "not told" if value is None else str(value)
