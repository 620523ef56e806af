"""E4: streams, and the HTTP that they come over, that are odd or broken."""

import asyncio
import gzip
import json

from fault_table import fault
from stage import STREAM, WORD, Stage, bare, event, plain


@fault("E4")
async def ok(stage: Stage) -> bool:
    await stage.open()
    return await stage.rest()


@fault("E4")
async def several(stage: Stage) -> bool:
    await stage.open()
    await stage.output(0, stage.tokens, per_chunk=4)
    return await stage.rest(stage.tokens)


@fault("E4")
async def think(stage: Stage) -> bool:
    await stage.open()
    for _ in range(stage.tokens):
        await stage.send(stage.token(key="reasoning_content"))
    return await stage.rest(stage.tokens)


@fault("E4")
async def split(stage: Stage) -> bool:
    """Comments, CR LF, and chunks that cut characters and ends of lines in two."""
    await stage.open()
    for _ in range(stage.tokens):
        await stage.send(f": ping\n\n{stage.token()}".replace("\n", "\r\n"), piece=3)
    return await stage.rest(stage.tokens)


@fault("E4")
async def byte_by_byte(stage: Stage) -> bool:
    await stage.open()
    await stage.output(0, stage.tokens, piece=1)
    return await stage.rest(stage.tokens)


@fault("E4")
async def one_segment(stage: Stage) -> bool:
    """A whole answer in one write and one chunk."""
    await stage.raw(STREAM)
    tokens = "".join(stage.token() for _ in range(stage.tokens))
    await stage.send(tokens + stage.choice("", finish_reason="length") + stage.usage() + "data: [DONE]\n\n")
    return await stage.last()


@fault("E4")
async def multi_line_data(stage: Stage) -> bool:
    await stage.open()
    for _ in range(stage.tokens):
        lines = json.dumps(json.loads(stage.token()[6:]), indent=1, ensure_ascii=False).splitlines()
        await stage.send("".join(f"data: {line}\n" for line in lines) + "\n")
    return await stage.rest(stage.tokens)


@fault("E4")
async def odd_fields(stage: Stage) -> bool:
    """A byte order mark, lines that end in CR, other fields, and no blank after the colon."""
    await stage.raw(STREAM)
    await stage.send("\ufeff:hello\r\rid: 7\revent: message\rretry: 10\r\r")
    for _ in range(stage.tokens):
        await stage.send(stage.token().replace("data: ", "data:").replace("\n", "\r"))
    return await stage.rest(stage.tokens)


@fault("E4")
async def pings(stage: Stage) -> bool:
    await stage.open()
    for _ in range(stage.tokens):
        await stage.send(":\n\n" + 'data: {"type": "ping"}\n\n' + stage.token() + "\n\n")
    return await stage.rest(stage.tokens)


@fault("E4")
async def odd_choices(stage: Stage) -> bool:
    """Chunks without choices, with none, and with such as are none."""
    await stage.open()
    for choices in (None, [], [None], [{}], [{"delta": None}], [{"index": 0, "delta": {"content": None}}]):
        await stage.send(event({"choices": choices}))
    return await stage.rest()


@fault("E4")
async def odd_text(stage: Stage) -> bool:
    """Half of a surrogate pair, and a number that is none in JSON: Python writes both."""
    await stage.open()
    await stage.send(stage.token("X", logprob="N").replace('"X"', '"\\ud83d"').replace('"N"', "NaN"))
    return await stage.rest(1)


@fault("E4")
async def no_last_blank_line(stage: Stage) -> bool:
    await stage.open()
    await stage.output(0, stage.tokens)
    await stage.send(stage.choice("", finish_reason="length") + stage.usage() + "data: [DONE]")
    return await stage.last()


@fault("E4", "truncated", "without finish_reason")
async def empty_stream(stage: Stage) -> bool:
    await stage.raw(STREAM)
    return await stage.last()


@fault("E4", "empty", "no output")
async def only_done(stage: Stage) -> bool:
    await stage.raw(STREAM)
    await stage.send("data: [DONE]\n\n")
    return await stage.last()


@fault("E4", "empty", "no output")
async def empty(stage: Stage) -> bool:
    await stage.open()
    return await stage.rest(stage.tokens, stage.usage(completion_tokens=0))


@fault("E4", "protocol_error", 'no JSON: {"choices": [')
async def malformed(stage: Stage) -> bool:
    await stage.half()
    await stage.send('data: {"choices": [\n\n')
    return await stage.last()


