"""The selector that reads streams itself must not do so at the cost of everything else."""

import asyncio
import socket
import sys
import time

import pytest

if sys.platform != "linux":
    pytest.skip("needs epoll", allow_module_level=True)

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
