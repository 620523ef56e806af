"""The time of an engine step from published figures: what must be read and computed, over how fast that goes.

A decode step takes as long as its weights take to be read or its products to be computed, whichever is longer, and the
kernels, all-reduces and host besides. The profile's step time is affine, so decode steps are fitted by a line over the
batch; for a dense model the line is exact as long as reading is what takes long.

Source: Williams, Waterman and Patterson, "Roofline", Communications of the ACM 52 (2009); for transformers, Pope et
al., "Efficiently Scaling Transformer Inference", arXiv 2211.05102 (2022).
"""

from dataclasses import dataclass

import numpy as np

from planner.core.model_size import (
    Floats,
    Parameters,
    WeightFormat,
    always_read_bytes,
    attention_flops,
    count_parameters,
    decode_attention_flops,
    expert_read_bytes,
    kv_bytes_per_token,
    stored_bytes,
)
from planner.schema.hardware import AcceleratorRow, Efficiencies, ModelShape
from planner.schema.profile import StepTime

KERNELS_PER_LAYER = 12
"""Norms, products, rotation, cache and attention of a layer's decode, as engines fuse them: 10 to 16."""
REFERENCE_OFFSET_TOKENS = 1024
"""Where in its prompt a prefill token is taken to stand: attention to what is before it grows without end [tokens]."""
_ALL_REDUCES_PER_LAYER = 2
_ACTIVATION_BYTES = 2.0
_FLOPS_PER_WEIGHT = 2.0


@dataclass(frozen=True)
class Replica:
    """What serves: a model's shape on so many accelerators.

    Attributes:
        shape: of the model.
        accelerator: of each.
        count: accelerators that share every layer (tensor parallelism).
        stored: the weights' format.
        kv_element_bytes: of a number in the KV cache [B].
    """

    shape: ModelShape
    accelerator: AcceleratorRow
    count: int
    stored: WeightFormat
    kv_element_bytes: float

    @property
    def parameters(self) -> Parameters:
        """Of the model."""
        return count_parameters(self.shape)

    @property
    def weights_bytes(self) -> float:
        """All weights [B]."""
        return stored_bytes(self.parameters, self.stored)

    @property
    def kv_bytes_per_token(self) -> float:
        """KV cache of a token in all accelerators together [B]."""
        return kv_bytes_per_token(self.shape, self.count, self.kv_element_bytes)

    @property
    def peak_flops(self) -> float:
        """Dense FLOP/s of all accelerators, for the weights' operands or else for 16 bits [FLOP/s]."""
        flops = self.accelerator.dense_flops
        return self.count * (getattr(flops, self.stored.operands) or flops.bfloat16)

    @property
    def memory_bytes_per_s(self) -> float:
        """Bandwidth of all accelerators' memory [B/s]."""
        return self.count * self.accelerator.memory_bytes_per_s


def all_reduce_s(replica: Replica, reached: Efficiencies) -> tuple[float, float]:
    """Time of a step's all-reduces: without bytes, and for each of its tokens [s].

    Args:
        replica: what serves; one accelerator has nothing to reduce.
        reached: how much of the published figures.

    Source: Patarasuk and Yuan, "Bandwidth Optimal All-reduce Algorithms", JPDC 69 (2009): 2(n - 1)/n of the bytes.
    """
    n = replica.count
    if n == 1:
        return 0.0, 0.0
    calls = _ALL_REDUCES_PER_LAYER * replica.shape.layers
    sent = 2 * (n - 1) / n * replica.shape.hidden_size * _ACTIVATION_BYTES
    return calls * reached.all_reduce_s, calls * sent / (replica.accelerator.link_bytes_per_s * reached.link_fraction)


def decode_step_s(replica: Replica, reached: Efficiencies, sequences: Floats) -> Floats:
    """Time of steps that decode so many sequences of no context [s], shape (steps,).

    Args:
        replica: what serves.
        reached: how much of the published figures.
        sequences: of each step, shape (steps,).
    """
    parameters = replica.parameters
    always = always_read_bytes(parameters, replica.stored) / reached.memory_fraction
    experts = expert_read_bytes(parameters, replica.stored, sequences) / reached.expert_memory_fraction
    reading = (always + experts) / replica.memory_bytes_per_s
    flops = _FLOPS_PER_WEIGHT * (parameters.multiplied + parameters.output) * sequences
    computing = flops / (replica.peak_flops * reached.compute_fraction)
    calls_s, token_s = all_reduce_s(replica, reached)
    kernels_s = KERNELS_PER_LAYER * replica.shape.layers * reached.kernel_s
    fixed_s = reached.step_s + kernels_s + calls_s
    return np.asarray(np.maximum(reading, computing) + fixed_s + sequences * (token_s + reached.sequence_s))


