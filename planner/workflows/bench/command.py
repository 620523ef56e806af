"""The options of a load test as its run keeps them, so that they can be asked again; without secrets."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from planner.errors import InputFileError, Problem
from planner.schema.benchmark import Run
from planner.store.files import shown_path
from planner.store.runs import RUN_FILE
from planner.workflows.bench.options import BenchOptions, BenchPlan

HIDDEN_USER = "***@"
"""Stands in an address where a user and a password stood."""

_OPTIONS = TypeAdapter(BenchOptions)
_OF_A_CALL = ("out", "resume")
"""Options that say where a run is, not what it asks."""


def command_of(plan: BenchPlan) -> dict[str, Any] | None:
    """The options, with the names of variables in place of secrets; None where they are no text that a file can hold.

    Args:
        plan: the options, read without a mistake: what stands after a header's = is the name of a variable.
    """
    options, url = plan.options, plan.options.url
    if url is not None and plan.target is not None:
        scheme, _, rest = plan.target.root.partition("://")
        url = f"{scheme}://{HIDDEN_USER if urlsplit(url).username is not None else ''}{rest}"
    trace, workload = (None if path is None else path.absolute() for path in (options.trace, options.workload))
    options = replace(options, url=url, trace=trace, workload=workload, out=None, resume=None)
    try:
        kept = _OPTIONS.dump_python(options, mode="json")
        json.dumps(kept, ensure_ascii=False).encode()
    except ValueError:  # a name in bytes that are no UTF-8
        return None
    return {name: value for name, value in kept.items() if name not in _OF_A_CALL}


def read_command(folder: Path, run: Run) -> BenchOptions:
    """The options that a run keeps.

    Raises:
        InputFileError: it keeps none, or such as this version does not have.
    """
    if run.command is None:
        told = "is missing: the run does not say what was asked, so it cannot be gone on with; measure anew"
        raise InputFileError([_problem(folder, "command", told)])
    known = {option.name for option in fields(BenchOptions)} - set(_OF_A_CALL)
    unknown = [name for name in run.command if name not in known]
    if unknown:
        told = "is no option of this version; the run is of a newer one, or was edited"
        raise InputFileError([_problem(folder, f"command.{name}", told) for name in unknown])
    try:
        return _OPTIONS.validate_json(json.dumps(run.command), strict=True)
    except ValidationError as error:
        lines = error.errors(include_url=False)
        places = [".".join(str(part) for part in ("command", *line["loc"])) for line in lines]
        raise InputFileError(
            [_problem(folder, place, line["msg"]) for place, line in zip(places, lines, strict=True)]
        ) from error


def _problem(folder: Path, field: str, message: str) -> Problem:
    return Problem(shown_path(folder / RUN_FILE), 0, 0, field, message)