@fault("E4", "protocol_error", "no JSON")
async def bad_utf8(stage: Stage) -> bool:
    await stage.half()
    await stage.send(b'data: {"choices": [{"text": "\xff"}]}\n\n')
    return await stage.last()


@fault("E4", "protocol_error", "no JSON")
async def deep_json(stage: Stage) -> bool:
    await stage.half()
    await stage.send("data: " + "[" * 100_000 + "\n\n")
    return await stage.last()


@fault("E4", "protocol_error", "no JSON object")
async def no_object(stage: Stage) -> bool:
    await stage.half()
    await stage.send("data: 7\n\n")
    return await stage.last()


@fault("E4", "protocol_error", "longer than")
async def huge_event(stage: Stage) -> bool:
    await stage.half()
    await stage.send(b"data: " + b"x" * (2**24 + 1), piece=2**16)
    return await stage.last()


# Below the stream: HTTP that is odd, or broken.


async def _until_eof(stage: Stage, head: bytes) -> bool:
    stage.frame = bare
    await stage.open(head)
    return await stage.rest()


@fault("E4")
async def until_eof(stage: Stage) -> bool:
    return await _until_eof(stage, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")


@fault("E4")
async def http_1_0(stage: Stage) -> bool:
    return await _until_eof(stage, b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")


@fault("E4")
async def content_length(stage: Stage) -> bool:
    await asyncio.sleep(stage.first_s)
    body = "".join(stage.token() for _ in range(stage.tokens)) + stage.choice("", finish_reason="length")
    body += stage.usage() + "data: [DONE]\n\n"
    length = len(body.encode())
    await stage.raw(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {length}\r\n\r\n".encode())
    await stage.raw(body.encode())
    return True


@fault("E4")
async def continue_100(stage: Stage) -> bool:
    await stage.open(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + STREAM)
    return await stage.rest()


@fault("E4")
async def long_header(stage: Stage) -> bool:
    await stage.open(STREAM[:-2] + b"X-Long: " + b"x" * 60_000 + b"\r\n\r\n")
    return await stage.rest()


@fault("E4", "protocol_error", "headers of more than 65,536 bytes")
async def longer_header(stage: Stage) -> bool:
    await stage.raw(STREAM[:-2] + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n")
    return await stage.fin()


@fault("E4", "protocol_error", "headers of more than 65,536 bytes")
async def endless_header(stage: Stage) -> bool:
    await stage.raw(STREAM[:-2] + b"X-Endless: ")
    for _ in range(1000):
        await stage.raw(b"x" * 2**14)
    return False


@fault("E4", "protocol_error")
async def injected_header(stage: Stage) -> bool:
    await stage.raw(STREAM[:-2] + b"X-Odd: a\rSet-Cookie: b\x00\r\n\r\n")
    return await stage.fin()


@fault("E4", "protocol_error")
async def two_lengths(stage: Stage) -> bool:
    await stage.raw(STREAM[:-2] + b"Content-Length: 5\r\n\r\n")
    return await stage.fin()


@fault("E4", "protocol_error")
async def bad_chunk(stage: Stage) -> bool:
    await stage.half()
    await stage.raw(b"xyz\r\n")
    return await stage.fin()


@fault("E4", "protocol_error")
async def garbage(stage: Stage) -> bool:
    await stage.raw(b"what is this\r\n\r\n")
    return await stage.fin()


@fault("E4", "protocol_error")
async def switch(stage: Stage) -> bool:
    await stage.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00")
    return await stage.fin()


@fault("E4", "protocol_error", "compressed")
async def gzipped(stage: Stage) -> bool:
    await stage.raw(STREAM[:-2] + b"Content-Encoding: gzip\r\n\r\n")
    await stage.send(gzip.compress(stage.choice(WORD).encode()))
    return await stage.last()


@fault("E4", "protocol_error", "no stream, but text/html")
async def html(stage: Stage) -> bool:
    page = plain(200, "<!doctype html><title>Sign in</title>data: {}\n\n")
    await stage.raw(page.replace(b"text/plain", b"text/html; charset=utf-8"))
    return True


@fault("E4", "protocol_error", "no stream, but application/json")
async def no_stream(stage: Stage) -> bool:
    await stage.raw(plain(200, {"choices": [{"message": {"content": "x"}}]}))
    return True


@fault("E4", "http_413", "too large", is_early=True)
async def early_answer(stage: Stage) -> bool:
    await stage.raw(plain(413, "too large", "Connection: close"))
    return await stage.fin()
