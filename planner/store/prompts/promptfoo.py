"""Prompts of a configuration of promptfoo: each of its prompts with the variables of each of its tests.

Read as promptfoo reads it (its documentation of prompts and test cases, 2026): lists of texts as variables stand for
a test each, JSON is rendered within its strings, and whatever it would run or fetch is refused by name. Providers and
assertions are passed over: the load goes to the server that is measured.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from planner.errors import InputFileError, Problem
from planner.store.documents import Document, Loc, load_document
from planner.store.files import shown_path
from planner.store.prompts.own_prompt import MOST_PROMPTS, OwnPrompt, mistake_of, of_text, refuse_constant
from planner.store.prompts.promptfoo_files import CODE, Files, RefusedError, is_reference, refuse_remote
from planner.store.prompts.promptfoo_tests import Case, read_cases
from planner.store.prompts.templates import TemplateRefusedError, Templates, TimeOverError

_MOST_SHOWN = 50
_PROMPT_FILES = (".txt", ".md", ".j2", ".json", ".jsonl")
_BETWEEN = "---"
"""Line between two prompts of a text file."""
_RUN = ("python:", "exec:", "javascript:", "ruby:", "go:", "golang:", "package:", "file://")
"""How providers begin that are programs."""
_CONFIGURATION = (
    "must be a configuration of promptfoo, which is a mapping with prompts; a list of prompts goes into JSON lines "
    "(.jsonl) or CSV"
)
_NEEDED = "must be a list with at least one entry, as promptfoo has it"


class _EndedError(Exception):
    """Enough mistakes are known."""


@dataclass(frozen=True)
class _Prompt:
    """A prompt before its variables are put in.

    Attributes:
        name: as errors name it.
        loc: where it stands in the configuration.
        source: the template.
        is_chat: whether it must be messages.
    """

    name: str
    loc: Loc
    source: str
    is_chat: bool = False


def read_promptfoo(path: Path) -> tuple[list[OwnPrompt], list[Problem]]:
    """The prompts in the order of the file: all tests of the first one, then those of the next.

    Raises:
        InputFileError: nothing of the file is readable.
    """
    document = load_document(path, _CONFIGURATION)
    files = Files(path.parent)
    problems = [*document.problems, *_refused_fields(document)]
    prompts = list(_prompts(document, files, problems))
    cases = read_cases(document, files, problems)
    if problems:
        return [], problems
    if len(prompts) * len(cases) > MOST_PROMPTS:
        message = f"{len(prompts):,} prompts with {len(cases):,} tests; {MOST_PROMPTS:,} together are the most"
        return [], [document.problem(("tests",), message)]
    with Templates() as templates:
        return _rendered(document, prompts, cases, templates)


def _rendered(
    document: Document, prompts: list[_Prompt], cases: list[Case], templates: Templates
) -> tuple[list[OwnPrompt], list[Problem]]:
    found: list[OwnPrompt] = []
    problems: list[Problem] = []
    try:
        rendered = list(_with_values(document, cases, templates, problems))
        for prompt in prompts:
            for case in rendered:
                entry = f"{prompt.name} with {case.name}" if case.name else prompt.name
                try:
                    messages = _messages(prompt, case, templates)
                except (TemplateRefusedError, RefusedError) as error:
                    _keep(problems, document.problem(prompt.loc, f"{entry}: {error}"), error)
                else:
                    line = case.line or document.place(prompt.loc)[0]
                    found.append(OwnPrompt(messages, None, case.file, line, entry))
    except _EndedError:
        pass
    return found, problems


def _with_values(
    document: Document, cases: list[Case], templates: Templates, problems: list[Problem]
) -> Iterator[Case]:
    """The tests with what their variables come out as: these are templates, too."""
    for case in cases:
        try:
            yield replace(case, variables=templates.values(case.variables))
        except TemplateRefusedError as error:
            told = Problem(case.file, case.line, 0, case.name, str(error))
            _keep(problems, told if case.name else document.problem(("defaultTest",), str(error)), error)


def _keep(problems: list[Problem], problem: Problem, error: Exception) -> None:
    """Keeps a mistake.

    Raises:
        _EndedError: there are too many, or nothing more can be rendered.
    """
    problems.append(problem)
    if isinstance(error, TimeOverError):
        raise _EndedError
    if len(problems) >= _MOST_SHOWN:
        problems.append(Problem(problem.file, 0, 0, "", "reading ends here: too many mistakes"))
        raise _EndedError


def _messages(prompt: _Prompt, case: Case, templates: Templates) -> tuple[Any, ...]:
    """What is asked: the messages of a chat in JSON, or a text.

    Raises:
        RefusedError: the messages cannot be sent.
        TemplateRefusedError: there is no such text.
    """
    source = f"{case.prefix}{prompt.source}{case.suffix}"
    parsed = _json(prompt.source)
    if isinstance(parsed, list | dict) and source != prompt.source:
        raise RefusedError("a prefix or suffix goes with text alone, not with JSON")
    if isinstance(parsed, list | dict):
        said = _each_text(parsed, lambda text: templates.text(text, case.variables))
    else:
        text = templates.text(source, case.variables)
        said = _json(text)
        said = said if isinstance(said, list) else text
    if isinstance(said, dict) and isinstance(said.get("messages"), list):
        said = said["messages"]
    is_chat = isinstance(said, list) and any(isinstance(each, dict) and "role" in each for each in said)
    if not (is_chat or prompt.is_chat):
        said = list(of_text(said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)))
    if mistake := mistake_of(said):
        raise RefusedError(mistake)
    return tuple(said)


def _json(text: str) -> Any:
    """Of a text that may be JSON; None where it is none."""
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        return None


def _each_text(data: Any, change: Callable[[str], str]) -> Any:
    if isinstance(data, str):
        return change(data)
    if isinstance(data, list):
        return [_each_text(each, change) for each in data]
    return {key: _each_text(each, change) for key, each in data.items()} if isinstance(data, dict) else data


def _prompts(document: Document, files: Files, problems: list[Problem]) -> Iterator[_Prompt]:
    given = document.data.get("prompts")
    entries = [given] if isinstance(given, str) else given
    if not isinstance(entries, list) or not entries:
        problems.append(document.problem(("prompts",), f"{_NEEDED}, or a text"))
        return
    for number, entry in enumerate(entries):
        loc: Loc = ("prompts",) if isinstance(given, str) else ("prompts", number)
        source = entry.get("raw") or entry.get("id") if isinstance(entry, dict) else entry
        try:
            yield from _of_entry(f"prompts[{number}]", loc, source, files)
        except RefusedError as error:
            problems.append(document.problem(loc, str(error)))
        except InputFileError as error:
            problems += error.problems


def _of_entry(name: str, loc: Loc, source: Any, files: Files) -> Iterator[_Prompt]:
    if not isinstance(source, str) or not source.strip():
        raise RefusedError("must be a text, or an entry with raw")
    refuse_remote(source)
    if not is_reference(source, files.folder, (*_PROMPT_FILES, ".csv", ".yaml", ".yml", *CODE)):
        yield _Prompt(name, loc, source)
        return
    path = files.path(source, _PROMPT_FILES)
    text, kind, shown = files.text(path), path.suffix.lower(), shown_path(path)
    if kind == ".jsonl":
        sources = [line for line in text.split("\n") if line.strip()]
    elif kind == ".txt":
        sources = [each for part in _texts_between(text) if (each := part.strip())]
    else:
        sources = [text.strip()] if text.strip() else []
    is_chat = kind in (".json", ".jsonl")
    if not sources:
        raise RefusedError(f"{shown} holds no prompt")
    for place, each in enumerate(sources, start=1):
        if is_chat and not isinstance(_json(each), list | dict):
            raise RefusedError(f"{shown} must hold the messages of a chat in JSON")
        which = f"{name} ({shown})" if len(sources) == 1 else f"{name} ({shown}, {place})"
        yield _Prompt(which, loc, each, is_chat)


def _texts_between(text: str) -> Iterator[str]:
    part: list[str] = []
    for line in text.splitlines():
        if line.strip() == _BETWEEN:
            yield "\n".join(part)
            part = []
        else:
            part.append(line)
    yield "\n".join(part)


def _refused_fields(document: Document) -> Iterator[Problem]:
    """What promptfoo would run, or make tests of, and we do not."""
    for name in ("scenarios", "extensions", "nunjucksFilters"):
        if document.data.get(name):
            yield document.problem((name,), "is not supported")
    given = document.data.get("providers")
    entries = given if isinstance(given, list) else [given]
    for number, entry in enumerate(entries):
        names = [entry] if isinstance(entry, str) else []
        if isinstance(entry, dict):
            names = [entry["id"]] if isinstance(entry.get("id"), str) else list(entry)
        for name in names:
            suffix = Path(name.partition(":")[0] if "://" not in name else name).suffix.lower()
            if name.startswith(_RUN) or suffix in CODE:
                loc: Loc = ("providers", number) if isinstance(given, list) else ("providers",)
                message = f"a provider that is a program is not supported; given: {name[:60]}"
                yield document.problem(loc, f"{message}; name one by its kind and model, as in openai:NAME, or none")
