"""What servers say of themselves, and what they leave out."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from known_server import KnownServer

from planner.engines.discovery import Discovered, discover
from planner.engines.exchange import Timeouts
from planner.engines.openai_http import OpenAIClient
from planner.engines.target import Target
from planner.errors import EnvironmentLackingError, UsageError

CACHE = 'vllm:cache_config_info{block_size="128",enable_prefix_caching="True",num_gpu_blocks="4096"} 1.0\n'


def found(server: KnownServer, model: str | None = None) -> Discovered:
    async def work() -> Discovered:
        async with OpenAIClient(Target(server.url), "chat", Timeouts(5.0)) as client:
            return await discover(client, model)

    return asyncio.run(work())


def models(*entries: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"data": list(entries)}


def test_vllm_tells_version_context_and_cache() -> None:
    with KnownServer() as server:
        server.pages["/metrics"] = (200, f"# TYPE vllm:cache_config_info gauge\n{CACHE}")
        seen = found(server)
    assert (seen.model, seen.basis) == ("m", "measured")
    assert (seen.engine.name, seen.engine.version, seen.engine.prefix_caching) == ("vllm", "0.32.0", True)
    assert (seen.limits.kv_cache_tokens, seen.limits.block_tokens) == (524288, 128)
    assert seen.limits.max_model_len == 4096


def test_metrics_page_of_a_real_server_is_read() -> None:
    page = Path(__file__).parents[3] / "shared" / "vllm" / "fixtures" / "metrics_0.32.txt"
    if not page.is_file():
        pytest.skip("needs ../shared/vllm/fixtures/metrics_0.32.txt, recorded from vLLM 0.32.0")
    with KnownServer() as server:
        server.pages["/metrics"] = (200, page.read_text())
        limits = found(server).limits
    assert (limits.kv_cache_tokens, limits.block_tokens) == (524288, 128)


@pytest.mark.parametrize(
    ("version", "owner"), [({"version": "1", "engine": "planner-emulator"}, "x"), ({}, "planner-emulator")]
)
def test_emulator_is_known_by_either_sign(version: dict[str, str], owner: str) -> None:
    with KnownServer() as server:
        server.pages["/version"] = (200, version)
        server.pages["/v1/models"] = models({"id": "m", "owned_by": owner})
        seen = found(server)
    assert (seen.engine.name, seen.basis) == ("planner-emulator", "emulated")


@pytest.mark.parametrize(
    "page", ["<html>", "vllm:cache_config_info{block", 'vllm:cache_config_info{block_size="x"} 1\n']
)
def test_other_servers_are_measured_all_the_same(page: str) -> None:
    with KnownServer() as server:
        server.pages = {"/metrics": (200, page), "/v1/models": models({"id": "a/b", "owned_by": "library"})}
        seen = found(server)
    assert (seen.model, seen.engine.name, seen.engine.version) == ("a/b", "openai-compatible", None)
    assert seen.limits.model_dump(exclude_none=True) == {}


def test_model_is_chosen_from_those_on_offer() -> None:
    with KnownServer() as server:
        server.pages["/v1/models"] = models({"id": "a"}, {"id": "b\x1b[2J"})
        assert found(server, "a").model == "a"
        with pytest.raises(UsageError, match=r"--model: name one of those .* offers: a, b\\x1b\[2J$"):
            found(server)
        with pytest.raises(UsageError, match=r"--model c: .* does not offer it; it offers: a, "):
            found(server, "c")
        server.pages["/v1/models"] = (404, "")
        assert found(server, "c").model == "c"
        with pytest.raises(UsageError, match=r"--model: is needed, .* lists no models \(HTTP 404\)"):
            found(server)


def test_server_that_wants_a_key_says_how_to_give_it() -> None:
    with KnownServer() as server:
        server.pages["/v1/models"] = (401, {"error": "who are you"})
        with pytest.raises(UsageError, match="HTTP 401; give a key with --header Authorization=VARIABLE"):
            found(server)


def test_server_that_is_not_well_or_not_there_is_an_environment_that_lacks() -> None:
    with KnownServer() as server:
        server.pages["/health"] = (503, "")
        with pytest.raises(EnvironmentLackingError, match="/health: HTTP 503"):
            found(server)
    with pytest.raises(EnvironmentLackingError, match=rf"{server.url}/health: the server cannot be reached: .*refused"):
        found(server)
