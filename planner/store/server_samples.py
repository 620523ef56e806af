"""The server's side of a load point as JSON lines: every page of its `/metrics`, and every look at its GPUs."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from planner.errors import InputFileError, Problem
from planner.schema.telemetry import ServerSample
from planner.store.documents import read_bytes
from planner.store.files import shown_path, write_text

_MOST_BYTES = 2**30
_MOST_TOLD = 20


def write_samples(path: Path, samples: Iterable[ServerSample]) -> bool:
    """Writes a file, whole or not at all; False, and no file, where there is no sample.

    Raises:
        EnvironmentLackingError: the disk is full, say.
    """
    lines = [sample.model_dump_json(exclude_defaults=True) + "\n" for sample in samples]
    if lines:
        write_text(path, "".join(lines))
    return bool(lines)


def read_samples(path: Path) -> list[ServerSample]:
    """Reads such a file.

    Raises:
        InputFileError: every mistake, with its line and field.
    """
    samples: list[ServerSample] = []
    problems: list[Problem] = []
    for number, line in enumerate(read_bytes(path, _MOST_BYTES).splitlines(), start=1):
        try:
            samples.append(ServerSample.model_validate_json(line))
        except ValidationError as error:
            for details in error.errors(include_url=False):
                field = ".".join(str(part) for part in details["loc"])
                problems.append(Problem(shown_path(path), number, 0, field, details["msg"]))
        if len(problems) >= _MOST_TOLD:
            problems.append(Problem(shown_path(path), number, 0, "", "reading ends here: too many mistakes"))
            break
    if problems:
        raise InputFileError(problems)
    return samples
