"""`planner.workload/1`: what the requests of a load test are made of; how often they come is another matter."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from planner.schema.base import FileModel, Fraction, Name, Positive, RuledFileModel
from planner.schema.profile import Tokens

Length = Annotated[int, Field(ge=1)] | Name
"""A number of tokens, or a spread such as lognormal:p50=900,p95=3200."""

MOST_TURNS, MOST_PREFIXES, MOST_MODELS = 1000, 100_000, 1000

OF_THE_CLIENT = (
    "model",
    "messages",
    "prompt",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "stream_options",
    "ignore_eos",
    "n",
    "best_of",
)
"""Parameters of a request that the load test sets itself."""

_FREE_ENDS = ("tools", "response_format", "structured_outputs", "guided_json", "guided_regex", "guided_choice", "stop")
"""Parameters with which an answer ends by itself."""


class SharedPrefix(FileModel):
    """Text that prompts begin with and have in common, as with a system prompt or a document that many ask about."""

    tokens: Tokens
    """Length of each [tokens]; part of the prompt's length."""
    distinct: Annotated[int, Field(ge=1, le=MOST_PREFIXES)] = 1
    """How many there are; each is as likely."""
    fraction: Fraction = 1.0
    """Share of the requests that begin with one."""


class Conversation(FileModel):
    """Several turns of one user: each prompt holds all that was said before, with the server's own answers.

    Warm-up and what is counted are one sequence, so that conversations go on when the counting begins. It begins with a
    conversation of each user that has fewer turns, drawn from the seed, so that users come apart. One ends before a
    turn that the server's context does not hold.
    """

    turns: Annotated[int, Field(ge=2, le=MOST_TURNS)]
    """Of each, as far as the context holds them [turns]."""


class WorkloadSpec(RuledFileModel):
    """What requests are made of."""

    schema_: Literal["planner.workload/1"] = Field(alias="schema")
    name: Name
    description: str = ""
    endpoint: Literal["chat", "completions"] | None = None
    """Null leaves it to the command."""
    input_tokens: Length | None = None
    """Of a prompt; in a conversation of each new message [tokens]. As on the command line."""
    output_tokens: Length | None = None
    """Of an answer [tokens]; with `prompts` the most of those that do not say it themselves."""
    lengths_of: Name | None = None
    """A trace, relative to this file: lengths of prompts and answers are drawn from its rows together."""
    prompts: Name | None = None
    """A file of prompts, relative to this one: JSON lines, CSV, or a configuration of promptfoo."""
    shared_prefix: SharedPrefix | None = None
    conversation: Conversation | None = None
    models: dict[Name, Positive] = {}
    """Names that requests ask, such as LoRA adapters, with their shares; empty for the one that is measured."""
    parameters: dict[str, Any] = {}
    """Of every request, besides: tools, response_format, temperature."""
    has_forced_length: bool | None = None
    """Whether answers are made exactly as long as asked, by ignore_eos. Null: they are, unless prompts are your own or
    parameters let answers end by themselves."""
    is_cache_busting: bool = True
    """Whether nothing but shared prefixes and what was said before can come from a prefix cache: text is another one
    in every run, and your own prompts get a few words before them."""

    @property
    def forces_length(self) -> bool:
        """Whether answers are made as long as asked."""
        if self.has_forced_length is not None:
            return self.has_forced_length
        return self.prompts is None and not any(name in self.parameters for name in _FREE_ENDS)

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """One source of lengths, and parts that go together."""
        sources = [name for name in ("input_tokens", "lengths_of", "prompts") if data.get(name) is not None]
        if len(sources) != 1:
            given = " and ".join(sources) or "none"
            yield (sources or ["input_tokens"])[-1], f"one of input_tokens, lengths_of and prompts; given: {given}"
        if data.get("output_tokens") is None and "lengths_of" not in sources:
            yield "output_tokens", "is missing"
        if data.get("output_tokens") is not None and "lengths_of" in sources:
            yield "output_tokens", "not with lengths_of, which has them"
        if data.get("conversation") is not None:
            yield from _misfits_of_conversation(data)
        yield from _misfits_of_prefix(data)
        models, parameters = data.get("models"), data.get("parameters")
        if isinstance(parameters, Mapping) and not _can_be_written(parameters):
            yield "parameters", "must be what JSON can hold, without halves of characters"
        if isinstance(models, Mapping) and len(models) > MOST_MODELS:
            yield "models", f"at most {MOST_MODELS}"
        for name in parameters if isinstance(parameters, Mapping) else ():
            if name in OF_THE_CLIENT:
                yield f"parameters.{name}", "is set by the load test itself"
            elif name in ("tools", "tool_choice") and data.get("endpoint") == "completions":
                yield f"parameters.{name}", "needs endpoint: chat"


def _can_be_written(data: Mapping[str, Any]) -> bool:
    try:
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _misfits_of_conversation(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if data.get("endpoint") == "completions":
        yield "conversation", "needs endpoint: chat"
    if data.get("prompts") is not None:
        yield "conversation", "not with prompts: each of those is asked alone"


def _misfits_of_prefix(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    prefix, length = data.get("shared_prefix"), data.get("input_tokens")
    tokens = prefix.get("tokens") if isinstance(prefix, Mapping) else None
    if isinstance(tokens, int) and isinstance(length, int) and tokens >= length:
        yield "shared_prefix.tokens", f"must be less than input_tokens, which include it; given: {tokens} of {length}"
