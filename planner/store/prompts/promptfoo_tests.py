"""Tests of a configuration of promptfoo, as far as prompts need them: variables, and text around the prompt."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from planner.errors import InputFileError, Problem
from planner.store.documents import Document, Loc, field_name
from planner.store.files import shown_path
from planner.store.prompts.own_prompt import MOST_BYTES, MOST_PROMPTS
from planner.store.prompts.plain_files import csv_lines, large_cells, twin_columns
from planner.store.prompts.promptfoo_files import SCHEME, Files, RefusedError, refuse_remote
from planner.store.prompts.templates import TemplateRefusedError

_VARIABLE_FILES = (".txt", ".md", ".json", ".csv")
_HIDDEN = "__"
"""How columns begin that are no variables: what is expected, and notes."""
_MOST_EXACT = 2**53
"""Whole numbers up to this are exact in JavaScript, whose numbers are all floats."""


@dataclass(frozen=True)
class Case:
    """One set of variables.

    Attributes:
        name: as errors name it; empty where there are no tests.
        file: that it stands in.
        line: of the file; 0 where nobody knows it.
        variables: by their names, as they are written: texts may be templates.
        prefix, suffix: text around every prompt.
    """

    name: str
    file: str
    line: int
    variables: Mapping[str, Any]
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class _Given:
    """A test as it is written, with what all tests have."""

    name: str
    file: str
    line: int
    variables: Mapping[str, Any]
    options: Mapping[str, Any]


def read_cases(document: Document, files: Files, problems: list[Problem]) -> list[Case]:
    """All tests, those of lists of values too, or one where there is none; mistakes go to `problems`."""
    tests: list[Case] = []
    try:
        shared, options = _default(document)
    except RefusedError as error:
        problems.append(document.problem(("defaultTest",), str(error)))
        return []
    for loc, entry in _entries(document, problems):
        try:
            for given in _given(document, loc, entry, files):
                every = {**shared, **given.variables}
                tests += _expanded(given, every, {**options, **given.options}, files, MOST_PROMPTS - len(tests))
        except (RefusedError, TemplateRefusedError) as error:
            problems.append(document.problem(loc, str(error)))
        except InputFileError as error:
            problems += error.problems
    return tests


def _entries(document: Document, problems: list[Problem]) -> Iterator[tuple[Loc, Any]]:
    given = document.data.get("tests")
    if given is None or given in ("", []):
        yield (), {"vars": {}}
    elif isinstance(given, str) and given.strip():
        yield ("tests",), given
    elif isinstance(given, list):
        yield from ((("tests", number), entry) for number, entry in enumerate(given))
    else:
        allowed = "must be a list, or the name of a CSV file, as promptfoo has it; without it each prompt is asked once"
        problems.append(document.problem(("tests",), allowed))


def _default(document: Document) -> tuple[dict[str, Any], dict[str, Any]]:
    default = document.data.get("defaultTest")
    if default is None:
        return {}, {}
    if not isinstance(default, dict):
        raise RefusedError("must be a mapping; files are not read")
    return _checked(default)


def _checked(test: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Variables and options of a test."""
    variables, options = test.get("vars") or {}, test.get("options") or {}
    if not isinstance(variables, dict) or not isinstance(options, dict):
        raise RefusedError("vars and options must be mappings; files are not read")
    for name in ("transformVars", "storeOutputAs", "runSerially"):
        if options.get(name) or test.get(name):
            raise RefusedError(f"{name} is not supported")
    if test.get("prompts"):
        raise RefusedError("prompts of a test are not supported: every prompt goes with every test")
    if not all(isinstance(options.get(name) or "", str) for name in ("prefix", "suffix")):
        raise RefusedError("options.prefix and options.suffix must be texts")
    return variables, options


