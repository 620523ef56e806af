"""The selector that reads streams itself must not do so at the cost of everything else."""

import asyncio
import itertools
import socket
import sys
import time

import pytest

if sys.platform != "linux":
    pytest.skip("needs epoll", allow_module_level=True)

from planner.engines import streams
from planner.engines.streams import StreamLoop, StreamTransport


def test_streams_that_never_fall_silent_leave_timers_their_turn() -> None:
    async def work() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StreamLoop)
        mine, theirs = socket.socketpair()
        theirs.send(b"x")  # never read, so that there is always something to read
        reads, begin_s = 0, time.monotonic()

        def read() -> None:
            nonlocal reads
            reads += 1
            time.sleep(0.0002)
            if time.monotonic() - begin_s > 20:  # or else the test would hang where it fails
                loop.streams.remove_stream(mine.fileno())

        loop.streams.add_stream(mine.fileno(), read)
        await asyncio.sleep(0.01)
        seen = reads
        loop.streams.remove_stream(mine.fileno())
        mine.close()
        theirs.close()
        return seen

    with asyncio.Runner(loop_factory=StreamLoop) as runner:
        assert 1 <= runner.run(work()) < 5000, "50 of them fit into 10 ms, 100,000 into 20 s"


def test_connection_given_up_while_it_sends_leaves_nothing_to_the_next_of_its_number() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StreamLoop)
        with socket.create_server(("127.0.0.1", 0)) as server:
            mine = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()  # and never reads
        mine.setblocking(False)
        transport = StreamTransport(loop, mine, asyncio.Protocol())
        transport.write(b"x" * 2**24)  # more than the system takes
        await asyncio.sleep(0.05)
        number = mine.fileno()
        assert number in loop.streams.get_map(), "it waits until it can send the rest"
        transport.abort()
        assert number not in loop.streams.get_map()
        theirs.close()

    with asyncio.Runner(loop_factory=StreamLoop) as runner:
        runner.run(work())


def test_busy_streams_are_looked_at_four_thousand_times_a_second_and_everything_else_at_once() -> None:
    async def work() -> tuple[int, float, int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StreamLoop)
        pairs = [socket.socketpair() for _ in range(8)]
        other_end, other = socket.socketpair()
        reads = 0

        def read() -> None:
            nonlocal reads
            reads += 1

        for mine, theirs in pairs:
            theirs.send(b"x")  # never read, so that there is always something to read
            loop.streams.add_stream(mine.fileno(), read)
        other_end.setblocking(False)
        await asyncio.sleep(0.05)  # until it is known that they are busy
        before, begin_s, answers = reads, time.monotonic(), 0
        while time.monotonic() - begin_s < 0.2:
            other.send(b"y")
            answers += len(await loop.sock_recv(other_end, 1))
            await asyncio.sleep(0.005)
        seen, past_s = reads - before, time.monotonic() - begin_s
        for mine, _ in pairs:
            loop.streams.remove_stream(mine.fileno())
        for each in (*itertools.chain(*pairs), other_end, other):
            each.close()
        return seen, past_s, answers

    with asyncio.Runner(loop_factory=StreamLoop) as runner:
        seen, past_s, answers = runner.run(work())
    assert answers > 0
    # Whenever the loop has something to do, streams are looked at as well: a few times per answer.
    assert 1 <= seen / 8 <= past_s / 0.00025 + 8 * answers + 10


def test_while_busy_streams_wait_everything_else_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_GATHER_S", 0.5)

    async def work() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StreamLoop)
        pairs = [socket.socketpair() for _ in range(8)]
        other_end, other = socket.socketpair()
        other_end.setblocking(False)
        monkeypatch.setattr(loop.streams, "_count", lambda _: setattr(loop.streams, "_looked_s", time.monotonic()))
        monkeypatch.setattr(loop.streams, "_is_busy", True)
        for mine, theirs in pairs:
            theirs.send(b"x")
            loop.streams.add_stream(mine.fileno(), lambda: None)
        begin_s = time.monotonic()
        for _ in range(10):
            loop.call_later(0.002, other.send, b"y")
            await loop.sock_recv(other_end, 1)
        past_s = time.monotonic() - begin_s
        for mine, _ in pairs:
            loop.streams.remove_stream(mine.fileno())
        for each in (*itertools.chain(*pairs), other_end, other):
            each.close()
        return past_s

    with asyncio.Runner(loop_factory=StreamLoop) as runner:
        assert runner.run(work()) < 2.5, "ten waits of half a second"
