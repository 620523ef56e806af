"""YAML and JSON files as plain data, with the line and column of every field."""

import datetime
import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from planner.errors import InputFileError, Problem
from planner.store.files import shown_path

Loc = tuple[int | str, ...]
"""Where a field is: keys and list positions from the top of the file."""
Place = tuple[int, int]
"""Line and column, counted from 1."""

MAX_YAML_BYTES = 2**20
"""People write YAML by hand; the parser is slow on more, and more is a mistake."""
MAX_JSON_BYTES = 2**26
MAX_PLACED_JSON_BYTES = 2**20
"""Places in JSON are found by the YAML reader, which takes seconds for more."""
MAX_DEPTH = 40

_WANTED = "must be a mapping of fields that starts with `schema: planner.<kind>/<n>`"
_TOP, _NOWHERE = (1, 1), (0, 0)
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_TAG + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")}


@dataclass(frozen=True)
class Document:
    """A file that holds one mapping.

    Attributes:
        file: the file as the user named it.
        data: its content: mappings, lists, strings, numbers, booleans, days, None.
        sha256: of its bytes.
        find_places: gives the line and column of every field that the file has.
        problems: mistakes of its syntax that leave the rest readable.
        unread: fields whose values could not be read; None stands for them.
    """

    file: str
    data: dict[str, Any]
    sha256: str
    find_places: Callable[[], dict[Loc, Place]] = field(repr=False)
    problems: tuple[Problem, ...] = ()
    unread: frozenset[str] = frozenset()

    def place(self, loc: Loc) -> Place:
        """Line and column of a field's key, or of the nearest field around it; (0, 0) in a large JSON file."""
        for length in range(len(loc), 0, -1):
            if loc[:length] in self._places:
                return self._places[loc[:length]]
        return _TOP if self._places else _NOWHERE

    def problem(self, loc: Loc, message: str) -> Problem:
        """A mistake at a field, with its place."""
        return Problem(self.file, *self.place(loc), field_name(loc), message)

    @cached_property
    def _places(self) -> dict[Loc, Place]:
        return self.find_places()


