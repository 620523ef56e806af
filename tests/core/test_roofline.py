"""Step times by roofline, held against sums on paper."""

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.roofline import (
    KERNELS_PER_LAYER,
    Replica,
    all_reduce_s,
    closed_loop_tpot_s,
    context_token_s,
    decode_step_s,
    estimate_step_time,
    kv_room_bytes,
    prefill_token_s,
)
from planner.core.weight_formats import weight_format
from planner.schema.hardware import AcceleratorRow, DenseFlops, Efficiencies, Experts, ModelShape
from planner.schema.profile import StepTime

DAY = datetime.date(2026, 11, 26)
SMALL = ModelShape(
    id="small", layers=10, hidden_size=1000, attention_heads=10, kv_heads=2, head_dim=100, intermediate_size=2000,
    vocab_size=5000, max_position_embeddings=10_000,
)  # fmt: skip
LINEAR = 10 * (2 * 1000 * 1000 + 2 * 1000 * 200 + 3 * 1000 * 2000)
"""Ten layers: queries and outputs, keys and values, and three matrices of the feed-forward part."""
OUTPUT = 5000 * 1000
REACHED = Efficiencies(
    memory_fraction=0.5, expert_memory_fraction=0.25, compute_fraction=0.4, link_fraction=0.5, kernel_s=1e-6,
    all_reduce_s=2e-6, step_s=1e-3, sequence_s=1e-5, reserved_bytes=1e6,
)  # fmt: skip
FIXED_S = 1e-3 + KERNELS_PER_LAYER * 10 * 1e-6


def machine(**changes: object) -> AcceleratorRow:
    row = AcceleratorRow(
        name="machine", memory_bytes=1e9, memory_bytes_per_s=1e11, dense_flops=DenseFlops(bfloat16=1e13, fp8=2e13),
        link="nvlink", link_bytes_per_s=1e10, source="made up", checked_on=DAY,
    )  # fmt: skip
    return row.model_copy(update=changes)


def replica(count: int = 1, weights: str = "bfloat16", shape: ModelShape = SMALL, **changes: object) -> Replica:
    stored = weight_format(weights, has_experts=shape.experts is not None)
    return Replica(shape, machine(**changes), count, stored, 2.0)


def test_a_small_batch_takes_as_long_as_its_weights_take_to_be_read() -> None:
    read_s = 2 * (LINEAR + OUTPUT) / (1e11 * 0.5)
    found = decode_step_s(replica(), REACHED, np.array([1.0, 10.0]))
    assert found == pytest.approx([read_s + FIXED_S + 1e-5, read_s + FIXED_S + 1e-4])


def test_a_large_batch_takes_as_long_as_its_products() -> None:
    computed_s = 1000 * 2 * (LINEAR + OUTPUT) / (1e13 * 0.4)
    assert decode_step_s(replica(), REACHED, np.array([1000.0])) == pytest.approx([computed_s + FIXED_S + 1e-2])


def test_coefficients_of_a_dense_model_are_those_on_paper() -> None:
    estimate = estimate_step_time(replica(), REACHED, 32)
    step = estimate.step_time
    assert step.base == pytest.approx(2 * (LINEAR + OUTPUT) / 5e10 + FIXED_S)
    assert step.per_sequence == pytest.approx(1e-5)
    # Products of 64,... weights and attention to 1,024 tokens; no output layer, since only last tokens need it.
    attention = 2 * 2 * 10 * 10 * 100 * 1024
    assert step.per_prefill_token == pytest.approx((2 * LINEAR + attention) / (1e13 * 0.4))
    assert step.per_context_token == pytest.approx(2 * 10 * 2 * 100 * 2 / 5e10)
    assert estimate.affine_error_fraction < 1e-9


def test_fp8_halves_the_bytes_and_doubles_the_products_where_the_machine_can() -> None:
    wide, narrow = replica(), replica(weights="fp8")
    assert narrow.weights_bytes == LINEAR + 2 * 2 * OUTPUT
    assert narrow.peak_flops == 2 * wide.peak_flops
    without = replica(weights="fp8", dense_flops=DenseFlops(bfloat16=1e13))
    assert without.peak_flops == wide.peak_flops
    assert without.weights_bytes == narrow.weights_bytes


