"""The user's own prompts: JSON lines, CSV, or a configuration of promptfoo."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from planner.errors import InputFileError, Problem
from planner.store.files import shown_path
from planner.store.prompts.own_prompt import MOST_BYTES, MOST_PROMPTS, OwnPrompt, mistake_of, of_text, refuse_constant
from planner.store.prompts.plain_files import csv_lines, large_cells, read_text, twin_columns

_MOST_SHOWN = 50
_TEXTS = ("prompt", "text", "question", "input")
_LIMITS = ("output_tokens", "max_tokens", "max_completion_tokens")
_MOST_TOKENS = 100_000_000
_ALLOWED = "needs messages, or a text as one of prompt, text, question, input"

Found = tuple[list[OwnPrompt], list[Problem]]


def read_prompts(path: Path) -> tuple[OwnPrompt, ...]:
    """Prompts in the order of the file.

    JSON lines hold messages, or a text as prompt, text, question or input; CSV has one of these as a column, and may
    have a column system. Both may say output_tokens or max_tokens. In lines of the OpenAI batch format the body
    counts. A configuration of promptfoo, YAML or JSON, gives each of its prompts with the variables of each test.

    Raises:
        InputFileError: every mistake, with its line.
    """
    kind = path.suffix.lower()
    if kind in (".yaml", ".yml", ".json"):
        from planner.store.prompts.promptfoo import read_promptfoo  # noqa: PLC0415 - which few load tests need

        prompts, problems = read_promptfoo(path)
    else:
        text = read_text(path, MOST_BYTES)
        reader = _of_csv if kind == ".csv" else _of_lines
        prompts, problems = reader(shown_path(path), text)
    if not prompts and not problems:
        problems.append(Problem(shown_path(path), 0, 0, "", "holds no prompts"))
    if problems:
        raise InputFileError(problems)
    return tuple(prompts)


def _of_lines(file: str, text: str) -> Found:
    def rows() -> Iterator[tuple[int, Any]]:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    yield number, json.loads(line, parse_constant=refuse_constant)
                except (ValueError, RecursionError) as error:
                    yield number, ValueError(f"is not JSON: {getattr(error, 'msg', error)}")

    return _read(file, rows())


def _of_csv(file: str, text: str) -> Found:
    lines = csv_lines(text)
    with large_cells(MOST_BYTES):
        _, header = next(lines, (1, []))
        if isinstance(header, ValueError):
            return [], [Problem(file, 1, 0, "", str(header))]
        names = [name.strip().lower() for name in header]
        if not any(name in _TEXTS for name in names):
            given = ", ".join(names)[:200]
            return [], [Problem(file, 1, 0, "", f"needs a column {', '.join(_TEXTS)}; given: {given}")]
        twins = twin_columns(names)
        prompts, problems = _read(file, _rows(lines, names))
        return prompts, [*([Problem(file, 1, 0, "", twins)] if twins else []), *problems]


def _rows(lines: Iterator[tuple[int, list[str] | ValueError]], names: list[str]) -> Iterator[tuple[int, Any]]:
    for line, cells in lines:
        if isinstance(cells, ValueError):
            yield line, cells
        elif len(cells) > len(names):
            yield line, ValueError(f"has {len(cells)} fields; allowed: {len(names)}")
        elif any(cell.strip() for cell in cells):
            yield line, {name: cell for name, cell in zip(names, cells, strict=False) if cell.strip()}


def _read(file: str, rows: Iterator[tuple[int, Any]]) -> Found:
    prompts: list[OwnPrompt] = []
    problems: list[Problem] = []
    for line, row in rows:
        found = row if isinstance(row, ValueError) else _prompt(row, file, line)
        if isinstance(found, OwnPrompt):
            prompts.append(found)
        else:
            problems.append(Problem(file, line, 0, "", str(found)))
        if len(problems) >= _MOST_SHOWN or len(prompts) > MOST_PROMPTS:
            more = "too many mistakes" if problems else f"{MOST_PROMPTS:,} prompts are the most"
            problems.append(Problem(file, line, 0, "", f"reading ends here: {more}"))
            break
    return prompts, problems


def _prompt(row: Any, file: str, line: int) -> OwnPrompt | ValueError:
    if isinstance(row, dict) and isinstance(row.get("body"), dict):
        row = row["body"]
    if not isinstance(row, dict):
        return ValueError(_ALLOWED)
    limit = next((row[name] for name in _LIMITS if row.get(name) is not None), None)
    if isinstance(limit, str) and limit.strip().isascii() and limit.strip().isdigit():
        limit = int(limit.strip()[:10])
    is_whole = isinstance(limit, int) and not isinstance(limit, bool)
    if limit is not None and not (is_whole and 1 <= limit <= _MOST_TOKENS):
        return ValueError(f"output_tokens must be a whole number from 1 to {_MOST_TOKENS:,}; given: {str(limit)[:60]}")
    messages = row.get("messages")
    if messages is None:
        text = next((row[name] for name in _TEXTS if row.get(name)), None)
        if not isinstance(text, str) or not text.strip():
            return ValueError(_ALLOWED)
        system = row.get("system")
        messages = list(of_text(text, system if isinstance(system, str) else ""))
    if mistake := mistake_of(messages):
        return ValueError(mistake)
    return OwnPrompt(tuple(messages), limit, file, line)
