"""What clients may ask for, in OpenAI's terms, and how refusals are worded.

Tokens are words here: text is split at blanks, and chat adds a fixed number of tokens per message. What shapes the
text of an answer (temperature, stop, ignore_eos, …) is accepted and has no effect: an answer always has as many
tokens as were asked for.
"""

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from planner.schema.profile import Limits

TEMPLATE_TOKENS_PER_MESSAGE = 4
"""What the chat template of the toy tokenizer adds to each message [tokens]."""
COMPLETION_DEFAULT_TOKENS = 16
"""Tokens of a completion that does not say how many; OpenAI's default [tokens]."""
CHAT_DEFAULT_TOKENS = 128
"""Tokens of a chat answer that does not say how many, or fewer where the model's length ends before [tokens]."""
_VOCABULARY = 50_000

Body = TypeVar("Body", bound=BaseModel)


class RequestRefusedError(Exception):
    """An answer that is an error: HTTP status, and what the user can do about it."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param

    def body(self) -> dict[str, Any]:
        """The error as OpenAI's clients expect it."""
        kind = {400: "BadRequestError", 404: "NotFoundError", 503: "ServiceUnavailableError"}.get(self.status, "Error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.status}}


class StreamOptions(BaseModel):
    """What a stream tells about itself."""

    include_usage: bool = False
    continuous_usage_stats: bool = False


class Ask(BaseModel, ABC):
    """What both endpoints take."""

    model: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    n: int | None = 1
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @abstractmethod
    def prompt_ids(self) -> list[int]:
        """The prompt as tokens."""

    @abstractmethod
    def wanted_tokens(self, room_tokens: int) -> int:
        """Tokens to generate, where the model's length leaves room for so many [tokens]."""


class TextPart(BaseModel):
    """A part of a message's content; those without text, such as images, count nothing."""

    text: str = ""


class Message(BaseModel):
    """A message of a chat."""

    role: str
    content: str | list[TextPart] | None = None

    def text(self) -> str:
        """Its text, parts joined."""
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content)
        return self.content or ""


class ChatAsk(Ask):
    """Body of /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)

    def prompt_ids(self) -> list[int]:
        """The messages as tokens, template included."""
        return chat_token_ids(self.messages)

    def wanted_tokens(self, room_tokens: int) -> int:
        """As asked, or a default that always fits."""
        return self.max_completion_tokens or self.max_tokens or max(1, min(CHAT_DEFAULT_TOKENS, room_tokens))


class CompletionAsk(Ask):
    """Body of /v1/completions."""

    prompt: str | list[int] | list[str] | list[list[int]]

    def prompt_ids(self) -> list[int]:
        """The one prompt as tokens.

        Raises:
            RequestRefusedError: there are several prompts, or none.
        """
        prompt = self.prompt
        if isinstance(prompt, list) and not (prompt and isinstance(prompt[0], int)):
            if len(prompt) != 1:
                raise RequestRefusedError(400, f"one prompt per request is served here; given: {len(prompt)}", "prompt")
            prompt = prompt[0]  # type: ignore[assignment]  # a text or a list of tokens, as checked above
        return token_ids(prompt) if isinstance(prompt, str) else prompt  # type: ignore[return-value]  # same

    def wanted_tokens(self, room_tokens: int) -> int:
        """As asked, or OpenAI's default."""
        return self.max_tokens or COMPLETION_DEFAULT_TOKENS


class TokenizeAsk(BaseModel):
    """Body of /tokenize: a prompt or messages."""

    prompt: str | None = None
    messages: list[Message] | None = None

    def ids(self) -> list[int]:
        """The text as tokens.

        Raises:
            RequestRefusedError: there is neither a prompt nor messages.
        """
        if self.messages is not None:
            return chat_token_ids(self.messages)
        if self.prompt is None:
            raise RequestRefusedError(400, "needs prompt or messages", "prompt")
        return token_ids(self.prompt)


@dataclass(frozen=True)
class Demand:
    """What a request asks of the engine.

    Attributes:
        prompt_tokens: length of the prompt [tokens].
        output_tokens: tokens to generate [tokens].
        fingerprint: of the prompt; the same prompt gets the same answer.
    """

    prompt_tokens: int
    output_tokens: int
    fingerprint: int


def read_body(kind: type[Body], raw: bytes) -> Body:
    """The body of a request.

    Raises:
        RequestRefusedError: every mistake in it.
    """
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_input=False, include_context=False)
    told = [": ".join(filter(None, [".".join(map(str, mistake["loc"])), mistake["msg"]])) for mistake in mistakes[:10]]
    param = str(mistakes[0]["loc"][0]) if mistakes[0]["loc"] else None
    raise RequestRefusedError(400, "; ".join(told), param)


def demand_of(ask: Ask, limits: Limits) -> Demand:
    """What a request asks of the engine, once it is sure that this can be served.

    Raises:
        RequestRefusedError: it asks for several answers, for none, or for more than the model's length or the
            memory holds.
    """
    if ask.n not in (None, 1):
        raise RequestRefusedError(400, f"n: one answer per request is served here; given: {ask.n}", "n")
    prompt = ask.prompt_ids()
    if not prompt:
        raise RequestRefusedError(400, "prompt: must have at least one token", "prompt")
    room_tokens = limits.max_model_len - len(prompt)
    output_tokens = ask.wanted_tokens(room_tokens)
    if output_tokens > room_tokens:
        message = (
            f"This model's maximum context length is {limits.max_model_len} tokens. However, you requested "
            f"{output_tokens} output tokens and your prompt contains {len(prompt)} input tokens, together "
            f"{output_tokens + len(prompt)}. Shorten the prompt, or ask for fewer tokens."
        )
        raise RequestRefusedError(400, message, "max_tokens")
    # The last token generated is never read again, so it takes no room.
    held_tokens = len(prompt) + output_tokens - 1
    if -(-held_tokens // limits.block_tokens) > limits.kv_cache_tokens // limits.block_tokens:
        message = f"the KV cache holds {limits.kv_cache_tokens} tokens; this request alone would need {held_tokens}"
        raise RequestRefusedError(400, message, "max_tokens")
    return Demand(len(prompt), output_tokens, zlib.crc32(repr(prompt).encode()))


def token_ids(text: str) -> list[int]:
    """The toy tokenizer: a token per word.

    Example:
        >>> len(token_ids("to be or not to be"))
        6
    """
    return [
        TEMPLATE_TOKENS_PER_MESSAGE + zlib.crc32(word.encode("utf-8", "replace")) % _VOCABULARY for word in text.split()
    ]


def chat_token_ids(messages: list[Message]) -> list[int]:
    """Messages as tokens: the template's, then a token per word.

    Example:
        >>> len(chat_token_ids([Message(role="user", content="to be or not to be")]))
        10
    """
    template = list(range(TEMPLATE_TOKENS_PER_MESSAGE))
    return [token for message in messages for token in (*template, *token_ids(message.text()))]
