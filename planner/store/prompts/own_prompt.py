"""A prompt of the user's own: the messages of a chat, and where they stand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

Message = Mapping[str, Any]

MOST_PROMPTS = 1_000_000
MOST_BYTES = 2**28
"""Of a file of prompts, and of all files that it names together."""

_CALLS = ("tool_calls", "function_call")
"""Of an assistant that called tools: with one of them a message needs no content."""
_HALF = "holds half of a character (a surrogate without its other half), which cannot be sent"


@dataclass(frozen=True)
class OwnPrompt:
    """What somebody asks.

    Attributes:
        messages: of a chat, at least one.
        output_tokens: the most of an answer [tokens]; None where it is left to the workload.
        file: that it stands in.
        line: of the file; 0 where it has none.
        entry: of the file, where that is no list of prompts; prompt and test of promptfoo, say.
    """

    messages: tuple[Message, ...]
    output_tokens: int | None = None
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    entry: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """All that is said in it, calls of tools too."""
        return "\n\n".join(text for message in self.messages if (text := _said(message)))

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but text, which a completion can be asked with."""
        return all(
            not any(message.get(name) for name in _CALLS)
            and (isinstance(message.get("content"), str) or all(map(_is_text, message.get("content") or ())))
            for message in self.messages
        )

    def after(self, beginning: str) -> list[Message]:
        r"""The messages, with something said before.

        Example:
            >>> OwnPrompt(({"role": "user", "content": "to be"},)).after("or")
            [{'role': 'user', 'content': 'or\n\nto be'}]
        """
        first, *later = self.messages
        content = first.get("content")
        if beginning and isinstance(content, list):
            first = {**first, "content": [{"type": "text", "text": beginning}, *content]}
        elif beginning:
            first = {**first, "content": f"{beginning}\n\n{content}" if content else beginning}
        return [first, *later]


def mistake_of(messages: Any) -> str:
    """Why a chat cannot be asked with such messages; empty where it can, as OpenAI's API has it.

    Example:
        >>> mistake_of([{"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "now"}}]}])
        ''
        >>> mistake_of([{"role": "user", "content": None}])
        'messages[0]: needs content; only that of an assistant with tool_calls may be null'
    """
    if not isinstance(messages, list) or not messages:
        return "messages must be a list of messages, each with role and content"
    for number, message in enumerate(messages):
        if (mistake := _mistake_of_one(message)) != "":
            return f"messages[{number}]: {mistake}"
    if not any(_said(message) or not isinstance(message.get("content"), str | None) for message in messages):
        return "messages say nothing"
    try:
        return "" if is_whole_text(json.dumps(messages, ensure_ascii=False, allow_nan=False)) else _HALF
    except RecursionError:
        return "is nested too deeply"
    except ValueError:
        return "holds a number that JSON has no word for: infinite, or none at all"


def refuse_constant(name: str) -> NoReturn:
    """Raises for NaN and the like, which JSON does not have but Python's reader takes.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is no value of it")


def is_whole_text(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON may hold half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mistake_of_one(message: Any) -> str:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str) or not message["role"]:
        return "must be a message, each with role and content"
    role, content = message["role"], message.get("content")
    calls = message.get("tool_calls")
    if calls is not None and (role != "assistant" or not isinstance(calls, list) or not all(map(_is_call, calls))):
        return "tool_calls must be a list of calls, each with a function and its name, and of an assistant"
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        return "needs tool_call_id, which says what call it answers"
    if content is None:
        may_be_null = role == "function" or (role == "assistant" and any(message.get(name) for name in _CALLS))
        return "" if may_be_null else "needs content; only that of an assistant with tool_calls may be null"
    is_parts = isinstance(content, list) and bool(content) and all(map(_is_part, content))
    return "" if isinstance(content, str) or is_parts else "content must be a text, or a list of parts"


def _is_call(call: Any) -> bool:
    if not isinstance(call, dict):
        return False
    called = call.get("custom") if call.get("type") == "custom" else call.get("function")
    return isinstance(called, dict) and isinstance(called.get("name"), str)


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and (part.get("type") not in (None, "text") or _is_text(part))


def _is_text(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("text"), str)


def _said(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        said = [str(part.get("text", "")) for part in content]
    else:
        said = [content] if content else []
    for call in message.get("tool_calls") or ():
        called: Mapping[str, Any] = call.get("function") or call.get("custom") or {}
        said += [str(called.get("name", "")), str(called.get("arguments") or called.get("input") or "")]
    return " ".join(part for part in said if part)


def of_text(text: str, system: str = "") -> tuple[Message, ...]:
    """A question as messages, with instructions before it where there are any."""
    before: Sequence[Message] = [{"role": "system", "content": system}] if system.strip() else []
    return (*before, {"role": "user", "content": text})