def test_all_reduces_of_four() -> None:
    """Two for each of ten layers; a token sends 3/4 of 1,000 numbers of 2 bytes twice, at half of 10 GB/s."""
    fixed_s, token_s = all_reduce_s(replica(4), REACHED)
    assert fixed_s == pytest.approx(20 * 2e-6)
    assert token_s == pytest.approx(20 * 2 * 0.75 * 2000 / 5e9)
    assert all_reduce_s(replica(1), REACHED) == (0.0, 0.0)


def test_more_accelerators_share_the_reading_and_the_products() -> None:
    one, two = replica(1), replica(2)
    assert context_token_s(two, REACHED) == pytest.approx(context_token_s(one, REACHED) / 2)
    own_s = prefill_token_s(two, REACHED) - all_reduce_s(two, REACHED)[1]
    assert own_s == pytest.approx(prefill_token_s(one, REACHED) / 2)


def test_experts_are_read_as_they_are_touched() -> None:
    shape = SMALL.model_copy(
        update={"intermediate_size": 0, "experts": Experts(count=8, per_token=2, intermediate_size=500)}
    )
    linear = 10 * (2 * 1000 * 1000 + 2 * 1000 * 200 + 1000 * 8)
    one_s, two_s = (2 * (linear + OUTPUT) / 5e10 + touched * 10 * 3 * 1000 * 500 * 2 / 2.5e10 for touched in (2.0, 3.5))
    found = decode_step_s(replica(shape=shape), REACHED, np.array([1.0, 2.0]))
    assert found == pytest.approx([one_s + FIXED_S + 1e-5, two_s + FIXED_S + 2e-5])


def test_the_line_of_a_model_with_experts_is_off_by_no_more_than_is_told() -> None:
    shape = SMALL.model_copy(
        update={"intermediate_size": 0, "experts": Experts(count=64, per_token=2, intermediate_size=2000)}
    )
    estimate = estimate_step_time(replica(shape=shape), REACHED, 256)
    sequences = np.array([1.0, 256.0])
    exact_s = decode_step_s(replica(shape=shape), REACHED, sequences)
    line_s = estimate.step_time.base + estimate.step_time.per_sequence * sequences
    off = np.abs(line_s / exact_s - 1)
    assert estimate.affine_error_fraction > 0.05
    assert off.max() <= estimate.affine_error_fraction + 1e-9


def test_room_for_the_cache_is_what_weights_and_reserve_leave() -> None:
    weights = 2 * (LINEAR + 2 * OUTPUT)
    assert kv_room_bytes(replica(2), 1e6, 0.9) == pytest.approx(2 * (0.9e9 - 1e6) - weights)
    assert kv_room_bytes(replica(1, memory_bytes=1e8), 1e6, 0.9) < 0


def test_users_wait_for_each_others_prompts() -> None:
    """Eight users, 100 tokens in and 10 out: each step decodes 8 of them and prefills 80 tokens on average."""
    step = StepTime(base=0.01, per_prefill_token=1e-4, per_sequence=1e-3, per_context_token=1e-6)
    assert closed_loop_tpot_s(step, 8, 100, 10) == pytest.approx(0.01 + 0.008 + 0.008 + 840e-6)


@given(
    factor=st.floats(1.0, 4.0),
    figure=st.sampled_from(["memory_fraction", "expert_memory_fraction", "compute_fraction", "link_fraction"]),
    count=st.sampled_from([1, 2, 5, 10]),
    sequences=st.integers(1, 2000),
)
def test_a_better_machine_is_never_slower(factor: float, figure: str, count: int, sequences: int) -> None:
    better = REACHED.model_copy(update={figure: min(getattr(REACHED, figure) * factor, 1.0)})
    batch = np.array([float(sequences)])
    assert decode_step_s(replica(count), better, batch) <= decode_step_s(replica(count), REACHED, batch)
    assert prefill_token_s(replica(count), better) <= prefill_token_s(replica(count), REACHED)
    assert context_token_s(replica(count), better) <= context_token_s(replica(count), REACHED)
