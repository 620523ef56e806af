"""Streaming client for servers that speak the OpenAI API. Nothing is ever retried.

Load goes over connections of our own, where a library would take more time than the server's timing allows for;
questions before and after it go over aiohttp.
"""

import asyncio
import errno
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from planner.engines.answers import CLIENT_LIMIT, Answer, parsed
from planner.engines.exchange import Exchange, Timeouts
from planner.engines.http1 import Connection
from planner.engines.pool import Pool
from planner.engines.target import Target

EndpointKind = Literal["chat", "completions"]
Message = Mapping[str, Any]
"""Of a chat: role and content."""

FORCED_LENGTH: Mapping[str, Any] = {"ignore_eos": True}
"""Answers are as long as asked, where a server knows the parameter as vLLM does."""

_COUNTED = {
    "chat": ("tools", "chat_template", "chat_template_kwargs", "add_generation_prompt", "continue_final_message"),
    "completions": ("add_special_tokens",),
}
"""Parameters of a request that change its prompt, and that vLLM's `/tokenize` knows."""
_MOST_BODY_BYTES = 2**24
_QUESTION_TIMEOUT_S = 30.0
_COUNT_TIMEOUT_S = 10.0
"""Of `/tokenize`, which takes milliseconds, and is asked thousands of times."""
_LONGEST_UNPARSED_S, _ROUND_S = 0.5, 0.05
_SLICE_S, _PAUSE_S = 0.0005, 0.001
"""Parts of a stream that wait are parsed after half a second, for half a millisecond at a time: all of them at once
would keep those of others waiting."""
_OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS})
"""Open files, ports, memory: of this machine."""
_PATHS: dict[EndpointKind, str] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}


@dataclass(frozen=True)
class Reply:
    """A whole reply: status, and the body as text and as JSON, where it is that."""

    status: int
    text: str
    body: Any = None


