"""The HTTP side: OpenAI's endpoints, and those of vLLM that tools ask for."""

import asyncio
import contextlib
import errno
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import HttpVersion11, web

from planner import __version__
from planner.engines.emulator.answers import ChatWire, CompletionWire, Envelope, EventStream, Wire
from planner.engines.emulator.bodies import (
    Ask,
    ChatAsk,
    CompletionAsk,
    RequestRefusedError,
    StreamOptions,
    TokenizeAsk,
    demand_of,
    read_body,
)
from planner.engines.emulator.service import Record, Service
from planner.errors import EnvironmentLackingError
from planner.schema.profile import Profile

SERVER = "planner-emulator"
"""What the header Server, /version and /v1/models say, so that nobody takes its timing for a measurement."""

_MOST_BODY_BYTES = 2**26
_GOODBYE_S = 0.1
_SWITCH_INTERVAL_S = 0.0005

OnReady = Callable[[str, str], None]


async def serve(
    profile: Profile,
    host: str,
    port: int,
    *,
    seed: int = 0,
    record: Record | None = None,
    on_ready: OnReady = lambda url, model: None,
    on_end: Callable[[str], None] = lambda lateness: None,
    warn: Callable[[str], None] = lambda message: None,
    adapters: Sequence[str] = (),
) -> None:
    """Serves a profile until it is cancelled, or the process is told to terminate.

    Args:
        profile: whose timing to keep.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        seed: of the words in the answers.
        record: is given a line about every request once it is over.
        on_ready: told the URL and the model's name once requests are taken.
        on_end: told how well times were kept.
        warn: told once where they cannot be kept.
        adapters: further names that the model is served by.

    Raises:
        EnvironmentLackingError: the address cannot be listened on.
    """
    # The engine's thread waits for the interpreter at the end of its sleep: up to 5 ms by default.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    service = Service(profile, seed, record, warn, adapters)
    runner = web.AppRunner(
        make_app(service), handler_cancellation=True, access_log=None, shutdown_timeout=_GOODBYE_S, handle_signals=False
    )
    with contextlib.suppress(NotImplementedError):  # Windows, where a process that is terminated just ends
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.end)
    try:
        await runner.setup()
        await _listen(runner, host, port)
        on_ready(_url(runner), service.model)
        try:
            await service.ended
        finally:
            on_end(service.metrics.lateness())
    finally:
        await runner.cleanup()
        service.stop()


def make_app(service: Service) -> web.Application:
    """The endpoints of a service."""
    app = web.Application(client_max_size=_MOST_BODY_BYTES, middlewares=[_errors_as_openai_words_them])
    app.on_response_prepare.append(_name_the_server)

    async def chat(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        return await _answer(service, request, time.monotonic(), read_body(ChatAsk, raw), ChatWire())

    async def completion(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        return await _answer(service, request, time.monotonic(), read_body(CompletionAsk, raw), CompletionWire())

    async def models(_: web.Request) -> web.Response:
        more = {"object": "model", "created": int(time.time()), "owned_by": SERVER, "root": service.model}
        parents = {name: None if name == service.model else service.model for name in service.models}
        length = {"max_model_len": service.limits.max_model_len}
        data = [{"id": name, **more, "parent": parent, **length} for name, parent in parents.items()]
        return web.json_response({"object": "list", "data": data})

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"version": __version__, "engine": SERVER})

    async def tokenize(request: web.Request) -> web.Response:
        tokens = read_body(TokenizeAsk, await request.read()).ids()
        body = {"count": len(tokens), "max_model_len": service.limits.max_model_len, "tokens": tokens}
        return web.json_response(body)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=service.metrics_text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app.add_routes(
        [
            web.post("/v1/chat/completions", chat),
            web.post("/v1/completions", completion),
            web.post("/tokenize", tokenize),
            web.get("/v1/models", models),
            web.get("/health", health),
            web.get("/version", version),
            web.get("/metrics", metrics),
        ]
    )
    return app


async def _answer(
    service: Service, request: web.Request, received_s: float, ask: Ask, wire: Wire
) -> web.StreamResponse:
    service.check_model(ask.model)
    demand = demand_of(ask, service.limits)
    service.check_room()
    request_id = request.headers.get("X-Request-Id") or uuid.uuid4().hex
    envelope = Envelope(wire, request_id, ask.model or service.model, demand)
    if not ask.stream:
        await service.generate(request_id, demand, received_s, lambda: True)
        return web.json_response(envelope.whole(service.vocabulary.text(demand)))
    is_chunked = request.version >= HttpVersion11
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    if is_chunked:
        response.enable_chunked_encoding()
    await response.prepare(request)
    transport = request.transport
    if transport is None:  # the client has gone already
        return response
    events = EventStream(envelope, service.vocabulary, ask.stream_options or StreamOptions(), is_chunked)

    def send() -> bool:
        if transport.is_closing():  # the client has just gone, and the handler is about to be told
            return False
        transport.write(events.next())
        return True

    # Written past aiohttp, with the framing done by the events: waking a coroutine for every token of every stream
    # would cost more than everything else. What a slow reader leaves in the buffer is bounded by its answer's length.
    await service.generate(request_id, demand, received_s, send)
    await response.write_eof()
    return response


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, OverflowError) as error:
        number = error.errno if isinstance(error, OSError) else None
        reasons = {
            errno.EADDRINUSE: "the port is in use; name another with --port, or 0 for a free one",
            errno.EACCES: "not allowed; ports from 1024 on are",
            errno.EADDRNOTAVAIL: "is no address of this machine",
        }
        reason = reasons.get(number or 0, getattr(error, "strerror", None) or str(error))
        raise EnvironmentLackingError(f"{host}:{port}: cannot listen there: {reason}") from error


def _url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # what a client on this machine asks
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _name_the_server(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER


@web.middleware
async def _errors_as_openai_words_them(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestRefusedError as refusal:
        return web.json_response(refusal.body(), status=refusal.status)
    except web.HTTPException as error:
        body = RequestRefusedError(error.status, f"{request.method} {request.path}: {error.reason}").body()
        return web.json_response(body, status=error.status)