def prefill_token_s(replica: Replica, reached: Efficiencies) -> float:
    """Time of a prompt token that stands `REFERENCE_OFFSET_TOKENS` into its prompt [s].

    Args:
        replica: what serves.
        reached: how much of the published figures.
    """
    products = _FLOPS_PER_WEIGHT * replica.parameters.multiplied / replica.peak_flops
    attention = attention_flops(replica.shape) * REFERENCE_OFFSET_TOKENS
    attention /= replica.count * replica.accelerator.dense_flops.bfloat16
    return (products + attention) / reached.compute_fraction + all_reduce_s(replica, reached)[1]


def context_token_s(replica: Replica, reached: Efficiencies) -> float:
    """Time of a context token of a decoding sequence [s]: to read its KV cache, or to work on it where that is longer.

    Args:
        replica: what serves.
        reached: how much of the published figures.
    """
    reading = replica.kv_bytes_per_token / (replica.memory_bytes_per_s * reached.memory_fraction)
    peak = replica.count * replica.accelerator.dense_flops.bfloat16
    return max(reading, decode_attention_flops(replica.shape) / (peak * reached.compute_fraction))


@dataclass(frozen=True)
class StepEstimate:
    """A step time, and how far the line is from the roofline that it was fitted to.

    Attributes:
        step_time: the coefficients.
        affine_error_fraction: largest distance over the batches that were fitted.
    """

    step_time: StepTime
    affine_error_fraction: float


def estimate_step_time(replica: Replica, reached: Efficiencies, max_num_seqs: int) -> StepEstimate:
    """Coefficients of a step's time.

    Decode steps of 1 to `max_num_seqs` sequences, evenly spaced in logarithms, are fitted by least squares on relative
    errors. With experts they are no line: the first few tokens each touch new experts.

    Args:
        replica: what serves.
        reached: how much of the published figures.
        max_num_seqs: largest batch.
    """
    sequences = np.unique(np.geomspace(1, max(max_num_seqs, 2), 32).round())
    exact_s = decode_step_s(replica, reached, sequences)
    columns = np.column_stack([1 / exact_s, sequences / exact_s])
    (base, per_sequence), *_ = np.linalg.lstsq(columns, np.ones(sequences.size), rcond=None)
    if per_sequence < 0 < base:  # rounding, where no sequence adds anything
        base, per_sequence = float((1 / exact_s).sum() / (1 / exact_s**2).sum()), 0.0
    error = np.abs((base + per_sequence * sequences) / exact_s - 1)
    step = StepTime(
        base=max(float(base), 0.0),
        per_prefill_token=prefill_token_s(replica, reached),
        per_sequence=float(per_sequence),
        per_context_token=context_token_s(replica, reached),
    )
    return StepEstimate(step, float(error.max()))


def kv_room_bytes(replica: Replica, reserved_bytes: float, memory_utilization_fraction: float) -> float:
    """Memory that is left for the KV cache [B]; below 0 where the model does not fit.

    Args:
        replica: what serves.
        reserved_bytes: of each accelerator, for activations, graphs and buffers [B].
        memory_utilization_fraction: of each accelerator's memory that the engine may use.
    """
    usable = memory_utilization_fraction * replica.accelerator.memory_bytes - reserved_bytes
    return replica.count * usable - replica.weights_bytes


def closed_loop_tpot_s(step: StepTime, users: float, input_tokens: float, output_tokens: float) -> float:
    """Mean time per output token with so many requests at all times [s].

    Each token of an answer comes with one step, which decodes the others too and prefills, on average, as much of the
    next prompts as answers end: users · input / output tokens.

    Args:
        step: the step's time.
        users: requests at all times, all of them running.
        input_tokens: of every prompt.
        output_tokens: of every answer.

    Example:
        >>> closed_loop_tpot_s(StepTime(base=0.01, per_prefill_token=1e-5), 10, 1000, 100)
        0.011
    """
    context = users * (input_tokens + output_tokens / 2)
    prefilled = users * input_tokens / output_tokens
    return step.base + step.per_prefill_token * prefilled + step.per_sequence * users + step.per_context_token * context