class OpenAIClient:
    """Connections to one server; an asynchronous context manager.

    Each request has a connection of its own, new or kept alive: no limit makes one wait for another. A redirect is
    not followed, since it would carry the secrets elsewhere; it is a failure like any other status.
    """

    def __init__(self, target: Target, endpoint: EndpointKind, timeouts: Timeouts) -> None:
        self.target = target
        self.endpoint: EndpointKind = endpoint
        self.timeouts = timeouts
        self._pool = Pool(target.root)
        self._busy: dict[Connection, None] = {}
        self._round: asyncio.TimerHandle | None = None
        self._session: aiohttp.ClientSession | None = None
        self._head = _request_head(target, _PATHS[endpoint])

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self.target.headers, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()
        if self._round is not None:
            self._round.cancel()
        if self._session is not None:
            await self._session.close()

    def body(
        self,
        model: str,
        prompt: str | Sequence[Message] | msgspec.Raw,
        output_tokens: int,
        parameters: Mapping[str, Any] = FORCED_LENGTH,
    ) -> bytes:
        """A request's body, built ahead of the time at which it is due.

        Args:
            model: that is asked.
            prompt: a text; or the messages of a chat, which may be in JSON already.
            output_tokens: of the answer, or at most [tokens].
            parameters: besides.
        """
        return msgspec.json.encode({**_how(model, output_tokens), **parameters, **self._asked(prompt)})

    def _asked(self, prompt: str | Sequence[Message] | msgspec.Raw) -> dict[str, Any]:
        """A prompt as a request of this endpoint holds it."""
        if self.endpoint == "completions":
            return {"prompt": prompt}
        return {"messages": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt}

    async def connect(self, connections: int) -> None:
        """Opens connections ahead of the requests that will need them; those that fail are left to the requests."""
        await asyncio.gather(*(self._open_ahead() for _ in range(connections)))

    async def _open_ahead(self) -> None:
        with suppress(OSError):
            self._pool.release(await self._pool.open())

    async def ask(self, body: bytes, answer: Answer) -> None:
        """Sends a request and reads its answer to the end, into `answer`; failures are answers too.

        Where it is cancelled, `answer` keeps what had come.
        """
        answer.sent_s = time.perf_counter()
        connection = self._pool.idle()
        if connection is None:
            try:
                async with asyncio.timeout(min(self.timeouts.total_s, self.timeouts.first_token_s)) as limit:
                    connection = await self._pool.open()
            except (OSError, TimeoutError) as error:
                kind = "timeout_connect" if limit.expired() else _kind(error)
                answer.fail(kind, self.target.shown("no connection in time" if limit.expired() else _reason(error)))
                answer.finished_s = time.perf_counter()
                return
        exchange = Exchange(answer, self.timeouts, connection.catch_up)
        try:
            connection.send(b"%s%d\r\n\r\n%s" % (self._head, len(body), body), exchange)
            self._look_after(connection)
            await exchange.done
        finally:
            self._busy.pop(connection, None)
            connection.catch_up()
            exchange.cancel()
            if connection.is_idle:
                self._pool.release(connection)
            else:
                connection.close()
        if answer.message:
            answer.message = self.target.shown(answer.message)

    def _look_after(self, connection: Connection) -> None:
        """Lets no part of a stream lie unparsed for long: it may be an error, and the end of the answer."""
        self._busy[connection] = None
        if self._round is None:
            self._round = asyncio.get_running_loop().call_later(_ROUND_S, self._go_round)

    def _go_round(self) -> None:
        begin_s = time.perf_counter()
        wait_s = _ROUND_S
        for connection in [each for each in self._busy if each.unparsed_since_s < begin_s - _LONGEST_UNPARSED_S]:
            if time.perf_counter() > begin_s + _SLICE_S:
                wait_s = _PAUSE_S
                break
            connection.catch_up()
            if connection in self._busy:
                self._busy[connection] = self._busy.pop(connection)  # behind those that still wait for their turn
        self._round = asyncio.get_running_loop().call_later(wait_s, self._go_round) if self._busy else None

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

    async def count_tokens(
        self, model: str, prompt: str | Sequence[Message], parameters: Mapping[str, Any] = {}
    ) -> int | None:
        """Tokens of a prompt as a request would have it, by `/tokenize`; None where the server does not count it.

        Args:
            model: that is asked.
            prompt: as for `body`.
            parameters: of the request; those count that add to its prompt, such as tools.

        Raises:
            TimeoutError: the server does not answer.
        """
        body = {"model": model, **self.of_prompt(parameters), **self._asked(prompt)}
        try:
            reply = await self._question("POST", "/tokenize", body, _COUNT_TIMEOUT_S)
        except TimeoutError:
            raise
        except OSError:
            return None
        count = reply.body.get("count") if reply.status == 200 and isinstance(reply.body, dict) else None
        return count if isinstance(count, int) else None

    def of_prompt(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Those parameters that change a request's prompt, and that `/tokenize` knows."""
        return {name: parameters[name] for name in _COUNTED[self.endpoint] if name in parameters}

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is used outside its `async with`")
        return self._session

    async def _question(self, method: str, path: str, body: Any, limit_s: float = _QUESTION_TIMEOUT_S) -> Reply:
        try:
            async with self._open.request(
                method,
                self.target.root + path,
                json=body,
                timeout=aiohttp.ClientTimeout(total=limit_s),
                allow_redirects=False,
            ) as response:
                text = (await _body(response)).decode("utf-8", "backslashreplace")
                return Reply(response.status, text, parsed(text))
        except TimeoutError:
            raise TimeoutError(f"no answer within {limit_s:g} s") from None
        except aiohttp.ClientError as error:
            raise OSError(self.target.shown(_reason(error))) from error


def _how(model: str, output_tokens: int) -> dict[str, Any]:
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    return {"model": model, "max_tokens": output_tokens, "temperature": 0, **streamed}


def _request_head(target: Target, path: str) -> bytes:
    """All of a request but the length of its body and the body."""
    parts = urlsplit(target.root)
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",  # a proxy that compresses holds chunks back
        **target.headers,
    }
    lines = [f"POST {parts.path}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join([*lines, "Content-Length: "])).encode("ascii")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    async for part in response.content.iter_any():
        parts.append(part)
        if sum(map(len, parts)) > _MOST_BODY_BYTES:
            break
    return b"".join(parts)


def _kind(error: BaseException) -> str:
    """Of a connection that could not be made: the server's fault, or this machine's own limit."""
    return CLIENT_LIMIT if _number(error) in _OWN_LIMITS else "connect"


def _number(error: BaseException) -> int | None:
    return getattr(getattr(error, "os_error", error), "errno", None)


def _reason(error: BaseException) -> str:
    """What went wrong, without the address: that is known, and could hold a password."""
    cause = getattr(error, "os_error", error)
    number = _number(error)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
