"""JSON of other tools: one document, or a line for each request."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planner.store.documents import read_bytes
from planner.store.foreign.result import refusal

MAX_BYTES = 2**30
"""Of a result file; what is read of it takes some times as much memory."""


def read_text(path: Path) -> str:
    """The text of a result file.

    Raises:
        InputFileError: there is none, it is larger than a gigabyte, or no text in UTF-8.
    """
    raw = read_bytes(path, MAX_BYTES)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refusal(path, "is no JSON: is not UTF-8 text", line=raw.count(b"\n", 0, error.start) + 1) from error


def parse_json(path: Path, text: str, line: int = 0) -> Any:
    """A JSON document.

    Args:
        path: of its file.
        text: of the document.
        line: of the file that it stands in, from 1; 0 where it is the whole file.

    Raises:
        InputFileError: it is none, was cut off, or has a key twice.
    """
    twins: set[str] = set()

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            twins.update(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        return result

    try:
        data = json.loads(text, object_pairs_hook=mapping)
    except json.JSONDecodeError as error:
        is_cut = text.strip() and (error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"))
        cut = "; the file ends before it does" if is_cut else ""
        raise refusal(path, f"is no JSON: {error.msg}{cut}", line=line or error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise refusal(path, f"is no JSON that can be read: {error}", line=line) from error
    if twins:
        raise refusal(path, "stands twice in one mapping", sorted(twins)[0], line)
    return data


def json_lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Each line that is not empty, with its number from 1.

    Raises:
        InputFileError: a line is no JSON.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, parse_json(path, line, number)
