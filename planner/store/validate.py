"""Data against a model: every mistake at once, in plain words, with its place in the file."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from planner.errors import InputFileError, Problem
from planner.schema.base import CURRENCY_PATTERN, NAME_PATTERN, FileModel
from planner.store.documents import Document, Loc

Model = TypeVar("Model", bound=FileModel)

_WORDS_BY_ERROR = {
    "date_type": "must be a day as YYYY-MM-DD",
    "date_parsing": "must be a day as YYYY-MM-DD",
    "date_from_datetime_parsing": "must be a day as YYYY-MM-DD",
    "date_from_datetime_inexact": "must be a day as YYYY-MM-DD",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
}
_WORDS_BY_PATTERN = {
    NAME_PATTERN: "must be text without blanks at its ends",
    CURRENCY_PATTERN: "must be three capital letters (ISO 4217), such as USD",
}
_LONGEST_SHOWN = 60
_MOST_KEYS_SHOWN, _MOST_KEYS_LISTED = 6, 10
_MOST_MISTAKES = 1000
"""A file with more is of another kind."""


def read_model(document: Document, model: type[Model], kind: str, extra: Sequence[Problem] = ()) -> Model:
    """The document as a model.

    Args:
        document: what was read.
        model: what it must be.
        kind: the middle of its tag: scenario, plan, profile, prices.
        extra: further problems, found elsewhere, to be reported together with those of the model; what the
            model says about the same fields is left out.

    Raises:
        InputFileError: every mistake, in the order of the file.
    """
    tag = _tag(model)
    wrong_tag = _wrong_tag(document, kind, tag)
    if wrong_tag and document.data.get("schema") is not None:
        # Of another kind or time, so that its fields mean something else.
        raise InputFileError([*document.problems, wrong_tag])
    problems = [*document.problems, *extra, *([wrong_tag] if wrong_tag and "schema" not in document.unread else [])]
    told = {*document.unread, *(problem.field for problem in extra), *(["schema"] if wrong_tag else [])}
    try:
        result = model.model_validate(document.data)
    except ValidationError as error:
        known = _Known(model)
        mistakes = error.errors(include_url=False)
        if len(mistakes) > _MOST_MISTAKES:
            problems.append(Problem(document.file, 0, 0, "", f"has {len(mistakes):,} mistakes; the first are told"))
        for details in mistakes[:_MOST_MISTAKES]:
            problem = _problem(document, details, known)
            # A rule across fields has nothing to say where one of them could not be read.
            follows = details["type"] == "rule" and any(
                not problem.field or _is_within(field, problem.field) for field in document.unread
            )
            if not follows and not any(_is_within(problem.field, field) for field in told):
                problems.append(problem)
    if problems:
        raise InputFileError(problems)
    return result


def _tag(model: type[FileModel]) -> str:
    return str(get_args(model.model_fields["schema_"].annotation)[0])


def _wrong_tag(document: Document, kind: str, tag: str) -> Problem | None:
    given = document.data.get("schema")
    if given == tag:
        return None
    message = f"must be {tag}; given: {_shown(given)}" if "schema" in document.data else f"is missing; must be {tag}"
    other = re.fullmatch(r"planner\.(\w+)/(\d+)", given) if isinstance(given, str) else None
    if other and other[1] == kind and int(other[2][:9]) > int(tag.rpartition("/")[2]):
        message = f"{given} was written by a newer version of planner; upgrade it to read this file (this one: {tag})"
    elif other and other[1] != kind:
        message = f"this is a {other[1]} file; needed: {tag}"
    return document.problem(("schema",), message)


def _problem(document: Document, details: ErrorDetails, known: "_Known") -> Problem:
    loc = _place_in_data(document.data, details["loc"])
    return document.problem(loc, _message(loc, details, known))


def _place_in_data(data: Any, loc: Loc) -> Loc:
    """The keys and positions of a place; pydantic also names the kinds of value that it tried there."""
    found: list[int | str] = []
    for part in loc:
        if not isinstance(data, Mapping | list):
            break
        is_there = part in data if isinstance(data, Mapping) else isinstance(part, int) and part < len(data)
        if not is_there:
            return (*found, part)
        found.append(part)
        data = data[part]  # type: ignore[index]
    return tuple(found)


def _message(loc: Loc, details: ErrorDetails, known: "_Known") -> str:
    kind, given = details["type"], details["input"]
    if kind == "extra_forbidden":
        return f"unknown key; {known.nearest(loc)}"
    if kind == "missing":
        return f"is missing; it {known.allowed(loc)}"
    if kind == "rule":
        return details["msg"]
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{known.allowed(loc)}; given: {_shown(given)}"
    words = _WORDS_BY_ERROR.get(kind) or _WORDS_BY_PATTERN.get(details["msg"].partition("'")[2][:-1])
    words = words or re.sub(r"^(Input|String|Value|List) should", "must", details["msg"])
    return f"{words}; given: {_shown(given)}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _is_within(name: str, outer: str) -> bool:
    return name == outer or name.startswith((f"{outer}.", f"{outer}["))


class _Known:
    """What a model's JSON Schema allows at a place."""

    def __init__(self, model: type[FileModel]) -> None:
        self._root = model.model_json_schema()

    def nearest(self, loc: Loc) -> str:
        """The known key most like the last of the place, or all keys where none is like it."""
        keys = sorted(self._at(loc[:-1]).get("properties", {}))
        given = str(loc[-1])
        # A part of a name, such as `discount_rate`, is unlike the whole by difflib's measure.
        near = [key for key in keys if len(given) > 2 and (given in key or key in given)]
        near = near or difflib.get_close_matches(given, keys, n=1)
        if near:
            return f"nearest known: {near[0]}"
        more = f" and {len(keys) - _MOST_KEYS_LISTED} more" if len(keys) > _MOST_KEYS_LISTED else ""
        return f"allowed: {', '.join(keys[:_MOST_KEYS_LISTED])}{more}"

    def allowed(self, loc: Loc) -> str:
        """What may stand at the place."""
        shapes = [self._words(shape) for shape in self._alternatives(self._raw(loc))]
        return "must be " + (" or ".join(dict.fromkeys(filter(None, shapes))) or "given")

    def _words(self, shape: Mapping[str, Any]) -> str:
        if "const" in shape:
            return str(shape["const"])
        if "enum" in shape:
            return f"one of {', '.join(map(str, shape['enum']))}"
        if shape.get("type") == "object":
            keys = list(shape.get("properties", {}))
            more = ", …" if len(keys) > _MOST_KEYS_SHOWN else ""
            return f"a mapping of {', '.join(keys[:_MOST_KEYS_SHOWN])}{more}"
        if shape.get("format") == "date":
            return "a day as YYYY-MM-DD"
        if shape.get("pattern") in _WORDS_BY_PATTERN:
            return _WORDS_BY_PATTERN[str(shape["pattern"])].removeprefix("must be ")
        plain = {"number": "a number", "integer": "a whole number", "string": "text", "boolean": "true or false"}
        words = {**plain, "array": "a list"}.get(str(shape.get("type")), "")
        limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
        bounds = [f"{limit} {shape[key]:g}" for key, limit in limits.items() if key in shape]
        return " ".join([words, " and ".join(bounds)]).strip()

    def _raw(self, loc: Loc) -> Mapping[str, Any]:
        if not loc:
            return self._root
        parent, last = self._at(loc[:-1]), loc[-1]
        found = parent.get("items") if isinstance(last, int) else parent.get("properties", {}).get(last)
        return found if isinstance(found, Mapping) else {}

    def _at(self, loc: Loc) -> Mapping[str, Any]:
        """The mapping or list that is allowed at the place."""
        for shape in self._alternatives(self._raw(loc)):
            if shape.get("type") in ("object", "array"):
                return shape
        return {}

    def _alternatives(self, shape: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """All shapes that are allowed, references followed, null left out."""
        while "$ref" in shape:
            shape = self._root["$defs"][shape["$ref"].rpartition("/")[2]]
        if "anyOf" in shape:
            return [inner for outer in shape["anyOf"] for inner in self._alternatives(outer)]
        return [] if shape.get("type") == "null" else [shape]