def _given(document: Document, loc: Loc, entry: Any, files: Files) -> Iterator[_Given]:
    if isinstance(entry, str):
        refuse_remote(entry)
        yield from _of_csv(entry, files)
    elif isinstance(entry, dict) and "path" in entry and "vars" not in entry:
        raise RefusedError("tests that are made by a program are not supported; use a CSV file")
    elif isinstance(entry, dict) and ("vars" in entry or entry.keys() & {"description", "assert", "options"}):
        variables, options = _checked(entry)
        line = document.place(loc)[0] if loc else 0
        yield _Given(field_name(loc), document.file, line, variables, options)
    else:
        raise RefusedError("must hold vars, or be the name of a CSV file")


def _of_csv(reference: str, files: Files) -> Iterator[_Given]:
    path = files.path(reference, (".csv",))
    file, text = shown_path(path), files.text(path)
    with large_cells(MOST_BYTES):
        found = list(csv_lines(text))
    broken = [(line, str(cells)) for line, cells in found if isinstance(cells, ValueError)]
    lines = [(line, cells) for line, cells in found if not isinstance(cells, ValueError)]
    names = [name.strip() for name in lines[0][1]] if lines else []
    mistakes = [
        *([(1, twins)] if (twins := twin_columns(names)) else []),
        *(
            (line, f"has {len(cells)} fields; allowed: {len(names)}")
            for line, cells in lines
            if len(cells) > len(names)
        ),
        *broken,
        *([(0, "holds no tests")] if not found else []),
    ]
    if mistakes:
        raise InputFileError([Problem(file, line, 0, "", message) for line, message in mistakes])
    for line, cells in lines[1:]:
        if not any(cell.strip() for cell in cells):
            continue
        row = dict(zip(names, cells, strict=False))
        options = {name: row[f"{_HIDDEN}{name}"] for name in ("prefix", "suffix") if row.get(f"{_HIDDEN}{name}")}
        variables = {name: cell for name, cell in row.items() if name and not name.startswith(_HIDDEN)}
        yield _Given(f"{file}:{line}", file, line, variables, {**options, "disableVarExpansion": True})


def _expanded(
    given: _Given, variables: Mapping[str, Any], options: Mapping[str, Any], files: Files, most: int
) -> Iterator[Case]:
    """One test for every combination of the values of lists; lists of anything but texts are values themselves."""
    is_kept = bool(options.get("disableVarExpansion"))
    choices = [
        value if isinstance(value, list) and value and isinstance(value[0], str) and not is_kept else [value]
        for value in variables.values()
    ]
    combinations = math.prod(map(len, choices))
    if combinations > most:
        raise RefusedError(f"{given.name} stands for {combinations:,} tests; {MOST_PROMPTS:,} in all are the most")
    around = str(options.get("prefix") or ""), str(options.get("suffix") or "")
    for chosen in itertools.product(*choices):
        read = {name: _value(name, each, files) for name, each in zip(variables, chosen, strict=True)}
        which = given.name
        if combinations > 1:
            several = (name for name, values in zip(variables, choices, strict=True) if len(values) > 1)
            which += " (" + ", ".join(f"{name}={str(read[name])[:30]}" for name in several) + ")"
        yield Case(which, given.file, given.line, read, *around)


def _value(name: str, value: Any, files: Files) -> Any:
    """A variable, out of a file where it names one."""
    if not isinstance(value, str):
        return _as_javascript(value)
    if not value.startswith(SCHEME):
        return value.removesuffix("\n")
    try:
        text = files.text(files.path(value, _VARIABLE_FILES)).strip()
    except RefusedError as error:
        raise RefusedError(f"vars.{name}: {error}") from error
    return text


def _as_javascript(value: Any) -> Any:
    """A value as JavaScript has it, where 1.0 is 1; days are texts."""
    if isinstance(value, list):
        return [_as_javascript(each) for each in value]
    if isinstance(value, dict):
        return {name: _as_javascript(each) for name, each in value.items()}
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MOST_EXACT:
        return int(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
