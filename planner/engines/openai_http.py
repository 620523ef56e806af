"""Streaming client for servers that speak the OpenAI API, on aiohttp. Nothing is ever retried."""

import json
import os
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
from yarl import URL

from planner.engines.answers import Answer, AnswerReader, error_message
from planner.engines.sse import EventTooLongError, SseParser
from planner.engines.target import Target

EndpointKind = Literal["chat", "completions"]

_IDLE_CONNECTION_S = 3.0
"""vLLM closes connections idle for 5 s; one that it closes while a request is on its way would count as lost."""
_READ_BYTES = 2**16
_MOST_BODY_BYTES = 2**24
_QUESTION_TIMEOUT_S = 30.0
_PATHS: dict[EndpointKind, str] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}


@dataclass(frozen=True)
class Reply:
    """A whole reply: status, and the body as text and as JSON, where it is that."""

    status: int
    text: str
    body: Any = None


class OpenAIClient:
    """Connections to one server; an asynchronous context manager.

    Each request has a connection of its own, new or kept alive: no limit makes one wait for another.
    """

    def __init__(self, target: Target, endpoint: EndpointKind, timeout_s: float) -> None:
        self.target = target
        self.endpoint: EndpointKind = endpoint
        self._url = URL(target.root + _PATHS[endpoint])  # read once, not with every request
        self._timeout_s = timeout_s
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=0, keepalive_timeout=_IDLE_CONNECTION_S)
        # No compression: a proxy that compresses holds chunks back.
        ours = {"Content-Type": "application/json", "Accept": "text/event-stream", "Accept-Encoding": "identity"}
        headers = {**ours, **self.target.headers}
        self._session = aiohttp.ClientSession(
            connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=_READ_BYTES
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def body(self, model: str, prompt: str, output_tokens: int) -> bytes:
        """A request's body, built ahead of the time at which it is due."""
        what = {"messages": [{"role": "user", "content": prompt}]} if self.endpoint == "chat" else {"prompt": prompt}
        how = {
            "model": model,
            "max_tokens": output_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return json.dumps({**how, **what}).encode()

    async def ask(self, body: bytes, answer: Answer) -> None:
        """Sends a request and reads its answer to the end, into `answer`; failures are answers too.

        Where it is cancelled, `answer` keeps what had come.
        """
        answer.sent_s = time.perf_counter()
        reader = AnswerReader(answer)
        try:
            async with self._open.post(
                self._url,
                data=body,
                timeout=self._timeout,
                allow_redirects=False,  # they would carry the secrets elsewhere
            ) as response:
                await _read(response, answer, reader)
        except TimeoutError:
            answer.fail("timeout", f"no complete answer within {self._timeout_s:g} s")
        except aiohttp.ClientConnectorError as error:
            answer.fail("connect", _reason(error))
        except (aiohttp.ClientError, OSError, EventTooLongError) as error:
            if not (reader.is_whole and answer.chunk_s):  # else all of it had come
                answer.fail(_kind(error), _reason(error))
        answer.finished_s = time.perf_counter()
        answer.message = self.target.shown(answer.message)

    async def get(self, path: str) -> Reply:
        """A small question outside the load.

        Raises:
            OSError: the server cannot be reached.
            TimeoutError: it does not answer.
        """
        return await self._question("GET", path, None)

    async def post(self, path: str, body: Any) -> Reply:
        """Likewise, with a JSON body.

        Raises:
            OSError: the server cannot be reached.
            TimeoutError: it does not answer.
        """
        return await self._question("POST", path, body)

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is used outside its `async with`")
        return self._session

    async def _question(self, method: str, path: str, body: Any) -> Reply:
        try:
            async with self._open.request(
                method,
                self.target.root + path,
                json=body,
                timeout=aiohttp.ClientTimeout(total=_QUESTION_TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                text = (await _body(response)).decode("utf-8", "backslashreplace")
                return Reply(response.status, text, _json(text))
        except TimeoutError:
            raise TimeoutError(f"no answer within {_QUESTION_TIMEOUT_S:g} s") from None
        except aiohttp.ClientError as error:
            raise OSError(self.target.shown(_reason(error))) from error


async def _read(response: aiohttp.ClientResponse, answer: Answer, reader: AnswerReader) -> None:
    if response.status != 200:
        text = (await _body(response)).decode("utf-8", "backslashreplace")
        answer.fail(f"http_{response.status}", error_message(_json(text) or text))
        return
    if response.content_type == "application/json":
        text = (await _body(response)).decode("utf-8", "backslashreplace")
        body = _json(text)
        is_error = isinstance(body, dict) and body.get("error")
        answer.fail("stream_error" if is_error else "protocol_error", error_message(body) if is_error else "no stream")
        return
    parser = SseParser()
    async for part in response.content.iter_any():
        now_s = time.perf_counter()
        for payload in parser.feed(part):
            if not reader.take(payload, now_s):
                return
    for payload in parser.close():
        if not reader.take(payload, time.perf_counter()):
            return
    reader.end()


async def _body(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    async for part in response.content.iter_any():
        parts.append(part)
        if sum(map(len, parts)) > _MOST_BODY_BYTES:
            break
    return b"".join(parts)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _kind(error: Exception) -> str:
    """What a failure after the connection was made is: bytes that break the protocol, or a connection lost."""
    is_broken = isinstance(error, EventTooLongError | aiohttp.ClientResponseError | aiohttp.InvalidURL)
    if isinstance(error, aiohttp.ClientPayloadError):
        # aiohttp has one class for a connection that ends within the body and for a body that is broken.
        is_broken = "not completed" not in str(error)
    return "protocol_error" if is_broken else "reset"


def _reason(error: BaseException) -> str:
    """What went wrong, without the address: that is known, and could hold a password."""
    cause = getattr(error, "os_error", error)
    number = getattr(cause, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
