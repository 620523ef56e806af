"""What a streamed answer says, chunk by chunk; knows the format, not the network."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

OK, CANCELLED, CLIENT_LIMIT = "ok", "cancelled", "client_limit"
"""Outcomes that others ask for; client_limit: this machine could open no further connection."""
_BROKEN_OFF = ("abort", "error")
"""What servers give as finish_reason where they, and not the model, ended an answer."""
_CONTENT = ("content", "reasoning_content", "reasoning", "tool_calls")
"""Of a chat delta: each is output that the model computed."""
_DONE = b"[DONE]"
_MOST_TOKENS = 2**40
_DATE = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8})")
"""What providers add to the name of a model to name one version of it."""


@dataclass(slots=True)
class Answer:
    """One request and what came of it. Times are of one monotonic clock [s].

    Attributes:
        sent_s: when it was sent; None where it never was.
        chunk_s: when each chunk with content came in.
        finished_s: when the answer ended, or failed.
        input_tokens: as the server counted them; None where it did not.
        output_tokens: likewise.
        cached_input_tokens: of input_tokens, those that the server had computed before; None where it does not say.
        reasoning_tokens: of output_tokens, those that are thought and not shown; None where it does not say.
        models: that answered, as the server names them: more than one where the name changed meanwhile.
        model: of models, the one that was not asked for; None where there is none, or nobody looked yet.
        asked_model: where several are asked in turn; None where it is the one of the whole run.
        text: its content, piece by piece, where somebody needs it; None where nobody does.
        outcome: ok, cancelled, or the kind of failure.
        message: what was said about a failure, shortened and without secrets.
    """

    sent_s: float | None = None
    chunk_s: list[float] = field(default_factory=list)
    finished_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    models: list[str] = field(default_factory=list)
    model: str | None = None
    asked_model: str | None = None
    text: list[str] | None = None
    outcome: str = OK
    message: str = ""

    def fail(self, kind: str, message: str = "") -> None:
        """Marks it failed."""
        self.outcome, self.message = kind, message


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: None = None


class _PlainChunk(msgspec.Struct, gc=False):
    """Of one choice, with nothing else to know of: nearly every chunk of an answer, and decoded in half the time."""

    choices: tuple[_Choice]
    error: None = None
    usage: None = None


_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_plain = msgspec.json.Decoder(_PlainChunk)


class AnswerReader:
    """Takes the events of one streamed answer, and says in the end what it was.

    A chunk with only a role, or with usage and no choices, is no token. The answer is whole when a finish_reason
    or [DONE] came. Some tokens show no text, such as half of a character: an answer of nothing else is timed by its
    first chunk that is more than a role, where the server counted tokens in it.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._silent_s: float | None = None
        self.has_begun = False
        """Whether a first event has come."""
        self.is_whole = False
        self._broken_off = ""

    def take(self, payload: bytes, now_s: float) -> bool:
        """Takes an event's data; False where it makes the answer a failure, and nothing after it counts."""
        if self.has_begun:
            try:
                chunk = _plain.decode(payload)
            except _UNREADABLE:
                chunk = None  # it says more, or something else
            if chunk is not None and _has_output(chunk):
                self._keep([chunk], [now_s])
                return True
        self.has_begun = True
        return self._take_any(payload, now_s)

    def take_plain(self, lines: bytes, read_s: list[float]) -> bool:
        """Takes events, a line and a time for each, of which each holds output and nothing else to know of.

        False where they are others, and none is taken.
        """
        if not self.has_begun:
            return False
        try:
            chunks = _plain.decode_lines(lines)
        except _UNREADABLE:
            return False
        if len(chunks) != len(read_s) or not all(map(_has_output, chunks)):
            return False
        self._keep(chunks, read_s)
        return True

    def _keep(self, chunks: list[_PlainChunk], read_s: list[float]) -> None:
        self._answer.chunk_s += read_s
        if self._answer.text is not None:
            self._answer.text += [_content(chunk) for chunk in chunks]

    def _take_any(self, payload: bytes, now_s: float) -> bool:
        if payload == _DONE:
            self.is_whole = True
            return True
        try:
            chunk = _decode(payload)
        except _UNREADABLE:
            self._answer.fail("protocol_error", f"no JSON: {payload[:500].decode('utf-8', 'backslashreplace')}")
            return False
        if not isinstance(chunk, dict):
            self._answer.fail("protocol_error", "a chunk is no JSON object")
            return False
        if chunk.get("error") or chunk.get("object") == "error":
            self._answer.fail("stream_error", error_message(chunk))
            return False
        if usage := chunk.get("usage"):
            self._count(usage)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return True  # a ping or a note; an answer of nothing else is empty
        model = chunk.get("model")
        if isinstance(model, str) and model and model not in self._answer.models:
            self._answer.models.append(model)
        has_content = False
        for choice in choices:
            if isinstance(choice, dict):
                has_content |= self._take_choice(choice, now_s)
        if has_content:
            self._answer.chunk_s.append(now_s)
        return True

    def _take_choice(self, choice: dict[str, Any], now_s: float) -> bool:
        """Whether there is output in it."""
        if (reason := choice.get("finish_reason")) is not None:
            self.is_whole = True
            if reason in _BROKEN_OFF:
                self._broken_off = reason
        delta = choice.get("delta")
        if self._answer.text is not None:
            content = delta.get("content") if isinstance(delta, dict) else choice.get("text")
            self._answer.text += [content] if isinstance(content, str) else []
        if not isinstance(delta, dict):
            has_content = bool(choice.get("text"))
        elif delta.get("content"):  # nearly every chunk of a chat
            has_content = True
        else:
            has_content = any(delta.get(key) for key in _CONTENT)
            if "role" in delta:
                return has_content
        if self._silent_s is None:
            self._silent_s = now_s
        return has_content

    def end(self) -> None:
        """The stream ended without a fault of the connection."""
        if not self.is_whole:
            self._answer.fail("truncated", "the stream ended without finish_reason and [DONE]")
        elif self._broken_off:
            self._answer.fail("broken_off", f"the server gave finish_reason {self._broken_off!r}")
        elif not self._answer.chunk_s and self._silent_s is not None and self._answer.output_tokens:
            self._answer.chunk_s.append(self._silent_s)
        elif not self._answer.chunk_s:
            self._answer.fail("empty", "the answer holds no output")

    def _count(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        answer = self._answer
        answer.input_tokens = _tokens(usage, "prompt_tokens", answer.input_tokens)
        answer.output_tokens = _tokens(usage, "completion_tokens", answer.output_tokens)
        details = usage.get("prompt_tokens_details")
        answer.cached_input_tokens = _tokens(details, "cached_tokens", answer.cached_input_tokens)
        details = usage.get("completion_tokens_details")
        answer.reasoning_tokens = _tokens(details, "reasoning_tokens", answer.reasoning_tokens)


def _has_output(chunk: _PlainChunk) -> bool:
    choice = chunk.choices[0]
    delta = choice.delta
    return bool(choice.text or (delta is not None and (delta.content or delta.reasoning_content or delta.reasoning)))


def _content(chunk: _PlainChunk) -> str:
    choice = chunk.choices[0]
    return choice.text or (choice.delta.content if choice.delta is not None else None) or ""


def is_same_model(asked: str, answered: str) -> bool:
    """Whether a model that answered is the one asked: by its name, or as a dated version of it.

    Example:
        >>> is_same_model("m", "m"), is_same_model("m", "m-2025-08-07"), is_same_model("m", "m-mini")
        (True, True, False)
    """
    return answered == asked or (answered.startswith(asked) and bool(_DATE.fullmatch(answered[len(asked) :])))


def _decode(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except msgspec.MsgspecError:
        return json.loads(payload)  # which takes what servers in Python write: NaN, and halves of surrogate pairs


def parsed(text: str) -> Any:
    """What a text says in JSON; None where it is something else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def error_message(body: Any) -> str:
    """What an error body says, in the forms of OpenAI, vLLM and FastAPI."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        for key in ("message", "detail"):
            if error.get(key):
                return str(error[key])
    return str(error)


def _tokens(counts: Any, key: str, before: int | None) -> int | None:
    """A count of tokens, or what was known before where there is none."""
    value = counts.get(key) if isinstance(counts, dict) else None
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS
    return value if is_count else before
