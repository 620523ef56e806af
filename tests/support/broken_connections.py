"""E1 to E3: connections that break, and answers that end too early or in an error."""

from fault_table import fault
from stage import STREAM, WORD, Stage, bare, event, plain

# E1: broken.


@fault("E1", "reset_before_headers", "reset", is_early=True)
async def reset_in_body(stage: Stage) -> bool:
    return await stage.reset()


@fault("E1", "reset_before_headers", "reset")
async def reset_before(stage: Stage) -> bool:
    return await stage.reset()


@fault("E1", "reset_before_headers", "reset")
async def reset_in_head(stage: Stage) -> bool:
    await stage.raw(STREAM[:40])
    return await stage.reset()


@fault("E1", "reset_before_output", "reset")
async def reset_after_head(stage: Stage) -> bool:
    await stage.raw(STREAM)
    return await stage.reset()


@fault("E1", "reset_before_output", "reset")
async def reset_after_role(stage: Stage) -> bool:
    await stage.open()
    return await stage.reset()


@fault("E1", "reset_mid_stream", "reset")
async def reset_mid(stage: Stage) -> bool:
    await stage.half()
    return await stage.reset()


@fault("E1", "reset_mid_stream", "reset")
async def reset_mid_event(stage: Stage) -> bool:
    await stage.half()
    await stage.send(stage.choice(WORD)[:20])
    return await stage.reset()


@fault("E1", "reset_mid_stream", "reset")
async def reset_after_output(stage: Stage) -> bool:
    await stage.open()
    await stage.output(0, stage.tokens)
    return await stage.reset()


@fault("E1")
async def reset_after_done(stage: Stage) -> bool:
    await stage.open()
    await stage.output(0, stage.tokens)
    await stage.send(stage.choice("", finish_reason="length") + stage.usage() + "data: [DONE]\n\n")
    return await stage.reset()


@fault("E1", "http_500", "out of mem")
async def reset_in_error_body(stage: Stage) -> bool:
    await stage.raw(plain(500, "out of memory")[:-3])
    return await stage.reset()


# E2: ends in good order, too early.


@fault("E2", "reset_before_headers", "without an answer")
async def eof_before(stage: Stage) -> bool:
    return await stage.fin()


@fault("E2", "reset_before_headers", "without an answer")
async def eof_in_head(stage: Stage) -> bool:
    await stage.raw(STREAM[:40])
    return await stage.fin()


@fault("E2", "truncated", "without finish_reason")
async def eof_after_head(stage: Stage) -> bool:
    await stage.raw(STREAM)
    return await stage.fin()


@fault("E2", "truncated", "without finish_reason")
async def eof_after_role(stage: Stage) -> bool:
    await stage.open()
    return await stage.fin()


@fault("E2", "truncated", "without finish_reason")
async def eof_mid(stage: Stage) -> bool:
    await stage.half()
    return await stage.fin()


@fault("E2", "truncated", "in the middle of an event")
async def eof_mid_event(stage: Stage) -> bool:
    await stage.half()
    await stage.send(stage.choice(WORD)[:20])
    return await stage.fin()


@fault("E2", "truncated", "in the middle of an event")
async def eof_mid_chunk(stage: Stage) -> bool:
    await stage.half()
    await stage.raw(b"ff\r\ndata")
    return await stage.fin()


@fault("E2", "truncated", "without finish_reason")
async def truncated(stage: Stage) -> bool:
    await stage.half()
    return await stage.last()


@fault("E2", "truncated", "without finish_reason")
async def short_content_length(stage: Stage) -> bool:
    stage.frame = bare
    await stage.open(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 999999\r\n\r\n")
    await stage.output(0, stage.tokens // 2)
    return await stage.fin()


@fault("E2")
async def no_done(stage: Stage) -> bool:
    await stage.open()
    return await stage.rest(has_done=False)


@fault("E2")
async def no_finish(stage: Stage) -> bool:
    await stage.open()
    await stage.output(0, stage.tokens)
    await stage.send(stage.usage() + "data: [DONE]\n\n")
    return await stage.last()


# E3: failures inside 200.


@fault("E3", "stream_error", "out of memory")
async def stream_error(stage: Stage) -> bool:
    await stage.half()
    await stage.send(event({"error": {"message": "out of memory", "code": 500}}))
    return await stage.last()


@fault("E3", "stream_error", "out of memory")
async def error_then_done(stage: Stage) -> bool:
    await stage.half()
    await stage.send(event({"error": "out of memory", "error_type": "generation"}) + "data: [DONE]\n\n")
    return await stage.last()


@fault("E3", "stream_error", "too long")
async def error_first(stage: Stage) -> bool:
    await stage.raw(STREAM)
    await stage.send(event({"object": "error", "message": "too long", "code": 400}))
    return await stage.last()


@fault("E3", "stream_error", "overloaded")
async def error_in_json(stage: Stage) -> bool:
    await stage.raw(plain(200, {"error": {"message": "overloaded"}}))
    return True


@fault("E3")
async def error_null(stage: Stage) -> bool:
    await stage.open()
    await stage.send(event({"error": None, "choices": []}))
    for _ in range(stage.tokens):
        await stage.send(stage.token(error=None))
    return await stage.rest(stage.tokens)
