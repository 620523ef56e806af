"""Shapes from config.json, and every way in which such a file can be odd."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.errors import InputFileError
from planner.schema.hardware import Experts, LatentAttention
from planner.store.model_configs import ConfiguredShape, read_model_config

LLAMA: dict[str, Any] = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 131072,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "rope_scaling": {"factor": 8.0},
}  # fmt: skip


def read(folder: Path, **changes: Any) -> ConfiguredShape:
    data = {key: value for key, value in (LLAMA | changes).items() if value is not ...}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(data, indent=1))
    return read_model_config(folder)


def problems(folder: Path, **changes: Any) -> dict[str, str]:
    with pytest.raises(InputFileError) as caught:
        read(folder, **changes)
    assert {problem.file.rpartition("/")[2] for problem in caught.value.problems} == {"config.json"}
    return {problem.field: problem.message for problem in caught.value.problems}


def test_a_llama_is_read_as_its_file_has_it(tmp_path: Path) -> None:
    found = read(tmp_path / "tiny-llama")
    assert found.shape.id == "tiny-llama", "a folder's name, where the file tells none"
    assert (found.shape.layers, found.shape.kv_heads, found.shape.head_dim) == (32, 8, 128)
    assert found.shape.experts is None
    assert found.notes == ()
    assert len(found.sha256) == 64


def test_what_a_file_may_leave_out(tmp_path: Path) -> None:
    found = read(tmp_path, num_key_value_heads=..., model_type=..., tie_word_embeddings=...)
    assert found.shape.kv_heads == 32
    assert found.shape.has_tied_embeddings is False
    assert len(found.notes) == 2
    assert found.notes[0].startswith("model_type is missing")
    assert found.notes[1].startswith("tie_word_embeddings is missing")


def test_every_mistake_is_told_at_once_with_its_field(tmp_path: Path) -> None:
    found = problems(tmp_path, num_hidden_layers=..., hidden_size="4096", vocab_size=0, intermediate_size=True,
                     tie_word_embeddings="no", num_attention_heads=2.5, quantization_config={"bits": 4})  # fmt: skip
    assert set(found) == {
        "num_hidden_layers", "hidden_size", "vocab_size", "intermediate_size", "tie_word_embeddings",
        "num_attention_heads", "quantization_config",
    }  # fmt: skip
    assert "is missing" in found["num_hidden_layers"]
    assert found["vocab_size"] == "must be a whole number from 1 to 1,000,000,000; given: 0"


def test_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputFileError) as caught:
        read(tmp_path, hidden_size=-1)
    assert str(caught.value).partition(": ")[0].endswith("config.json:4:2")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"num_key_value_heads": 5}, "num_key_value_heads"),
        ({"num_attention_heads": 24, "num_key_value_heads": 8}, "head_dim"),
        ({"model_type": "gpt2"}, "model_type"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder"),
        ({"mamba_d_state": 16}, "mamba_d_state"),
        ({"layer_types": ["full_attention", "linear_attention"]}, "layer_types"),
        ({"num_local_experts": 4, "num_experts_per_tok": 8}, "num_experts_per_tok"),
        ({"num_local_experts": 4}, "num_experts_per_tok"),
        ({"num_local_experts": 4, "num_experts_per_tok": 2, "first_k_dense_replace": 32}, "num_local_experts"),
        ({"model_type": 5}, "model_type"),
    ],
)
def test_what_is_not_modelled_or_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    assert list(problems(tmp_path, **changes)) == [field]


def test_latent_attention_lacks_nothing(tmp_path: Path) -> None:
    sizes = {"kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128}
    assert read(tmp_path, **sizes, q_lora_rank=None).shape.latent_attention == LatentAttention(**sizes)
    assert set(problems(tmp_path, kv_lora_rank=512)) == {"qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"num_local_experts": 8, "num_experts_per_tok": 2},
            Experts(count=8, per_token=2, intermediate_size=14336),
        ),
        (
            {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768, "decoder_sparse_step": 2},
            Experts(count=128, per_token=8, intermediate_size=768, dense_layers=16),
        ),
        (
            {"n_routed_experts": 64, "num_experts_per_tok": 6, "moe_intermediate_size": 1408, "n_shared_experts": 2,
             "first_k_dense_replace": 1},
            Experts(count=64, per_token=6, intermediate_size=1408, shared_intermediate_size=2816, dense_layers=1),
        ),
        (
            {"num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
             "shared_expert_intermediate_size": 5632, "mlp_only_layers": [0, 1, 2]},
            Experts(count=60, per_token=4, intermediate_size=1408, shared_intermediate_size=5632, dense_layers=3),
        ),
    ],
    ids=["mixtral", "every other layer", "deepseek", "qwen2"],
)  # fmt: skip
def test_experts_by_all_their_names(tmp_path: Path, changes: dict[str, Any], expected: Experts) -> None:
    shape = read(tmp_path, **changes).shape
    assert shape.experts == expected
    assert shape.intermediate_size == (14336 if expected.dense_layers else 0)


def test_windows_are_counted_by_layer(tmp_path: Path) -> None:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    some = read(tmp_path, sliding_window=128, layer_types=kinds).shape
    assert (some.sliding_window, some.sliding_layers) == (128, 2)
    assert read(tmp_path, sliding_window=4096).shape.sliding_layers == 32
    assert read(tmp_path, sliding_window=4096, use_sliding_window=False).shape.sliding_layers == 0


def test_the_text_part_of_a_model_that_sees(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": LLAMA}))
    found = read_model_config(tmp_path / "config.json")
    assert found.shape.layers == 32
    assert "only text_config is read" in found.notes[0]
    (tmp_path / "config.json").write_text(json.dumps({"text_config": LLAMA | {"vocab_size": 0}}))
    with pytest.raises(InputFileError, match=r"text_config\.vocab_size"):
        read_model_config(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [("[1]", "must be a mapping"), ("{", "is not JSON"), ("", "is not JSON"), ('{"a": 1, "a": 2}', "stands twice")],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputFileError, match=told):
        read_model_config(tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        read_model_config(tmp_path / "gone.json")
