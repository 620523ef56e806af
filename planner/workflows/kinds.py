"""The kinds of file, their JSON Schemas, and checks of files against them."""

from pathlib import Path
from typing import Any

from planner.errors import InputError, InputFileError, UsageError
from planner.schema.base import FileModel
from planner.schema.benchmark import Run
from planner.schema.plan import Plan
from planner.schema.prices import PriceBook
from planner.schema.profile import Profile
from planner.schema.scenario import Scenario
from planner.schema.workload import WorkloadSpec
from planner.store.documents import load_document
from planner.store.validate import read_model
from planner.workflows.bench.workload_file import read_workload
from planner.workflows.question import ask, load_scenario

KINDS: dict[str, type[FileModel]] = {
    "scenario": Scenario,
    "plan": Plan,
    "profile": Profile,
    "prices": PriceBook,
    "run": Run,
    "workload": WorkloadSpec,
}


def json_schema(kind: str) -> dict[str, Any]:
    """JSON Schema of a file kind.

    Raises:
        UsageError: there is no such kind.
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _model(kind).model_json_schema(by_alias=True)


def check_file(kind: str, path: Path) -> None:
    """Checks a file, and the files that a scenario or a workload names.

    Raises:
        InputFileError: every mistake of the file.
    """
    model = _model(kind)
    if kind == "workload":
        read_workload(path)
        return
    if kind != "scenario":
        read_model(load_document(path), model, kind)
        return
    loaded = load_scenario(path)
    try:
        ask(loaded)
    except InputError as error:
        raise InputFileError([loaded.document.problem(error.loc, error.message)]) from error


def _model(kind: str) -> type[FileModel]:
    if kind not in KINDS:
        raise UsageError(f"KIND: must be one of {', '.join(KINDS)}; given {kind!r}")
    return KINDS[kind]
