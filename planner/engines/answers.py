"""What a streamed answer says, chunk by chunk; knows the format, not the network."""

import json
from dataclasses import dataclass, field
from typing import Any

OK, CANCELLED = "ok", "cancelled"
_CONTENT = ("content", "reasoning_content", "reasoning", "tool_calls")
"""Of a chat delta: each is output that the model computed."""
_DONE = b"[DONE]"
_MOST_TOKENS = 2**40


@dataclass(slots=True)
class Answer:
    """One request and what came of it. Times are of one monotonic clock [s].

    Attributes:
        sent_s: when it was sent; None where it never was.
        chunk_s: when each chunk with content came in.
        finished_s: when the answer ended, or failed.
        input_tokens: as the server counted them; None where it did not.
        output_tokens: likewise.
        outcome: ok, cancelled, or the kind of failure.
        message: what was said about a failure, shortened and without secrets.
    """

    sent_s: float | None = None
    chunk_s: list[float] = field(default_factory=list)
    finished_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    outcome: str = OK
    message: str = ""

    def fail(self, kind: str, message: str = "") -> None:
        """Marks it failed."""
        self.outcome, self.message = kind, message


class AnswerReader:
    """Takes the events of one streamed answer, and says in the end what it was.

    A chunk with only a role, or with usage and no choices, is no token. The answer is whole when a finish_reason
    or [DONE] came. Some tokens show no text, such as half of a character: an answer of nothing else is timed by its
    first chunk that is more than a role, where the server counted tokens in it.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._silent_s: float | None = None
        self.is_whole = False

    def take(self, payload: bytes, now_s: float) -> bool:
        """Takes an event's data; False where it makes the answer a failure, and nothing after it counts."""
        if payload == _DONE:
            self.is_whole = True
            return True
        try:
            chunk = json.loads(payload)
        except (ValueError, RecursionError):
            self._answer.fail("protocol_error", f"no JSON: {payload[:500].decode('utf-8', 'backslashreplace')}")
            return False
        if not isinstance(chunk, dict):
            self._answer.fail("protocol_error", "a chunk is no JSON object")
            return False
        error = chunk.get("error")
        if error or chunk.get("object") == "error":
            self._answer.fail("stream_error", error_message(chunk))
            return False
        self._count(chunk.get("usage"))
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return True  # a ping or a note; an answer of nothing else is empty
        has_content = False
        for choice in choices:
            if isinstance(choice, dict):
                delta = choice.get("delta")
                source, keys = (delta, _CONTENT) if isinstance(delta, dict) else (choice, ("text",))
                has_content |= any(source.get(key) for key in keys)
                self.is_whole |= choice.get("finish_reason") is not None
                if self._silent_s is None and not (isinstance(delta, dict) and "role" in delta):
                    self._silent_s = now_s
        if has_content:
            self._answer.chunk_s.append(now_s)
        return True

    def end(self) -> None:
        """The stream ended without a fault of the connection."""
        if not self.is_whole:
            self._answer.fail("truncated", "the stream ended without finish_reason and [DONE]")
        elif not self._answer.chunk_s and self._silent_s is not None and self._answer.output_tokens:
            self._answer.chunk_s.append(self._silent_s)
        elif not self._answer.chunk_s:
            self._answer.fail("empty", "the answer holds no output")

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._answer.input_tokens = _tokens(usage.get("prompt_tokens"), self._answer.input_tokens)
            self._answer.output_tokens = _tokens(usage.get("completion_tokens"), self._answer.output_tokens)


def error_message(body: Any) -> str:
    """What an error body says, in the forms of OpenAI, vLLM and FastAPI."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        for key in ("message", "detail"):
            if error.get(key):
                return str(error[key])
    return str(error)


def _tokens(value: Any, before: int | None) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS
    return value if is_count else before
