"""The user's own prompts: JSON lines, CSV, or a configuration of promptfoo."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputFileError, Problem
from planner.store.documents import load_document, read_bytes
from planner.store.files import shown_path

_MOST_BYTES, _MOST_PROMPTS, _MOST_TOLD = 2**28, 1_000_000, 50
_TEXTS = ("prompt", "text", "question", "input")
_LIMITS = ("output_tokens", "max_tokens", "max_completion_tokens")
_MOST_TOKENS = 100_000_000
_HALF = "holds half of a character (a surrogate without its other half), which cannot be sent"
_ALLOWED = "needs messages, or a text as one of prompt, text, question, input"

Message = Mapping[str, Any]


@dataclass(frozen=True)
class OwnPrompt:
    """What somebody asks.

    Attributes:
        messages: of a chat, at least one.
        output_tokens: the most of an answer [tokens]; None where it is left to the workload.
    """

    messages: tuple[Message, ...]
    output_tokens: int | None = None

    @property
    def text(self) -> str:
        """All that is said in it."""
        return "\n\n".join(_said(message) for message in self.messages)

    def after(self, beginning: str) -> list[Message]:
        r"""The messages, with something said before.

        Example:
            >>> OwnPrompt(({"role": "user", "content": "to be"},)).after("or")
            [{'role': 'user', 'content': 'or\n\nto be'}]
        """
        first, *later = self.messages
        if beginning and isinstance(first["content"], str):
            first = {**first, "content": f"{beginning}\n\n{first['content']}"}
        elif beginning:
            first = {**first, "content": [{"type": "text", "text": beginning}, *first["content"]]}
        return [first, *later]


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
        prompts, problems = _of_promptfoo(path)
    else:
        text = _text(path)
        reader = _of_csv if kind == ".csv" else _of_lines
        prompts, problems = reader(shown_path(path), text)
    if not prompts and not problems:
        problems.append(Problem(shown_path(path), 0, 0, "", "holds no prompts"))
    if problems:
        raise InputFileError(problems)
    return tuple(prompts)


def _text(path: Path) -> str:
    raw = read_bytes(path, _MOST_BYTES)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputFileError([Problem(shown_path(path), line, 0, "", "is not UTF-8 text")]) from error


def _of_lines(file: str, text: str) -> tuple[list[OwnPrompt], list[Problem]]:
    def rows() -> Iterator[tuple[int, Any]]:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield number, ValueError(f"is not JSON: {getattr(error, 'msg', error)}")

    return _read(file, rows())


def _of_csv(file: str, text: str) -> tuple[list[OwnPrompt], list[Problem]]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip().lower() for name in next(lines, [])]
        if not any(name in _TEXTS for name in names):
            return [], [Problem(file, 1, 0, "", f"needs a column {', '.join(_TEXTS)}; given: {', '.join(names)[:200]}")]
        csv.field_size_limit(_MOST_BYTES)

        def rows() -> Iterator[tuple[int, Any]]:
            begin = lines.line_num + 1
            for cells in lines:
                if len(cells) > len(names):
                    yield begin, ValueError(f"has {len(cells)} fields; allowed: {len(names)}")
                elif any(cell.strip() for cell in cells):
                    yield begin, {name: cell for name, cell in zip(names, cells, strict=False) if cell.strip()}
                begin = lines.line_num + 1

        return _read(file, rows())
    except csv.Error as error:
        return [], [Problem(file, lines.line_num, 0, "", f"is not CSV: {error}")]


def _read(file: str, rows: Iterator[tuple[int, Any]]) -> tuple[list[OwnPrompt], list[Problem]]:
    prompts: list[OwnPrompt] = []
    problems: list[Problem] = []
    for line, row in rows:
        found = row if isinstance(row, ValueError) else _prompt(row)
        if isinstance(found, OwnPrompt) and not _can_be_sent(found):
            found = ValueError(_HALF)
        if isinstance(found, OwnPrompt):
            prompts.append(found)
        else:
            problems.append(Problem(file, line, 0, "", str(found)))
        if len(problems) >= _MOST_TOLD or len(prompts) > _MOST_PROMPTS:
            more = "too many mistakes" if problems else f"{_MOST_PROMPTS:,} prompts are the most"
            problems.append(Problem(file, line, 0, "", f"reading ends here: {more}"))
            break
    return prompts, problems


def _prompt(row: Any) -> OwnPrompt | ValueError:
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
    if row.get("messages") is not None:
        messages = row["messages"]
        if not (isinstance(messages, list) and messages and all(map(_is_message, messages))):
            return ValueError("messages must be a list of messages, each with role and content")
        return OwnPrompt(tuple(messages), limit)
    text = next((row[name] for name in _TEXTS if row.get(name)), None)
    if not isinstance(text, str) or not text.strip():
        return ValueError(_ALLOWED)
    system = row.get("system")
    before = [{"role": "system", "content": system}] if isinstance(system, str) and system.strip() else []
    return OwnPrompt((*before, {"role": "user", "content": text}), limit)


def _can_be_sent(prompt: OwnPrompt) -> bool:
    """Whether all of it is text that can be written: JSON may hold half of a character."""
    return is_whole_text(json.dumps(prompt.messages, ensure_ascii=False))


def is_whole_text(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("content"), str | list)
        and bool(message["content"])
        and (isinstance(message["content"], str) or all(isinstance(part, dict) for part in message["content"]))
    )


def _said(message: Message) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def _of_promptfoo(path: Path) -> tuple[list[OwnPrompt], list[Problem]]:
    from jinja2 import TemplateError  # noqa: PLC0415 - which few load tests need
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415 - likewise

    document = load_document(path)
    problems = list(document.problems)
    templates, tests = document.data.get("prompts"), document.data.get("tests")
    default = document.data.get("defaultTest")
    shared = default.get("vars") if isinstance(default, dict) else None
    for name, value in (("prompts", templates), ("tests", tests)):
        if not isinstance(value, list) or not value:
            problems.append(document.problem((name,), "must be a list with at least one entry, as promptfoo has it"))
    prompts: list[OwnPrompt] = []
    environment = SandboxedEnvironment()
    for number, template in enumerate(templates if isinstance(templates, list) else ()):
        text = template.get("raw") if isinstance(template, dict) else template
        if not isinstance(text, str) or text.startswith("file://"):
            told = "must be a text, or an entry with raw; other files are not read"
            problems.append(document.problem(("prompts", number), told))
            continue
        for place, test in enumerate(tests if isinstance(tests, list) else ()):
            variables = test.get("vars", {}) if isinstance(test, dict) else None
            if not isinstance(variables, dict):
                if number == 0:
                    problems.append(document.problem(("tests", place), "must hold vars"))
                continue
            try:
                said = environment.from_string(text).render({**(shared or {}), **variables})
            except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
                problems.append(document.problem(("prompts", number), f"is no template for tests[{place}]: {error}"))
                continue
            prompts.append(OwnPrompt(tuple(_messages(said))))
            if not _can_be_sent(prompts[-1]):
                problems.append(document.problem(("tests", place), _HALF))
    return prompts, problems


def _messages(said: str) -> Sequence[Message]:
    """A prompt of promptfoo: a text, or the messages of a chat in JSON."""
    if said.lstrip().startswith("["):
        try:
            messages = json.loads(said)
        except (ValueError, RecursionError):
            messages = None
        if isinstance(messages, list) and messages and all(map(_is_message, messages)):
            return messages
    return [{"role": "user", "content": said}]
