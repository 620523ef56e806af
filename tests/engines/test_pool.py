"""Where a name has several addresses, each has its share of the connections."""

import asyncio
import socket
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from planner.engines.loop import client_loop
from planner.engines.pool import Pool

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


def connected(pool_of: tuple[str, ...], listening: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many of 24 connections that are opened at once come in at each address."""

    async def work() -> Counter[str]:
        loop, seen = asyncio.get_running_loop(), Counter[str]()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen[writer.get_extra_info("sockname")[0]] += 1
            await reader.read()
            writer.close()

        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(await asyncio.start_server(take, listening[0], 0))
            port = first.sockets[0].getsockname()[1]
            for address in listening[1:]:
                await stack.enter_async_context(await asyncio.start_server(take, address, port))

            async def look_up(*_: Any, **__: Any) -> list[Any]:
                await asyncio.sleep(0)
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in pool_of]

            monkeypatch.setattr(loop, "getaddrinfo", look_up)
            pool = Pool(f"http://name.example:{port}")
            for _ in range(2):
                for connection in await asyncio.gather(*(pool.open() for _ in range(12))):
                    pool.release(connection)
            while seen.total() < 24:
                await asyncio.sleep(0.001)
            pool.close()
        return seen

    with asyncio.Runner(loop_factory=client_loop()) as runner:
        return runner.run(asyncio.wait_for(work(), 20))


def test_connections_that_are_opened_at_once_go_to_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connected(ADDRESSES, ADDRESSES, monkeypatch) == dict.fromkeys(ADDRESSES, 8)


def test_address_that_refuses_is_left_out_while_others_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = connected(ADDRESSES, ADDRESSES[:2], monkeypatch)
    assert seen.total() == 24
    assert all(seen[address] >= 6 for address in ADDRESSES[:2])
