"""E5 to E7 and E23 to E25: servers that refuse, take their time, or tell of themselves what cannot be."""

import asyncio
from typing import Any

from fault_table import FAULTS, SHORT, Fault, fault
from stage import STREAM, WORD, Stage, bare, plain

from planner.engines.exchange import Timeouts

_DRIP_S = 0.05
_LONG_S = 60.0

# E5, E6: refusals.


def _refusal(row: str, name: str, status: int, *headers: str) -> None:
    async def play(stage: Stage) -> bool:
        said = {"error": {"message": f"you sent {stage.served.headers.get('authorization', 'nothing')}"}}
        await stage.raw(plain(status, "" if status == 204 else said, *headers).replace(b"Content-Length: 0\r\n", b""))
        return True

    FAULTS[name] = Fault(row, play, f"http_{status}", "" if status == 204 else "you sent")


for _name, _value in {
    "seconds": "30",
    "date": "Wed, 21 Oct 2099 07:28:00 GMT",
    "negative": "-5",
    "huge": "9" * 30,
}.items():
    _refusal("E5", f"retry_after_{_name}", 429, f"Retry-After: {_value}")
for _status in (204, 401, 403, 413, 429):
    _refusal("E5", f"http_{_status}", _status)
for _status in (302, 307):
    _refusal("E14", f"http_{_status}", _status, "Location: /elsewhere")
for _status in (500, 502, 503):
    _refusal("E6", f"http_{_status}", _status)


# E7: servers that take their time.


@fault("E7", "timeout_first_token", "no token within 0.5 s", timeouts=SHORT)
async def hang(stage: Stage) -> bool:
    await asyncio.sleep(_LONG_S)
    return False


@fault("E7", "timeout", "no complete answer within 0.4 s", timeouts=Timeouts(0.4))
async def hang_for_all(stage: Stage) -> bool:
    return await hang(stage)


@fault("E7", "timeout_first_token", "no token", timeouts=SHORT)
async def hang_after_head(stage: Stage) -> bool:
    await stage.raw(STREAM)
    return await hang(stage)


@fault("E7", "timeout_first_token", "no token", timeouts=SHORT)
async def hang_after_role(stage: Stage) -> bool:
    await stage.open()
    return await hang(stage)


@fault("E7", "timeout_idle", "no further token within 0.3 s", timeouts=SHORT)
async def hang_mid(stage: Stage) -> bool:
    await stage.half()
    return await hang(stage)


async def _drip(stage: Stage, data: bytes) -> bool:
    for place in range(len(data)):
        await stage.raw(stage.frame(data[place : place + 1]))
        await asyncio.sleep(_DRIP_S)
    return False


@fault("E7", "timeout_first_token", "no token", timeouts=SHORT)
async def drip_head(stage: Stage) -> bool:
    stage.frame = bare
    return await _drip(stage, STREAM[:-2] + b"X: " + b"x" * 1000)


@fault("E7", "timeout_first_token", "no token", timeouts=SHORT)
async def drip_pings(stage: Stage) -> bool:
    await stage.open()
    return await _drip(stage, b": ping\n\n" * 100)


@fault("E7", "timeout_idle", "no further token", timeouts=SHORT)
async def drip_mid(stage: Stage) -> bool:
    await stage.half()
    return await _drip(stage, stage.choice(WORD * 100).encode())


@fault("E7", "timeout", "no complete answer within 0.8 s", timeouts=Timeouts(0.8, 0.5, 0.4))
async def endless(stage: Stage) -> bool:
    await stage.open()
    for _ in range(1000):
        await stage.send(stage.token())
        await asyncio.sleep(_DRIP_S)
    return False


# E23, E24, E25: what a server says of itself.


def _lie(name: str, row: str = "E23", **usage: Any) -> None:
    async def play(stage: Stage) -> bool:
        await stage.open()
        await stage.output(0, stage.tokens)
        return await stage.rest(stage.tokens, stage.usage(**usage))

    FAULTS[name] = Fault(row, play)


_lie("usage_negative", prompt_tokens=-1, completion_tokens=-8)
_lie("usage_absurd", prompt_tokens=10**30, completion_tokens=2**63)
_lie("usage_no_number", prompt_tokens="12", completion_tokens=8.5)
_lie("usage_bool", prompt_tokens=True, completion_tokens=True)
_lie("usage_null", prompt_tokens=None, completion_tokens=None)
_lie("usage_fewer", completion_tokens=1)
_lie("usage_more", completion_tokens=1000)
_lie("usage_odd_details", details={"prompt_tokens_details": 7, "completion_tokens_details": [None]})
_lie("reasoning_tokens", details={"completion_tokens_details": {"reasoning_tokens": 3}})
_lie("cached_tokens", "E25", details={"prompt_tokens_details": {"cached_tokens": 5}})


@fault("E23")
async def no_usage(stage: Stage) -> bool:
    await stage.open()
    return await stage.rest(usage="")


@fault("E23")
async def usage_list(stage: Stage) -> bool:
    await stage.open()
    return await stage.rest(usage=stage.chunk_of({"choices": [], "usage": [1, 2]}))


@fault("E23")
async def usage_throughout(stage: Stage) -> bool:
    """Counts that grow from chunk to chunk: the last one holds."""
    await stage.open()
    for count in range(1, stage.tokens + 1):
        so_far = {"prompt_tokens": stage.served.input_tokens, "completion_tokens": count}
        await stage.send(stage.token(usage=so_far))
    return await stage.rest(stage.tokens)


@fault("E24")
async def other_model(stage: Stage) -> bool:
    stage.model = "fallback-mini"
    await stage.open()
    return await stage.rest()
