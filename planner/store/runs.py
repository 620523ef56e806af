"""Run directories: `run.json`, and one file of JSON lines per load point."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from planner.errors import EnvironmentLackingError, InputFileError, Problem, UsageError
from planner.schema.benchmark import RequestRecord, Run
from planner.store.cuts import answers_in, claim, is_claimed, requests_file, sent_file
from planner.store.documents import load_document, read_bytes
from planner.store.files import shown_path, sync_folder, write_text, writing
from planner.store.syncing import Syncer
from planner.store.validate import read_model

RUN_FILE = "run.json"
_MOST_BYTES = 2**32
_MOST_TOLD = 20


class RunDirectory:
    """A run on disk: each point's requests as they finish, and `run.json` as often as it changes.

    Raises:
        UsageError: something is there already, and the run is a new one.
        EnvironmentLackingError: it cannot be made.
    """

    def __init__(self, path: Path, is_new: bool = True) -> None:
        self.path = path
        if is_new:
            refuse_to_mix(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentLackingError(f"{shown_path(path)}: cannot be made: {error.strerror or error}") from error

    def write(self, run: Run) -> None:
        """Writes `run.json`, whole or not at all.

        Raises:
            EnvironmentLackingError: the disk is full, say.
        """
        data = run.model_dump(mode="json", by_alias=True)
        write_text(self.path / RUN_FILE, json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n")

    def requests(self, name: str) -> "RequestsFile":
        """A new file of requests, to be used in a `with`."""
        return RequestsFile(self.path / name)


def refuse_to_mix(path: Path) -> None:
    """Raises where a new run would be written among other files, or over another run.

    Raises:
        UsageError: something is there.
    """
    shown = shown_path(path)
    if (path / RUN_FILE).exists():
        raise UsageError(f"--out {shown}: holds a run already; name another folder")
    if path.exists() and not path.is_dir():
        raise UsageError(f"--out {shown}: is a file; name a folder")
    if path.exists() and any(path.iterdir()):
        raise UsageError(f"--out {shown}: holds other files; name a new or an empty folder")


class RequestsFile(AbstractContextManager["RequestsFile"]):
    """Appends records, each handed to the system at once, so that whoever ends us ends none of them.

    Only a power cut can cost any, at most those of the last second. While the file is open nobody else can claim it.
    """

    def __init__(self, path: Path, is_joined: bool = False) -> None:
        """A new file, or, where several processes measure one point, one that another of them has open."""
        self._path = path
        self._is_joined = is_joined
        self.sent = 0
        """Requests that were sent, answered or not; known when the file is closed."""

    def __enter__(self) -> Self:
        # Unbuffered, and each write at the end: one line is one call to the system, whoever else writes.
        with writing(self._path):
            if not self._is_joined:
                self._path.open("xb").close()
                sent_file(self._path).write_bytes(b"")
            self._file = self._path.open("ab", buffering=0)
            self._sent_file = sent_file(self._path).open("ab", buffering=0)
            if not self._is_joined:
                claim(self._file.fileno())
                sync_folder(self._path.parent)
            self._syncer = Syncer(self._file.fileno())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._path):
            self.sent = os.fstat(self._sent_file.fileno()).st_size
            self._sent_file.close()
            try:
                self._syncer.close()
            finally:
                self._file.close()
            if kind is None and not self._is_joined:  # or else some were sent that are in no line
                sent_file(self._path).unlink(missing_ok=True)

    def append(self, record: RequestRecord) -> None:
        """Adds a line.

        Raises:
            EnvironmentLackingError: the disk is full, say.
        """
        line = record.model_dump_json().encode() + b"\n"
        with writing(self._path):
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._syncer.wrote()

    def count_sent(self) -> None:
        """A request is being sent.

        Raises:
            EnvironmentLackingError: the disk is full, say.
        """
        with writing(self._path):
            self._sent_file.write(b".")


def written(path: Path) -> Iterator[RequestRecord]:
    """The records of a file that was just written, one after the other."""
    with path.open("rb") as lines:
        for line in lines:
            yield RequestRecord.model_validate_json(line)


@dataclass(frozen=True)
class LoadedRun:
    """A run as read.

    Attributes:
        run: `run.json`.
        requests: the records of each point, in the order of run.points.
        notes: what was passed over, in plain words.
    """

    run: Run
    requests: tuple[tuple[RequestRecord, ...], ...]
    notes: tuple[str, ...]


def read_run(path: Path) -> LoadedRun:
    """Reads a run directory.

    A last line that was cut off, as when the machine went down, is passed over; and so is a load point that was under
    way when whoever measured it was killed.

    Raises:
        InputFileError: every mistake, with file and line.
    """
    if path.exists() and not path.is_dir():
        raise InputFileError([Problem(shown_path(path), 0, 0, "", "is a file; needed: the directory of a run")])
    run = read_model(load_document(path / RUN_FILE), Run, "run")
    problems: list[Problem] = []
    notes: list[str] = list(_under_way(path, run))
    points = []
    for number, point in enumerate(run.points):
        if Path(point.requests_file).name != point.requests_file:
            where = f"points[{number}].requests_file"
            problems.append(Problem(shown_path(path / RUN_FILE), 0, 0, where, "must be a file beside run.json"))
            continue
        try:
            points.append(tuple(_records(path / point.requests_file, notes)))
        except InputFileError as error:
            problems += error.problems
    if problems:
        raise InputFileError(problems)
    return LoadedRun(run, tuple(points), tuple(notes))


def _under_way(path: Path, run: Run) -> Iterator[str]:
    """What there is of a load point that `run.json` does not know, since whoever measured it was killed."""
    answers = path / requests_file(len(run.points))
    if run.status != "running":
        return
    if is_claimed(answers):
        yield f"{shown_path(path)}: is still being measured"
        return
    more = f"; go on with planner bench --resume {shown_path(path)}"
    yield f"{shown_path(path)}: was cut off after {len(run.points)} load points{more}"
    if answers.exists():
        yield f"{shown_path(answers)}: {answers_in(answers):,} requests of the load point then under way, in no figure"


def _records(path: Path, notes: list[str]) -> list[RequestRecord]:
    file = shown_path(path)
    lines = read_bytes(path, _MOST_BYTES).split(b"\n")
    if lines[-1]:
        notes.append(f"{file}: its last line is cut off, and left out")
    records: list[RequestRecord] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            records.append(RequestRecord.model_validate_json(line))
        except ValidationError as error:
            for details in error.errors(include_url=False):
                field = ".".join(str(part) for part in details["loc"])
                problems.append(Problem(file, number, 0, field, details["msg"]))
        if len(problems) >= _MOST_TOLD:
            problems.append(Problem(file, number, 0, "", "reading ends here: too many mistakes"))
            break
    if problems:
        raise InputFileError(problems)
    return records
