"""The server that the load generator is measured against: what it writes, and that its log is what clients see."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from benchmark_modules import benchmark_modules

TTFT_MS, ITL_MS = 20.0, 2.0

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux: epoll and timerfd"),
    pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="needs a C compiler"),
]


@pytest.fixture(scope="module")
def truth() -> Iterator[ModuleType]:
    """The benchmark's own reader of the log."""
    with benchmark_modules("truth") as (module,):
        yield module


@pytest.fixture(scope="module")
def program(truth: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = truth.build(tmp_path_factory.mktemp("truth"))
    assert isinstance(built, Path)
    return built


def ask(connection: socket.socket, path: str, body: object) -> None:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data)


def read_stream(connection: socket.socket) -> tuple[list[str], list[float]]:
    """The events of a chunked answer, and when the last byte of each was read, byte for byte."""
    file = connection.makefile("rb", buffering=0)
    status = file.readline()
    assert status == b"HTTP/1.1 200 OK\r\n"
    while file.readline() != b"\r\n":
        pass
    events, times_s = [], []
    while size := int(file.readline(), 16):
        data = b""
        while len(data) < size + 2:
            data += file.read(size + 2 - len(data)) or b""
        times_s.append(time.perf_counter())
        assert data.startswith(b"data: ")
        assert data.endswith(b"\n\n\r\n")
        events.append(data[6:-4].decode())
    assert file.readline() == b"\r\n"
    return events, times_s


CHAT = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": 'four words \\" here'}]}],
    "max_tokens": 5,
    "stream": True,
    "stream_options": {"include_usage": True},
}


def test_answers_and_log_agree(truth: ModuleType, program: Path, tmp_path: Path) -> None:
    log = tmp_path / "truth.bin"
    timing = truth.Timing(TTFT_MS, ITL_MS)
    with truth.TruthServer(program, timing, log) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            sent_s = time.perf_counter()
            ask(connection, "/v1/chat/completions", CHAT)
            events, times_s = read_stream(connection)
            # Two at once on the same connection: the second waits for the first.
            for _ in range(2):
                ask(connection, "/v1/completions", {"prompt": [7, 8, 9], "max_tokens": 3, "stream": True})
            plain = [read_stream(connection) for _ in range(2)]
        with socket.create_connection(("127.0.0.1", port)) as connection:  # one that leaves in the middle
            ask(connection, "/v1/completions", {"prompt": "a b", "max_tokens": 1000, "stream": True})
            connection.recv(1)

    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all(chunk["choices"][0]["delta"]["content"] for chunk in chunks[1:6])
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:6]] == [None] * 5 + ["length"]
    assert chunks[6]["choices"] == []
    assert chunks[6]["usage"] == {"prompt_tokens": 8 + 4, "completion_tokens": 5, "total_tokens": 17}
    for told, _ in plain:
        assert [bool(json.loads(event)["choices"][0]["text"]) for event in told[:-1]] == [True] * 3
        assert told[-1] == "[DONE]"

    found = truth.read_log(log, 4, timing)
    assert found.prompt_tokens.tolist() == [12, 3, 3, 2]
    assert (found.finished, found.peak_in_flight, found.connections) == (3, 1, 2)
    assert found.token_s.shape == (4, 1000)
    assert np.isfinite(found.token_s[:3]).sum(axis=1).tolist() == [5, 3, 3]
    # Cause before effect: sent, arrived, written when due or later, read.
    assert sent_s < found.arrival_s[0]
    for token in range(5):
        due_s = found.arrival_s[0] + (TTFT_MS + token * ITL_MS) / 1e3
        assert due_s - 1e-6 <= found.token_s[0, token] <= times_s[1 + token]
    assert found.arrival_s[2] >= found.token_s[1, 2]
    assert found.late_s().min() > -1e-6


def test_no_byte_is_lost_where_a_client_does_not_read(truth: ModuleType, program: Path) -> None:
    with (
        truth.TruthServer(program, truth.Timing(0, 0, tokens_per_write=1000), None) as server,
        socket.socket() as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        ask(connection, "/v1/completions", {"prompt": "a", "max_tokens": 40_000, "stream": True})
        events, _ = read_stream(connection)  # nine megabytes through a window of a few kilobytes
    assert len(events) == 40_001
    assert {json.loads(event)["object"] for event in events[:-1]} == {"text_completion"}


def test_many_connections(truth: ModuleType, program: Path, tmp_path: Path) -> None:
    log, timing = tmp_path / "truth.bin", truth.Timing(100, 1)
    with truth.TruthServer(program, timing, log) as server:
        port = int(server.url.rpartition(":")[2])
        connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(400)]
        for connection in connections:
            ask(connection, "/v1/completions", {"prompt": "a", "max_tokens": 2, "stream": True})
        assert all(len(read_stream(connection)[0]) == 3 for connection in connections)
        for connection in connections:
            connection.close()
    found = truth.read_log(log, 400, timing)
    assert (found.finished, found.connections, found.tokens()) == (400, 400, 800)


def test_it_compiles_without_warnings(truth: ModuleType, tmp_path: Path) -> None:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))))
    command = [compiler, "-O2", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", str(tmp_path / "x")]
    done = subprocess.run([*command, str(truth.SOURCE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
