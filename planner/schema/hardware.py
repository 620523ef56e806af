"""`planner.hardware/1` and `planner.models/1`: figures of accelerators and shapes of models, with their sources."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from planner.schema.base import Day, FileModel, Fraction, Name, NonNegative, Positive, RuledFileModel

Count = Annotated[int, Field(ge=1, le=10**9)]
Flops = Annotated[float, Field(gt=0, le=1e18)]
Source = Annotated[str, Field(min_length=1, max_length=400)]
"""The document that the figures were read from."""


class DenseFlops(FileModel):
    """Highest rate of multiply-adds without sparsity, by the type of the operands."""

    bfloat16: Flops
    """bfloat16 or float16, sums in float32 [FLOP/s]."""
    fp8: Flops | None = None
    """[FLOP/s]; null where the accelerator cannot."""
    int8: Flops | None = None
    """[FLOP/s]; null where the accelerator cannot."""
    fp4: Flops | None = None
    """[FLOP/s]; null where the accelerator cannot."""


class AcceleratorRow(FileModel):
    """Published figures of one accelerator."""

    name: Name
    aliases: list[Name] = []
    """Other names that it goes by, such as the driver's."""
    memory_bytes: Positive
    """Memory of one accelerator [B]."""
    memory_bytes_per_s: Positive
    """Bandwidth of that memory [B/s]."""
    dense_flops: DenseFlops
    link: Literal["nvlink", "infinity_fabric", "pcie"]
    """What joins accelerators of one machine."""
    link_bytes_per_s: Positive
    """Of one accelerator to its peers, in one direction [B/s]."""
    board_power_w: Positive | None = None
    """Limit of the board [W]; what it takes under load must be measured."""
    source: Source
    datasheet: Source | None = None
    """The vendor's own page, where the source is another document."""
    checked_on: Day


class EfficiencyRow(RuledFileModel):
    """A share of a published figure that is reached, or a time or size that none tells: from where to where."""

    name: Name
    low: NonNegative
    """The most hopeful or the least hopeful value, whichever is smaller."""
    central: Positive
    high: Positive
    unit: Literal["fraction", "s", "B"]
    source: Source
    checked_on: Day

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A central value within its range."""
        low, central, high = (data.get(key) for key in ("low", "central", "high"))
        if all(isinstance(value, int | float) for value in (low, central, high)) and not low <= central <= high:  # type: ignore[operator]
            yield "central", "must lie between low and high"


class HardwareTable(FileModel):
    """Accelerators, and how much of their published figures engines reach."""

    schema_: Literal["planner.hardware/1"] = Field(alias="schema")
    accelerators: list[AcceleratorRow]
    efficiencies: list[EfficiencyRow]


class LatentAttention(FileModel):
    """Multi-head latent attention: keys and values of a token are kept as one compressed vector for all heads."""

    q_lora_rank: Count | None = None
    kv_lora_rank: Count
    qk_nope_head_dim: Count
    qk_rope_head_dim: Count
    v_head_dim: Count


class Experts(FileModel):
    """Mixture of experts in place of the dense feed-forward part of most layers."""

    count: Count
    """In each such layer, without shared ones."""
    per_token: Count
    """That a token passes through."""
    intermediate_size: Count
    """Of one expert."""
    shared_intermediate_size: Annotated[int, Field(ge=0)] = 0
    """Of the shared experts of a layer together, through which every token passes."""
    dense_layers: Annotated[int, Field(ge=0)] = 0
    """Layers that have a dense part instead."""


class ModelShape(FileModel):
    """Sizes of a decoder-only transformer with gated feed-forward parts."""

    id: Name
    layers: Count
    hidden_size: Count
    attention_heads: Count
    kv_heads: Count
    head_dim: Count
    intermediate_size: Annotated[int, Field(ge=0)]
    """Of a layer's dense feed-forward part; 0 where every layer has experts."""
    vocab_size: Count
    has_tied_embeddings: bool = False
    """Whether the output layer is the embedding table."""
    max_position_embeddings: Count
    dtype: Name = "bfloat16"
    quantization: Name | None = None
    """Of the weights, as the configuration states it."""
    experts: Experts | None = None
    latent_attention: LatentAttention | None = None
    sliding_window: Count | None = None
    """Tokens that layers with a window look back [tokens]."""
    sliding_layers: Annotated[int, Field(ge=0)] = 0
    """Layers with such a window."""


class ModelRow(FileModel):
    """A model's shape, and where it was read."""

    shape: ModelShape
    source: Source
    checked_on: Day


class ModelTable(FileModel):
    """Shapes of a few models."""

    schema_: Literal["planner.models/1"] = Field(alias="schema")
    models: list[ModelRow]


class Efficiencies(FileModel):
    """How much of the published figures an engine reaches, and what it takes besides."""

    memory_fraction: Annotated[Fraction, Field(gt=0)]
    """Of the memory's bandwidth, while weights or KV cache are read."""
    expert_memory_fraction: Annotated[Fraction, Field(gt=0)]
    """The same while experts' weights are read, a few tokens for each."""
    compute_fraction: Annotated[Fraction, Field(gt=0)]
    """Of the dense FLOP/s, in the products of a prefill."""
    link_fraction: Annotated[Fraction, Field(gt=0)]
    """Of the link's bandwidth, in all-reduces."""
    kernel_s: NonNegative
    """Between a kernel's start and its work [s]."""
    all_reduce_s: NonNegative
    """Of an all-reduce of no bytes [s]."""
    step_s: NonNegative
    """Of a step outside its kernels: scheduling, sampling, handing over [s]."""
    sequence_s: NonNegative
    """Of a decoding sequence in a step outside its kernels [s]."""
    reserved_bytes: NonNegative
    """Of each accelerator's memory, for activations, graphs and buffers [B]."""
