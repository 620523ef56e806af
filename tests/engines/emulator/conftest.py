"""A profile, a server that keeps it, and a client that owes nothing to the planner's own."""

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from planner.engines.emulator.process import emulating

PROFILE: dict[str, Any] = {
    "schema": "planner.profile/1",
    "name": "toy profile",
    "basis": "estimated",
    "model": {"id": "toy"},
    "step_time_s": {"base": 0.002},
    "limits": {
        "max_num_seqs": 8,
        "max_num_batched_tokens": 64,
        "kv_cache_tokens": 1600,
        "block_tokens": 16,
        "max_model_len": 1000,
    },
}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def events(self) -> list[Any]:
        """The events of a stream, which must end as streams end."""
        *events, done, rest = self.text.split("\n\n")
        assert (done, rest) == ("data: [DONE]", "")
        assert all(event.startswith("data: {") for event in events)
        return [json.loads(event.removeprefix("data: ")) for event in events]


@dataclass(frozen=True)
class Client:
    """Asks a server, one connection per question."""

    url: str

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)

    def ask(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """GET without a body, POST with one; text is sent as it is."""
        raw = body if body is None or isinstance(body, str) else json.dumps(body)
        connection = self.connect()
        try:
            connection.request("GET" if raw is None else "POST", path, raw, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read().decode())
        finally:
            connection.close()


@pytest.fixture(scope="session")
def write_profile(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a profile with other step times or limits."""

    def write(step_time_s: Mapping[str, float] | None = None, request_overhead_s: float = 0.0, **limits: int) -> Path:
        path = tmp_path_factory.mktemp("profile") / "p.json"
        data = {**PROFILE, "step_time_s": step_time_s or PROFILE["step_time_s"]}
        data["request_overhead_s"] = request_overhead_s
        path.write_text(json.dumps({**data, "limits": {**PROFILE["limits"], **limits}}))
        return path

    return write


@pytest.fixture(scope="module")
def client(write_profile: Callable[..., Path]) -> Iterator[Client]:
    """A server of two-millisecond steps that a module's tests share."""
    with emulating(write_profile()) as url:
        yield Client(url)
