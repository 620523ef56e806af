"""Shapes of models from the config.json that Hugging Face's files have, read without any of its packages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputFileError, Problem
from planner.schema.hardware import Experts, LatentAttention, ModelShape
from planner.store.documents import Document, Loc, load_document

_LARGEST = 10**9
_GATED = {
    "cohere", "cohere2", "deepseek_v2", "deepseek_v3", "gemma", "gemma2", "gemma3", "gemma3_text", "glm", "glm4",
    "glm4_moe", "gpt_oss", "granite", "internlm2", "kimi_k2", "llama", "minimax_m2", "mistral", "mixtral", "olmo",
    "olmo2", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "yi",
}  # fmt: skip
"""Kinds of model whose feed-forward part is known to have three matrices: gate, up, down."""
_TWO_MATRICES = {
    "bloom", "falcon", "gpt2", "gpt_bigcode", "gpt_neox", "gptj", "mpt", "opt", "phi", "starcoder2",
}  # fmt: skip
_OTHER_LAYERS = ("mamba", "ssm_", "linear_num_", "hybrid_override_pattern", "rwkv", "time_step_")
"""Beginnings of fields that only models with layers other than attention have."""


@dataclass(frozen=True)
class ConfiguredShape:
    """A shape as a file has it.

    Attributes:
        shape: of the model.
        sha256: of the file.
        notes: what the file leaves open, and what was taken instead.
    """

    shape: ModelShape
    sha256: str
    notes: tuple[str, ...]


def read_model_config(path: Path) -> ConfiguredShape:
    """Reads a config.json, or the one in a folder.

    Args:
        path: of the file or the folder.

    Raises:
        InputFileError: every field that is missing or odd, or makes the model one that is not modelled.
    """
    file = path / "config.json" if path.is_dir() else path
    document = load_document(file)
    name = file.resolve().parent.name if file.name == "config.json" else file.stem
    return _Reader(document).read(name)


class _Reader:
    """One pass over a configuration that collects every problem."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._problems: list[Problem] = list(document.problems)
        self._notes: list[str] = []
        text = document.data.get("text_config")
        self._within: Loc = ()
        self._data: dict[str, Any] = document.data
        if "num_hidden_layers" not in document.data and isinstance(text, dict):
            self._within, self._data = ("text_config",), text
            self._notes.append("the model's parts for images or sound are left out: only text_config is read")

    def read(self, name: str) -> ConfiguredShape:
        self._refuse_other_kinds()
        layers, hidden = self._count("num_hidden_layers"), self._count("hidden_size")
        heads = self._count("num_attention_heads")
        kv_heads = self._count("num_key_value_heads", heads)
        vocabulary, positions = self._count("vocab_size"), self._count("max_position_embeddings")
        latent = self._latent_attention()
        head = self._head_dim(hidden, heads, is_needed=latent is None)
        if heads % kv_heads and not self._problems:
            self._refuse("num_key_value_heads", f"must divide num_attention_heads ({heads:,}); given: {kv_heads:,}")
        experts = self._experts(layers)
        has_dense = experts is None or experts.dense_layers > 0
        intermediate = self._count("intermediate_size") if has_dense else 0
        window, windowed = self._sliding(layers)
        is_tied = self._flag("tie_word_embeddings")
        dtype = self._text("torch_dtype") or self._text("dtype") or "bfloat16"
        quantization = self._quantization()
        given = self._text("_name_or_path")
        if self._problems:
            raise InputFileError(self._problems)
        shape = ModelShape(
            id=(given.strip() if given and given.strip() else name)[:120],
            layers=layers,
            hidden_size=hidden,
            attention_heads=heads,
            kv_heads=kv_heads,
            head_dim=head,
            intermediate_size=intermediate,
            vocab_size=vocabulary,
            has_tied_embeddings=is_tied,
            max_position_embeddings=positions,
            dtype=dtype,
            quantization=quantization,
            experts=experts,
            latent_attention=latent,
            sliding_window=window,
            sliding_layers=windowed,
        )
        return ConfiguredShape(shape, self._document.sha256, tuple(self._notes))

    def _refuse_other_kinds(self) -> None:
        kind = self._text("model_type")
        if kind in _TWO_MATRICES:
            self._refuse("model_type", f"{kind} has feed-forward parts of two matrices, which are not modelled")
        elif kind not in _GATED:
            known = "is missing" if kind is None else f"{kind} is not known"
            self._notes.append(f"model_type {known}; the model is taken to have gated feed-forward parts, as Llama has")
        if self._data.get("is_encoder_decoder") is True:
            self._refuse("is_encoder_decoder", "must be false: only decoders are modelled")
        for key in self._data:
            if key.startswith(_OTHER_LAYERS):
                self._refuse(key, "is of a model with layers other than attention, which are not modelled")
        kinds = self._data.get("layer_types")
        others = sorted({str(each) for each in kinds if "attention" not in str(each) or "linear" in str(each)}
                        if isinstance(kinds, list) else ())  # fmt: skip
        if others:
            self._refuse("layer_types", f"has layers that are not modelled: {', '.join(others)[:80]}")

    def _head_dim(self, hidden: int, heads: int, is_needed: bool) -> int:
        if self._data.get("head_dim") is not None:
            return self._count("head_dim")
        if is_needed and hidden % heads and not self._problems:
            self._refuse("head_dim", f"is missing, and num_attention_heads ({heads:,}) does not divide hidden_size")
        return max(hidden // heads, 1)

    def _latent_attention(self) -> LatentAttention | None:
        if self._data.get("kv_lora_rank") is None:
            return None
        return LatentAttention(
            q_lora_rank=None if self._data.get("q_lora_rank") is None else self._count("q_lora_rank"),
            kv_lora_rank=self._count("kv_lora_rank"),
            qk_nope_head_dim=self._count("qk_nope_head_dim"),
            qk_rope_head_dim=self._count("qk_rope_head_dim"),
            v_head_dim=self._count("v_head_dim"),
        )

    def _experts(self, layers: int) -> Experts | None:
        key = self._first(("num_experts", "num_local_experts", "n_routed_experts"))
        if key is None:
            return None
        count = self._count(key)
        chosen = self._first(("num_experts_per_tok", "experts_per_token")) or "num_experts_per_tok"
        per_token = self._count(chosen)
        if per_token > count:
            self._refuse(chosen, f"must be at most {key} ({count:,}); given: {per_token:,}")
        size = self._count(self._first(("moe_intermediate_size",)) or "intermediate_size")
        shared = 0
        if self._data.get("shared_expert_intermediate_size"):
            shared = self._count("shared_expert_intermediate_size")
        elif self._data.get("n_shared_experts"):
            shared = size * self._count("n_shared_experts")
        dense = self._dense_layers(layers)
        if dense >= layers and not self._problems:
            self._refuse(key, "states experts, and every layer is dense")
        return Experts(
            count=count, per_token=per_token, intermediate_size=size, shared_intermediate_size=shared,
            dense_layers=dense,
        )  # fmt: skip

    def _dense_layers(self, layers: int) -> int:
        if self._data.get("first_k_dense_replace"):
            return self._count("first_k_dense_replace")
        step = self._first(("decoder_sparse_step", "moe_layer_freq", "interleave_moe_layer_step"))
        if step is not None:
            every = self._count(step)
            if every > 1:
                return layers - layers // every
        listed = self._data.get("mlp_only_layers")
        return len(listed) if isinstance(listed, list) else 0

    def _sliding(self, layers: int) -> tuple[int | None, int]:
        if self._data.get("sliding_window") is None or self._data.get("use_sliding_window") is False:
            return None, 0
        kinds = self._data.get("layer_types")
        windowed = sum(each == "sliding_attention" for each in kinds) if isinstance(kinds, list) else layers
        return self._count("sliding_window"), windowed

    def _quantization(self) -> str | None:
        stated = self._data.get("quantization_config", self._document.data.get("quantization_config"))
        if stated is None:
            return None
        method = stated.get("quant_method") if isinstance(stated, dict) else None
        if not isinstance(method, str) or not method.strip():
            self._refuse("quantization_config", "must be a mapping with quant_method")
            return None
        return method.strip()

    def _count(self, key: str, default: int | None = None) -> int:
        """The whole number under a key; 1 where it is missing or odd, which is told."""
        value = self._data.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LARGEST:
            return value
        what = "is missing" if key not in self._data else f"given: {str(value)[:60]}"
        self._refuse(key, f"must be a whole number from 1 to {_LARGEST:,}; {what}")
        return 1

    def _flag(self, key: str) -> bool:
        value = self._data.get(key, self._document.data.get(key))
        if value is None:
            self._notes.append(f"{key} is missing; taken to be false")
        elif not isinstance(value, bool):
            self._refuse(key, f"must be true or false; given: {str(value)[:60]}")
        return value is True

    def _text(self, key: str) -> str | None:
        value = self._data.get(key)
        if value is not None and not isinstance(value, str):
            self._refuse(key, f"must be text; given: {str(value)[:60]}")
            return None
        return value

    def _first(self, keys: Sequence[str]) -> str | None:
        return next((key for key in keys if self._data.get(key) is not None), None)

    def _refuse(self, key: str, message: str) -> None:
        self._problems.append(self._document.problem((*self._within, key), message))
