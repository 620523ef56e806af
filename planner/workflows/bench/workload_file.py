"""What `--workload FILE` says of requests, and the files that it names."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from planner.core.lengths import Apart, Lengths, Listed, RequestLengths
from planner.engines.openai_http import FORCED_LENGTH
from planner.errors import InputError, InputFileError, Problem, UsageError
from planner.loadtest.recipe import Recipe
from planner.schema.workload import WorkloadSpec
from planner.store.documents import Document, Loc, load_document
from planner.store.files import sha256_of
from planner.store.prompts.files import read_prompts
from planner.store.prompts.own_prompt import OwnPrompt
from planner.store.validate import read_model
from planner.workflows.bench.options import BenchPlan
from planner.workflows.workload import parse_lengths, read_trace

_FILES = ("lengths_of", "prompts")
MOST_NAMED = 20
"""Of prompts that cannot be asked; beyond, only how many there are is told."""


@dataclass(frozen=True)
class WorkloadFile:
    """A workload, and what it names.

    Attributes:
        spec: as the file says it.
        prompts: the user's own; empty where there are none.
        lengths: of requests; None where they are those of the prompts.
        sha256: of each file that it names, by the name.
        document: that it was read from.
    """

    spec: WorkloadSpec
    prompts: tuple[OwnPrompt, ...]
    lengths: RequestLengths | None
    sha256: dict[str, str]
    document: Document = field(repr=False)

    @property
    def recipe(self) -> Recipe:
        """What requests are made of."""
        spec = self.spec
        return Recipe(
            models=spec.models,
            prefix=spec.shared_prefix,
            prompts=self.prompts,
            turns=spec.conversation.turns if spec.conversation is not None else 1,
            parameters={**(FORCED_LENGTH if spec.forces_length else {}), **spec.parameters},
            is_cache_busting=spec.is_cache_busting,
        )

    @property
    def identity(self) -> str:
        """What makes requests the ones they are; prompts by what they say, wherever a file of theirs has it from."""
        said = hashlib.sha256()
        for prompt in self.prompts:
            said.update(json.dumps([prompt.messages, prompt.output_tokens], sort_keys=True).encode())
        prompts = [said.hexdigest()] if self.prompts else []
        return json.dumps([self.spec.model_dump(mode="json"), self.sha256, *prompts], sort_keys=True)

    @property
    def output_tokens(self) -> int:
        """The most of an answer, where a prompt does not say it [tokens]."""
        return round(_lengths("output_tokens", self.spec.output_tokens).p50)

    def problem(self, loc: Loc, message: str) -> Problem:
        """A mistake at a field, with its place."""
        return self.document.problem(loc, message)


def read_workload(path: Path) -> WorkloadFile:
    """Reads a workload and the files that it names.

    Raises:
        InputFileError: every mistake of all of them.
    """
    document = load_document(path)
    problems: list[Problem] = []
    spec, named = None, {}
    try:
        spec = read_model(document, WorkloadSpec, "workload", extra=tuple(_wrong_lengths(document)))
    except InputFileError as error:
        problems += error.problems
    for name in _FILES:
        file = document.data.get(name)
        if isinstance(file, str) and file:
            try:
                named[name] = _read(name, path.parent / file)
            except InputFileError as error:
                problems += error.problems
    if spec is None or problems:
        raise InputFileError(problems)
    lengths, prompts = named.get("lengths_of"), named.get("prompts")
    if lengths is None and prompts is None:
        lengths = Apart(*(_lengths(name, getattr(spec, name)) for name in ("input_tokens", "output_tokens")))
    files = {name: sha256_of(path.parent / file) for name in _FILES if (file := getattr(spec, name)) is not None}
    return WorkloadFile(
        spec,
        prompts if isinstance(prompts, tuple) else (),
        lengths if not isinstance(lengths, tuple) else None,
        files,
        document,
    )


def with_workload(plan: BenchPlan, workload: WorkloadFile) -> BenchPlan:
    """The plan with the endpoint that the workload is for.

    Raises:
        UsageError: the workload does not go with the loads asked.
    """
    spec, mistakes = workload.spec, []
    endpoint = spec.endpoint or plan.endpoint
    if plan.options.endpoint is not None and plan.options.endpoint != endpoint:
        mistakes.append(f"--endpoint: the workload is for {endpoint}; given: {plan.options.endpoint}")
    if spec.conversation is not None and endpoint == "completions":
        mistakes.append("--workload: conversations need --endpoint chat")
    if endpoint == "completions" and {"tools", "tool_choice"} & spec.parameters.keys():
        mistakes.append("--workload: tools need --endpoint chat")
    if endpoint == "completions":
        mistakes += _no_texts(workload.prompts)
    if spec.conversation is not None and plan.rates:
        reason = "a conversation goes on when it was answered, so it needs users that wait: --concurrency"
        mistakes.append(f"--rate: not with this workload: {reason}")
    if mistakes:
        raise UsageError("\n".join(mistakes))
    return replace(plan, endpoint=endpoint)


def _no_texts(prompts: tuple[OwnPrompt, ...]) -> Iterator[str]:
    """Prompts that cannot be asked as a text."""
    found = [prompt for prompt in prompts if not prompt.is_plain]
    for prompt in found[:MOST_NAMED]:
        yield f"{prompt.file}:{prompt.line}: has calls of tools, or parts that are no text, and needs --endpoint chat"
    if len(found) > MOST_NAMED:
        yield f"and {len(found) - MOST_NAMED:,} more"


def _read(name: str, path: Path) -> RequestLengths | tuple[OwnPrompt, ...]:
    if name == "prompts":
        return read_prompts(path)
    _, prompts, answers = read_trace(path)
    return Listed(prompts, answers, is_told=False)


def _wrong_lengths(document: Document) -> Iterator[Problem]:
    for name in ("input_tokens", "output_tokens"):
        value = document.data.get(name)
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            try:
                found = _lengths(name, value)
            except (UsageError, InputError) as error:
                yield document.problem((name,), str(error).removeprefix(f"{name}: "))
            else:
                if name == "output_tokens" and found.p95 is not None and document.data.get("prompts") is not None:
                    yield document.problem((name,), "must be a whole number beside prompts: the most of an answer")


def _lengths(name: str, value: int | str | None) -> Lengths:
    return parse_lengths(name, str(value))
