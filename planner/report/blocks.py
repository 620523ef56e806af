"""The pieces that a report is made of: text only, so that HTML and Markdown show the same figures."""

import dataclasses
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Block = TypeVar("Block")


@dataclass(frozen=True)
class Fact:
    """A labelled figure."""

    label: str
    value: str
    detail: str = ""
    link: str = ""
    """Anchor of the table or assumption behind it."""


@dataclass(frozen=True)
class Row:
    """One line of a table; its first cell is the heading of the line."""

    cells: tuple[str, ...]
    anchor: str = ""
    link: str = ""
    """Anchor that the first cell points to."""
    tags: tuple[str, ...] = ()
    """Remarks beside the first cell, such as "chosen"."""
    style: str = ""
    """chosen, muted or total."""


@dataclass(frozen=True)
class Table:
    """A table whose rows all have the columns' number of cells."""

    anchor: str
    caption: str
    columns: tuple[str, ...]
    align: str
    """One letter for every column: l, r, or n for left and never broken."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    is_open: bool = True
    """Whether a long report shows it unfolded."""


def slug(prefix: str, text: str) -> str:
    """An anchor of letters, digits and dashes only.

    Example:
        >>> slug("a", "api.mid-tier API.price.input_usd_per_mtok")
        'a-api-mid-tier-API-price-input-usd-per-mtok'
    """
    return "-".join(part for part in (prefix, *re.split(r"[^A-Za-z0-9]+", text)) if part)


def unique(anchors: list[str]) -> list[str]:
    """The same anchors, later twins numbered from 2."""
    taken: set[str] = set()
    result = []
    for anchor in anchors:
        candidate, number = anchor, 2
        while candidate in taken:
            candidate, number = f"{anchor}-{number}", number + 1
        taken.add(candidate)
        result.append(candidate)
    return result


def plain(text: str) -> str:
    r"""Text on one line without signs that nobody sees: control characters, turns of the reading direction.

    Example:
        >>> plain("two\nlines\u202e")
        'two lines'
    """
    return " ".join("".join(sign for sign in text if _is_visible(sign)).split())


def map_text(block: Block, change: Callable[[str], str]) -> Block:
    """The same block with every string in it changed."""
    mapped: Any = block
    if isinstance(block, str):
        mapped = change(block)
    elif isinstance(block, tuple):
        mapped = tuple(map_text(part, change) for part in block)
    elif dataclasses.is_dataclass(block) and not isinstance(block, type):
        fields = {field.name: map_text(getattr(block, field.name), change) for field in dataclasses.fields(block)}
        mapped = dataclasses.replace(block, **fields)
    result: Block = mapped
    return result


def _is_visible(sign: str) -> bool:
    is_nothing = ord(sign) & 0xFFFE == 0xFFFE  # code points that Unicode leaves free for ever, and XML refuses
    return sign.isspace() or not (is_nothing or unicodedata.category(sign) in ("Cc", "Cf", "Cs"))
