"""What a model weighs, held against what its makers publish."""

from itertools import combinations, product

import numpy as np
import pytest

from planner.core.model_size import (
    attention_flops,
    count_parameters,
    decode_attention_flops,
    distinct_experts,
    kv_bytes_per_token,
    stored_bytes,
)
from planner.core.weight_formats import NAMES, weight_format
from planner.schema.hardware import ModelShape
from planner.store.hardware import model_table

PUBLISHED = {
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-3.1-70B": 70_553_706_496,
    "meta-llama/Llama-3.1-405B": 405_853_388_800,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "Qwen/Qwen3-30B-A3B": 30_532_122_624,
    "mistralai/Mixtral-8x7B-v0.1": 46_702_792_704,
    "openai/gpt-oss-20b": 20_914_757_184,
    "openai/gpt-oss-120b": 116_829_156_672,
    "deepseek-ai/DeepSeek-V3": 671_026_419_200,
}
"""Weights in the models' own files, norms and biases included; DeepSeek's without its layer for further tokens."""
ACTIVE = {
    "Qwen/Qwen3-30B-A3B": 3.3e9,
    "Qwen/Qwen3-235B-A22B": 22e9,
    "mistralai/Mixtral-8x7B-v0.1": 12.9e9,
    "deepseek-ai/DeepSeek-V3": 37e9,
}
"""As their makers round them."""


def shape(name: str) -> ModelShape:
    return next(row.shape for row in model_table().models if row.shape.id == name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_model_has_the_weights_that_its_files_have(name: str) -> None:
    assert count_parameters(shape(name)).total == pytest.approx(PUBLISHED[name], rel=1e-3)


@pytest.mark.parametrize("name", ACTIVE)
def test_a_token_passes_through_the_weights_that_are_called_active(name: str) -> None:
    assert count_parameters(shape(name)).active == pytest.approx(ACTIVE[name], rel=0.02)


def test_tied_embeddings_are_stored_once() -> None:
    llama = shape("meta-llama/Llama-3.1-8B")
    tied = llama.model_copy(update={"has_tied_embeddings": True})
    assert count_parameters(llama).total - count_parameters(tied).total == 128_256 * 4096


def test_gpt_oss_is_as_large_as_its_file() -> None:
    """13,761,264,768 bytes, by its index: experts in blocks of 4 bits, the rest in 16."""
    parameters = count_parameters(shape("openai/gpt-oss-20b"))
    stored = weight_format("mxfp4", has_experts=True)
    assert stored_bytes(parameters, stored) == pytest.approx(13_761_264_768, rel=2e-3)


@pytest.mark.parametrize(
    ("name", "accelerators", "expected"),
    [
        ("meta-llama/Llama-3.1-8B", 1, 131_072),
        ("meta-llama/Llama-3.1-70B", 8, 327_680),
        ("meta-llama/Llama-3.1-70B", 16, 655_360),  # 8 KV heads, of which each accelerator needs one
        ("deepseek-ai/DeepSeek-V3", 1, 61 * 576 * 2),
        ("deepseek-ai/DeepSeek-V3", 8, 8 * 61 * 576 * 2),  # whole in each accelerator
    ],
)
def test_kv_cache_of_a_token(name: str, accelerators: int, expected: int) -> None:
    assert kv_bytes_per_token(shape(name), accelerators, 2.0) == expected
    assert kv_bytes_per_token(shape(name), accelerators, 1.0) == expected / 2


def test_attention_work_of_a_token_on_another() -> None:
    """Two products of 64 heads of 128 in 80 layers, a multiplication and an addition each."""
    llama = shape("meta-llama/Llama-3.1-70B")
    assert attention_flops(llama) == decode_attention_flops(llama) == 2 * 2 * 80 * 64 * 128
    deepseek = shape("deepseek-ai/DeepSeek-V3")
    assert attention_flops(deepseek) == 2 * 61 * 128 * (192 + 128)
    assert decode_attention_flops(deepseek) == 2 * 61 * 128 * (576 + 512)


@pytest.mark.parametrize(("experts", "per_token", "tokens"), [(4, 2, 1), (4, 2, 2), (5, 1, 3), (5, 3, 3)])
def test_distinct_experts_by_going_through_all_choices(experts: int, per_token: int, tokens: int) -> None:
    choices = list(combinations(range(experts), per_token))
    touched = [len(set().union(*chosen)) for chosen in product(choices, repeat=tokens)]
    found = distinct_experts(experts, per_token, np.array([float(tokens)]))
    assert found[0] == pytest.approx(np.mean(touched))


@pytest.mark.parametrize("name", NAMES)
def test_every_format_stores_a_weight_in_half_a_byte_to_two(name: str) -> None:
    for has_experts in (False, True):
        stored = weight_format(name, has_experts=has_experts)
        assert 0.5 <= stored.expert_bytes <= 2
        assert stored.expert_bytes <= stored.linear_bytes <= stored.embedding_bytes == 2
