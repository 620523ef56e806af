"""One request's answer on its way in: what each part of a response means for it, and when it is given up."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from planner.engines.answers import Answer, AnswerReader, error_message, parsed
from planner.engines.sse import EventTooLongError, SseParser

_MOST_BODY_BYTES = 2**24
_OK_STATUS = 200
_DONE_EVENT, _LAST_PARTS = b"[DONE]", 3
"""Before it come, as vLLM writes them, the piece with the finish_reason and the usage."""
_PLAIN = (b"", b"identity")
_NO_STREAM = (b"application/json", b"text/html")
"""What a stream of events is never sent as; every other type has been seen."""


@dataclass(frozen=True)
class Timeouts:
    """After which a request has failed [s].

    Attributes:
        total_s: from sending to the end of the answer.
        first_token_s: from sending to the first token.
        idle_s: from one chunk with output to the next, or to the end.
    """

    total_s: float
    first_token_s: float = math.inf
    idle_s: float = math.inf


class Exchange:
    """Fills in an answer from the response on a connection; `done` is set when it is over, however it ended.

    A lost connection is told apart by what had come before: nothing (reset_before_headers), a head
    (reset_before_output), or output (reset_mid_stream).
    """

    def __init__(self, answer: Answer, timeouts: Timeouts, catch_up: Callable[[], None] = lambda: None) -> None:
        """Waits for an answer; catch_up parses what has been read of it, before it is given up."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_over = False
        self._answer = answer
        self._reader = AnswerReader(answer)
        self._timeouts = timeouts
        self._parser = SseParser()
        self._status = 0
        self._content_type = b""
        self._is_stream = False
        self._text = bytearray()
        self._began_s = answer.sent_s if answer.sent_s is not None else time.perf_counter()
        self._timer: asyncio.TimerHandle | None = None
        self._catch_up = catch_up
        self._watch()

    def head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """Status and headers are there."""
        self._status = status
        self._content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        self._is_stream = status == _OK_STATUS and self._content_type not in _NO_STREAM
        if headers.get(b"content-encoding", b"").strip().lower() not in _PLAIN:
            self._fail("protocol_error", "the answer is compressed, though that was not asked for")

    def body(self, parts: list[bytes], read_s: list[float]) -> None:
        """Parts of the body, and when each was read."""
        if self.is_over:
            return
        if not self._is_stream:
            self._text += b"".join(parts)
            if len(self._text) > _MOST_BODY_BYTES:
                self.end(read_s[-1])
            return
        # A stream begins and ends with events of other kinds than those in between.
        first = 0 if self._reader.has_begun else 1
        last = max(first, len(parts) - (_LAST_PARTS if _DONE_EVENT in parts[-1] else 0))
        for some in (slice(0, first), slice(first, last), slice(last, None)):
            self._take(parts[some], read_s[some])

    def _take(self, parts: list[bytes], read_s: list[float]) -> None:
        """Takes parts all at once where that may be, which costs half; else one by one."""
        if self.is_over:
            return
        if len(parts) > 1 and (lines := self._parser.as_lines(parts)) and self._reader.take_plain(lines, read_s):
            return
        try:
            for part, now_s in zip(parts, read_s, strict=True):
                for payload in self._parser.feed(part):
                    if not self.is_over and not self._reader.take(payload, now_s):
                        self._finish(now_s)  # nothing after it counts
        except EventTooLongError as error:
            self._fail("protocol_error", str(error))

    def end(self, now_s: float) -> None:
        """The response is complete, since a time."""
        if self.is_over:
            return
        if not self._is_stream:
            self._no_stream()
        else:
            is_in_event = self._parser.is_in_event
            if all(self._reader.take(payload, now_s) for payload in self._parser.close()):
                self._reader.end()
            if is_in_event and self._answer.outcome in ("protocol_error", "truncated"):
                self._answer.fail("truncated", "the stream ended in the middle of an event")
        self._finish(now_s)

    def lost(self, reason: str) -> None:
        """The connection broke."""
        if self.is_over:
            return
        if self._is_all_there:
            self._finish(self._answer.chunk_s[-1])
        elif not self._status:
            self._fail("reset_before_headers", reason)
        elif self._status != _OK_STATUS:
            self.end(time.perf_counter())  # what it refused with is known, whatever is missing of its words
        else:
            self._fail("reset_mid_stream" if self._answer.chunk_s else "reset_before_output", reason)

    def broken(self, reason: str) -> None:
        """What came is not HTTP."""
        self._fail("protocol_error", reason)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        if not self.is_over:
            self._finish()

    @property
    def _is_all_there(self) -> bool:
        return self._reader.is_whole and bool(self._answer.chunk_s)

    def _no_stream(self) -> None:
        text = self._text.decode("utf-8", "backslashreplace")
        body = parsed(text)
        if self._status != _OK_STATUS:
            self._answer.fail(f"http_{self._status}", error_message(body or text))
        elif isinstance(body, dict) and body.get("error"):
            self._answer.fail("stream_error", error_message(body))
        else:
            told = self._content_type.decode("latin-1") or "nothing"
            self._answer.fail("protocol_error", f"no stream, but {told}")

    def _watch(self) -> None:
        """Gives the answer up where a limit has passed; else looks again when the next one would."""
        self._catch_up()
        if self.is_over:
            return
        limits, now_s = self._timeouts, time.perf_counter()
        waits = [(self._began_s + limits.total_s, "timeout", f"no complete answer within {limits.total_s:g} s")]
        if self._answer.chunk_s:
            told = f"no further token within {limits.idle_s:g} s"
            waits.append((self._answer.chunk_s[-1] + limits.idle_s, "timeout_idle", told))
        else:
            told = f"no token within {limits.first_token_s:g} s"
            waits.append((self._began_s + limits.first_token_s, "timeout_first_token", told))
        until_s, kind, message = min(waits)
        if until_s <= now_s and self._is_all_there:
            self._finish(self._answer.chunk_s[-1])  # only the end of the response never came
        elif until_s <= now_s:
            self._fail(kind, message)
        else:
            # A limit of idleness is shorter than what is left until the first token; look often enough for it.
            wait_s = min(until_s - now_s, limits.idle_s)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._watch)

    def _fail(self, kind: str, message: str) -> None:
        if not self.is_over:
            self._answer.fail(kind, message)
            self._finish()

    def _finish(self, now_s: float | None = None) -> None:
        self.is_over = True
        self._answer.finished_s = time.perf_counter() if now_s is None else now_s
        if self._timer is not None:
            self._timer.cancel()
        if not self.done.done():
            self.done.set_result(None)
