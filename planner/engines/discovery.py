"""What a server says of itself before it is measured."""

from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client.parser import text_string_to_metric_families

from planner.engines.openai_http import OpenAIClient, Reply
from planner.errors import EnvironmentLackingError, UsageError
from planner.schema.benchmark import KnownLimits
from planner.schema.profile import Engine

EMULATOR = "planner-emulator"
_ENGINES = frozenset({"vllm", EMULATOR})
_MOST_MODELS_TOLD = 20
_NOT_THERE = frozenset({404, 405, 501})
_REFUSED = frozenset({401, 403})
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Discovered:
    """A server as it describes itself.

    Attributes:
        model: the model that requests name.
        engine: name (openai-compatible where it does not say), version, prefix caching.
        limits: what it tells of its memory and context.
        offered: the names of all models that it offers; None where it does not list them.
        basis: emulated where it only keeps the timing of a profile.
    """

    model: str
    engine: Engine
    limits: KnownLimits
    basis: Literal["measured", "emulated"]
    offered: tuple[str, ...] | None = None


async def discover(client: OpenAIClient, asked_model: str | None) -> Discovered:
    """Asks `/health`, `/v1/models`, `/version` and `/metrics`; only an answer to the first is needed.

    Args:
        client: of the server.
        asked_model: the model that the user named; None takes the only one offered.

    Raises:
        EnvironmentLackingError: the server cannot be reached, or says that it is not well.
        UsageError: it does not offer the model, or offers several and none was named; or it wants a key.
    """
    health = await _reach(client, "/health")
    if health.status >= 500 and health.status not in _NOT_THERE:
        raise EnvironmentLackingError(f"{client.target.root}/health: HTTP {health.status}: the server is not well")
    models = await _reach(client, "/v1/models")
    if models.status in _REFUSED:
        message = f"HTTP {models.status}; give a key with --header Authorization=VARIABLE, the variable's name"
        raise UsageError(f"{client.target.root}/v1/models: {message}")
    offered = _offered(models)
    model = _choose(client, asked_model, offered, models.status)
    entry = (offered or {}).get(model, {})
    version = await _optional(client, "/version")
    cache = _cache_config(await _optional(client, "/metrics"))
    engine = _engine(client, entry, version)
    return Discovered(
        model=model,
        engine=engine.model_copy(update={"prefix_caching": _flag(cache.get("enable_prefix_caching"))}),
        limits=_limits(entry, cache),
        basis="emulated" if engine.name == EMULATOR else "measured",
        offered=None if offered is None else tuple(offered),
    )


async def _reach(client: OpenAIClient, path: str) -> Reply:
    try:
        return await client.get(path)
    except OSError as error:
        message = f"{client.target.root}{path}: the server cannot be reached: {client.target.shown(str(error))}"
        raise EnvironmentLackingError(message) from error


async def _optional(client: OpenAIClient, path: str) -> Reply | None:
    try:
        reply = await client.get(path)
    except OSError:
        return None
    return reply if reply.status == 200 else None


def _offered(reply: Reply) -> dict[str, dict[str, Any]] | None:
    """The models on offer by name; None where the server does not list them."""
    data = reply.body.get("data") if reply.status == 200 and isinstance(reply.body, dict) else None
    if not isinstance(data, list):
        return None
    entries = [entry for entry in data if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
    return {entry["id"]: entry for entry in entries}


def _choose(client: OpenAIClient, asked: str | None, offered: dict[str, dict[str, Any]] | None, status: int) -> str:
    where, shown = f"{client.target.root}/v1/models", client.target.shown
    if offered is None and asked is None:
        raise UsageError(f"--model: is needed, since {where} lists no models (HTTP {status})")
    names = list(offered or ())
    told = ", ".join(shown(name) for name in names[:_MOST_MODELS_TOLD]) or "none"
    if len(names) > _MOST_MODELS_TOLD:
        told += f", and {len(names) - _MOST_MODELS_TOLD} more"
    if asked is None and len(names) != 1:
        raise UsageError(f"--model: name one of those that {where} offers: {told}")
    model = asked or names[0]
    if offered is not None and model not in offered:
        raise UsageError(f"--model {model}: {where} does not offer it; it offers: {told}")
    if len(model) > _LONGEST_NAME or model != model.strip() or not model.isprintable():
        raise UsageError(f"--model: must be a name on one line of at most {_LONGEST_NAME} characters")
    return model


def _engine(client: OpenAIClient, entry: dict[str, Any], reply: Reply | None) -> Engine:
    body = reply.body if reply is not None and isinstance(reply.body, dict) else {}
    said = [body.get("engine"), entry.get("owned_by")]
    name = next((name for name in said if name in _ENGINES), "openai-compatible")
    version = body.get("version")
    return Engine(name=name, version=client.target.shown(version) if isinstance(version, str) else None)


def _cache_config(reply: Reply | None) -> dict[str, str]:
    """The labels of `vllm:cache_config_info`; the first engine's, where there are several."""
    try:
        for family in text_string_to_metric_families(reply.text if reply is not None else ""):
            if family.name == "vllm:cache_config_info" and family.samples:
                return dict(family.samples[0].labels)
    except (ValueError, IndexError):  # a page of another kind
        pass
    return {}


def _limits(entry: dict[str, Any], cache: dict[str, str]) -> KnownLimits:
    blocks, block_tokens = _whole(cache.get("num_gpu_blocks")), _whole(cache.get("block_size"))
    return KnownLimits(
        kv_cache_tokens=blocks * block_tokens if blocks and block_tokens else None,
        block_tokens=block_tokens,
        max_model_len=_whole(entry.get("max_model_len")),
    )


def _whole(value: Any) -> int | None:
    """A whole number above 0, as JSON or as the text of a label."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _flag(value: str | None) -> bool | None:
    return {"True": True, "False": False}.get(value or "")
