"""Answers as bytes: whole ones, and the events of a stream, of which most cost two concatenations."""

import json
import random
import time
from collections.abc import Mapping
from typing import Any, Protocol

from planner.engines.emulator.bodies import Demand, StreamOptions

_WORDS = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty", "kayak", "larch"),
    *("maple", "north", "ocean", "pearl", "quail", "ridge", "shore", "thorn", "umbra", "vista", "wharf", "yucca"),
)
"""Of one length, so that all chunks of a stream are of one length."""
_TEXT_WORDS = 4096
_MARK = " MARK "
_DONE = b"data: [DONE]\n\n"

Choice = Mapping[str, Any]


class Vocabulary:
    """Words without meaning, the same for the same seed.

    Args:
        seed: of the words' order.
    """

    def __init__(self, seed: int) -> None:
        words = random.Random(seed).choices(_WORDS, k=_TEXT_WORDS)  # noqa: S311  # nothing secret about them
        self._words = [f" {word}".encode() for word in words]

    def word(self, fingerprint: int, number: int) -> bytes:
        """The word at a place of the answer to a prompt."""
        return self._words[(fingerprint + number) % _TEXT_WORDS]

    def text(self, demand: Demand) -> str:
        """The whole answer to a prompt."""
        return b"".join(self.word(demand.fingerprint, number) for number in range(demand.output_tokens)).decode()


class Wire(Protocol):
    """How one endpoint words its answers."""

    id_prefix: str
    whole_object: str
    chunk_object: str

    def opening(self) -> Choice | None:
        """What a stream says before its first token."""

    def piece(self, text: str, finish_reason: str | None) -> Choice:
        """A piece of a streamed answer."""

    def whole(self, text: str) -> Choice:
        """An answer that is not streamed."""


class ChatWire(Wire):
    """/v1/chat/completions."""

    id_prefix, whole_object, chunk_object = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def opening(self) -> Choice | None:
        """The role, with empty content."""
        delta = {"role": "assistant", "content": ""}
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}

    def piece(self, text: str, finish_reason: str | None) -> Choice:
        """More content."""
        return {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": finish_reason}

    def whole(self, text: str) -> Choice:
        """A message."""
        message = {"role": "assistant", "content": text}
        return {"index": 0, "message": message, "logprobs": None, "finish_reason": "length"}


class CompletionWire(Wire):
    """/v1/completions."""

    id_prefix, whole_object, chunk_object = "cmpl", "text_completion", "text_completion"

    def opening(self) -> Choice | None:
        """Nothing."""
        return None

    def piece(self, text: str, finish_reason: str | None) -> Choice:
        """More text."""
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}

    def whole(self, text: str) -> Choice:
        """The text."""
        return self.piece(text, "length")


class Envelope:
    """What all parts of one answer have in common.

    Args:
        wire: of the endpoint.
        request_id: the client's own, or ours.
        model: name of the model.
        demand: what was asked for.
    """

    def __init__(self, wire: Wire, request_id: str, model: str, demand: Demand) -> None:
        self.wire = wire
        self.demand = demand
        self._id, self._model, self._created = f"{wire.id_prefix}-{request_id}", model, int(time.time())

    def part(self, object_: str, choices: list[Choice], usage: Mapping[str, int] | None) -> dict[str, Any]:
        """A body of JSON."""
        head = {"id": self._id, "object": object_, "created": self._created, "model": self._model}
        return {**head, "choices": choices} if usage is None else {**head, "choices": choices, "usage": usage}

    def whole(self, text: str) -> dict[str, Any]:
        """The answer that is not streamed."""
        return self.part(self.wire.whole_object, [self.wire.whole(text)], self.usage(self.demand.output_tokens))

    def usage(self, generated: int) -> dict[str, int]:
        """Tokens used, once so many are generated."""
        prompt = self.demand.prompt_tokens
        return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}


class EventStream:
    """The server-sent events of one answer.

    Args:
        envelope: what they have in common.
        vocabulary: gives the words.
        options: whether they tell of usage.
        is_chunked: whether HTTP's chunked coding frames them.
    """

    def __init__(self, envelope: Envelope, vocabulary: Vocabulary, options: StreamOptions, is_chunked: bool) -> None:
        self._envelope = envelope
        self._wire = envelope.wire
        self._demand = envelope.demand
        self._vocabulary = vocabulary
        self._options = options
        self._is_chunked = is_chunked
        self._generated = 0
        # Events differ in their word alone, and words in nothing that counts for the length. The word comes last of
        # what a user named.
        sample = vocabulary.word(0, 0).decode()
        head, _, tail = self._event(self._wire.piece(_MARK, None)).rpartition(_MARK.encode())
        size = b"%x\r\n" % len(self._event(self._wire.piece(sample, None))) if is_chunked else b""
        self._head, self._tail = size + head, tail + (b"\r\n" if is_chunked else b"")

    def next(self) -> bytes:
        """What is to be sent with the next token."""
        word = self._vocabulary.word(self._demand.fingerprint, self._generated)
        self._generated += 1
        is_last = self._generated == self._demand.output_tokens
        if self._generated > 1 and not is_last and not self._options.continuous_usage_stats:
            return self._head + word + self._tail
        usage = self._envelope.usage(self._generated) if self._options.continuous_usage_stats else None
        events = []
        opening = self._wire.opening()
        if self._generated == 1 and opening is not None:
            events.append(self._event(opening, None if usage is None else self._envelope.usage(0)))
        events.append(self._event(self._wire.piece(word.decode(), "length" if is_last else None), usage))
        if is_last and self._options.include_usage:
            events.append(self._event(None, self._envelope.usage(self._generated)))
        if is_last:
            events.append(_DONE)
        payload = b"".join(events)
        return b"%x\r\n%b\r\n" % (len(payload), payload) if self._is_chunked else payload

    def _event(self, choice: Choice | None, usage: Mapping[str, int] | None = None) -> bytes:
        body = self._envelope.part(self._wire.chunk_object, [] if choice is None else [choice], usage)
        return b"data: %b\n\n" % json.dumps(body, separators=(",", ":")).encode()