def load_document(path: Path, wanted: str = _WANTED) -> Document:
    """Reads a YAML file, or a JSON file where the name ends in .json.

    Aliases, tags and merge keys are refused, since a file of a few bytes could unfold to gigabytes.

    Args:
        path: of the file.
        wanted: what to tell somebody whose file holds no mapping.

    Raises:
        InputFileError: the file is missing, too large or not in UTF-8, or its syntax leaves nothing readable.
    """
    file = shown_path(path)
    raw = read_bytes(path, MAX_JSON_BYTES if _is_json(path) else MAX_YAML_BYTES)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise InputFileError([Problem(file, line, column, "", "is not UTF-8 text")]) from error
    sha256 = hashlib.sha256(raw).hexdigest()
    if _is_json(path):
        return Document(file, _read_json(file, text, wanted), sha256, lambda: _places_of_json(file, text))
    reader = _YamlReader(file, text, wanted)
    return Document(file, reader.data, sha256, lambda: reader.places, tuple(reader.problems), frozenset(reader.unread))


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a file.

    Raises:
        InputFileError: there is no such file, it cannot be read, or it is larger than `most` bytes.
    """

    def refuse(message: str) -> InputFileError:
        return InputFileError([Problem(shown_path(path), 0, 0, "", message)])

    try:
        if path.is_dir():
            raise refuse("is a folder, not a file")
        if not path.exists():
            raise refuse("no such file")
        if not path.is_file():
            raise refuse("is not a regular file")
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise refuse(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(raw) > most:
        raise refuse(f"is larger than {most:,} bytes")
    return raw


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _read_json(file: str, text: str, wanted: str) -> dict[str, Any]:
    twins: list[str] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            twins.extend(key for key, count in counts.items() if count > 1)
        return result

    try:
        data = json.loads(text, object_pairs_hook=mapping)
    except json.JSONDecodeError as error:
        raise InputFileError([Problem(file, error.lineno, error.colno, "", f"is not JSON: {error.msg}")]) from error
    except (ValueError, RecursionError) as error:
        message = "is nested too deeply" if isinstance(error, RecursionError) else f"is not JSON: {error}"
        raise InputFileError([Problem(file, *_TOP, "", message)]) from error
    if twins and len(text) <= MAX_PLACED_JSON_BYTES:
        # JSON is YAML too, and that reader knows where each key stands.
        raise InputFileError(_YamlReader(file, text).problems or [Problem(file, *_TOP, twins[0], "stands twice")])
    if twins:
        raise InputFileError([Problem(file, *_NOWHERE, twin, "stands twice in one mapping") for twin in set(twins)])
    if _depth(data) > MAX_DEPTH:
        raise InputFileError([Problem(file, *_NOWHERE, "", f"is nested more than {MAX_DEPTH} levels deep")])
    if not isinstance(data, dict):
        given = "a list" if isinstance(data, list) else "a value"
        raise InputFileError([Problem(file, *_TOP, "", f"{wanted}; it is {given}")])
    return data


def _places_of_json(file: str, text: str) -> dict[Loc, Place]:
    """Places by the YAML reader, of a file that is not large; only mistakes ask for them."""
    try:
        return _YamlReader(file, text).places if len(text) <= MAX_PLACED_JSON_BYTES else {}
    except InputFileError:
        return {}


def _depth(data: Any) -> int:
    depth, level = 0, [data]
    while level:
        depth += 1
        inner = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [value for values in inner for value in values]
    return depth


class _YamlReader:
    """One pass over the nodes of a YAML text: data, places and every mistake; raises where nothing is readable."""

    def __init__(self, file: str, text: str, wanted: str = _WANTED) -> None:
        self.places: dict[Loc, Place] = {}
        self.problems: list[Problem] = []
        self.unread: set[str] = set()
        self._file = file
        self._anchored: set[int] = set()
        self._yaml = YAML(typ="safe", pure=True)
        self.data: dict[str, Any] = {}
        try:
            root = self._compose(text)
            if not isinstance(root, MappingNode):
                given = "empty" if root is None else "a list" if isinstance(root, SequenceNode) else "a value"
                raise InputFileError([Problem(file, *_TOP, "", f"{wanted}; it is {given}")])
            self.data = self._value(root, ()) or {}
        except RecursionError:
            raise InputFileError([Problem(file, *_TOP, "", "is nested too deeply")]) from None

    def _compose(self, text: str) -> Node | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what the parser warns of is refused below, with its place
                return self._yaml.compose(text)  # type: ignore[no-any-return]
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            line, column = (mark.line + 1, mark.column + 1) if mark else _TOP
            what = getattr(error, "problem", None) or getattr(error, "reason", None) or "not readable"
        except (ValueError, TypeError, AttributeError, IndexError, AssertionError) as error:
            # The parser itself trips over some malformed texts, such as a directive without a number.
            (line, column), what = _TOP, str(error) or "not readable"
        raise InputFileError([Problem(self._file, line, column, "", f"is not YAML: {what}")])

    def _value(self, node: Node, loc: Loc) -> Any:
        place = _place(node)
        self.places.setdefault(loc, place)
        if node.anchor and id(node) in self._anchored:
            return None  # an alias, whose node is that of its anchor, which was refused before
        if node.anchor:
            self._anchored.add(id(node))
            return self._unreadable(place, loc, "anchors and aliases (& and *) are not allowed; write the value out")
        if str(node.tag) not in _PLAIN_TAGS:
            return self._unreadable(place, loc, f"tags are not allowed; given: {node.tag}")
        if len(loc) > MAX_DEPTH:
            return self._unreadable(place, loc[:3], f"is nested more than {MAX_DEPTH} levels deep")
        if isinstance(node, MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, SequenceNode):
            return [self._value(item, (*loc, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, loc)

    def _mapping(self, node: MappingNode, loc: Loc) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, place, value in self._items(node, loc):
            here = (*loc, key)
            if key in result:
                self._refuse(place, here, f"stands twice; the first is in line {self.places[here][0]}")
                continue
            self.places[here] = place
            result[key] = self._value(value, here)
        return result

    def _items(self, node: MappingNode, loc: Loc) -> Iterator[tuple[str, Place, Node]]:
        for key, value in node.value:
            place = _place(key)
            if str(key.tag) == f"{_TAG}merge":
                self._refuse(place, (*loc, "<<"), "merge keys are not allowed; write the fields out")
            elif not isinstance(key, ScalarNode) or str(key.tag) != f"{_TAG}str" or key.anchor:
                self._refuse(place, loc, "keys must be plain names")
            else:
                yield str(key.value), place, value

    def _scalar(self, node: Node, loc: Loc) -> Any:
        try:
            value = self._yaml.constructor.construct_object(node)
        except (ValueError, OverflowError, YAMLError):
            what = "no day; allowed: YYYY-MM-DD" if str(node.tag) == f"{_TAG}timestamp" else "cannot be read"
            return self._unreadable(_place(node), loc, f"{what}; given: {str(node.value)[:60]}")
        # Subclasses of ruamel's own carry formatting that no model knows.
        if isinstance(value, datetime.datetime):
            return str(node.value)
        return value

    def _unreadable(self, place: Place, loc: Loc, message: str) -> None:
        self._refuse(place, loc, message)
        self.unread.add(field_name(loc))

    def _refuse(self, place: Place, loc: Loc, message: str) -> None:
        self.problems.append(Problem(self._file, *place, field_name(loc), message))


def _place(node: Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def field_name(loc: Loc) -> str:
    """A field as people write it.

    Example:
        >>> field_name(("hosting", 0, "capacity", "requests_per_s"))
        'hosting[0].capacity.requests_per_s'
    """
    name = ""
    for part in loc:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name
