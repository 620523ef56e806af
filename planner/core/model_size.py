"""How much a decoder's weights and KV cache weigh, and what its tokens cost, from its shape alone.

Only matrices are counted: norms, biases and what routes by position are below a thousandth of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.schema.hardware import ModelShape

Floats = NDArray[np.float64]

_GATED_MATRICES = 3
"""Gate, up and down."""


@dataclass(frozen=True)
class WeightFormat:
    """How weights are stored and multiplied.

    Attributes:
        linear_bytes: of a weight of attention or of a dense feed-forward part [B].
        expert_bytes: of an expert's weight [B].
        embedding_bytes: of a weight of the embedding table or the output layer, which quantization leaves alone [B].
        operands: in what they are multiplied: bfloat16, fp8, int8 or fp4.
    """

    linear_bytes: float
    expert_bytes: float
    embedding_bytes: float
    operands: str


@dataclass(frozen=True)
class Parameters:
    """Weights by where they are [weights].

    Attributes:
        embedding: of the embedding table.
        output: of the output layer, whether it has a table of its own or not.
        has_own_output: whether it has.
        linear: of all layers' attention, dense feed-forward parts, shared experts and routers.
        expert: of one expert.
        expert_layers: layers that have experts.
        experts: of each such layer.
        experts_per_token: that a token passes through.
    """

    embedding: int
    output: int
    has_own_output: bool
    linear: int
    expert: int
    expert_layers: int
    experts: int
    experts_per_token: int

    @property
    def total(self) -> int:
        """All that are stored [weights]."""
        routed = self.expert * self.experts * self.expert_layers
        return self.embedding + self.has_own_output * self.output + self.linear + routed

    @property
    def multiplied(self) -> int:
        """Those that a token is multiplied with, the output layer apart [weights]."""
        return self.linear + self.expert * self.experts_per_token * self.expert_layers

    @property
    def active(self) -> int:
        """Those that a token passes through, tables included: what model cards call active [weights]."""
        return self.embedding + self.has_own_output * self.output + self.multiplied


def count_parameters(shape: ModelShape) -> Parameters:
    """Weights of a decoder by where they are.

    Args:
        shape: its sizes.

    Example:
        Llama 3.1 8B has 8,030,261,248 weights, of which 266,240 are of norms.

        >>> llama = ModelShape(
        ...     id="m", layers=32, hidden_size=4096, attention_heads=32, kv_heads=8, head_dim=128,
        ...     intermediate_size=14336, vocab_size=128256, max_position_embeddings=131072,
        ... )
        >>> count_parameters(llama).total
        8029995008
    """
    hidden, table = shape.hidden_size, shape.vocab_size * shape.hidden_size
    experts = shape.experts
    expert_layers = 0 if experts is None else shape.layers - experts.dense_layers
    dense_layers = shape.layers - expert_layers
    linear = shape.layers * _attention_parameters(shape)
    linear += dense_layers * _GATED_MATRICES * hidden * shape.intermediate_size
    if experts is not None:
        shared = _GATED_MATRICES * hidden * experts.shared_intermediate_size
        linear += expert_layers * (shared + hidden * experts.count)
    return Parameters(
        embedding=table,
        output=table,
        has_own_output=not shape.has_tied_embeddings,
        linear=linear,
        expert=0 if experts is None else _GATED_MATRICES * hidden * experts.intermediate_size,
        expert_layers=expert_layers,
        experts=0 if experts is None else experts.count,
        experts_per_token=0 if experts is None else experts.per_token,
    )


def _attention_parameters(shape: ModelShape) -> int:
    """Of one layer. Latent attention: DeepSeek-AI, "DeepSeek-V2", arXiv 2405.04434 (2024), section 2.1."""
    hidden, heads, latent = shape.hidden_size, shape.attention_heads, shape.latent_attention
    if latent is None:
        return 2 * hidden * heads * shape.head_dim + 2 * hidden * shape.kv_heads * shape.head_dim
    head = latent.qk_nope_head_dim + latent.qk_rope_head_dim
    query = hidden * heads * head
    if latent.q_lora_rank is not None:
        query = latent.q_lora_rank * (hidden + heads * head)
    down = hidden * (latent.kv_lora_rank + latent.qk_rope_head_dim)
    up = latent.kv_lora_rank * heads * (latent.qk_nope_head_dim + latent.v_head_dim)
    return query + down + up + heads * latent.v_head_dim * hidden


def stored_bytes(parameters: Parameters, stored: WeightFormat) -> float:
    """All weights [B].

    Args:
        parameters: as counted.
        stored: how.
    """
    tables = parameters.embedding + parameters.has_own_output * parameters.output
    routed = parameters.expert * parameters.experts * parameters.expert_layers
    return tables * stored.embedding_bytes + parameters.linear * stored.linear_bytes + routed * stored.expert_bytes


def always_read_bytes(parameters: Parameters, stored: WeightFormat) -> float:
    """Weights that every step reads: all but the experts and the embedding table, of which it looks up rows [B].

    Args:
        parameters: as counted.
        stored: how.
    """
    return parameters.output * stored.embedding_bytes + parameters.linear * stored.linear_bytes


def expert_read_bytes(parameters: Parameters, stored: WeightFormat, tokens: Floats) -> Floats:
    """Experts' weights that steps over so many tokens read, on average [B], shape (steps,).

    Args:
        parameters: as counted.
        stored: how.
        tokens: of each step, shape (steps,).
    """
    touched = distinct_experts(parameters.experts, parameters.experts_per_token, tokens)
    return np.asarray(touched * parameters.expert_layers * parameters.expert * stored.expert_bytes)


def distinct_experts(experts: int, per_token: int, tokens: Floats) -> Floats:
    """Experts of a layer that at least one of so many tokens is sent to, on average, were all equally sought.

    Args:
        experts: of the layer; 0 where it has none.
        per_token: that each token is sent to.
        tokens: shape (steps,).

    Example:
        >>> distinct_experts(8, 2, np.array([1.0, 2.0])).tolist()
        [2.0, 3.5]
    """
    if experts == 0:
        return np.zeros_like(tokens)
    return np.asarray(experts * (1 - (1 - per_token / experts) ** tokens))


def kv_bytes_per_token(shape: ModelShape, accelerators: int, element_bytes: float) -> float:
    """KV cache of one token, in all accelerators of a replica together [B].

    With fewer KV heads than accelerators each keeps one; what latent attention keeps is whole in each of them.

    Args:
        shape: the model's sizes.
        accelerators: that share the replica.
        element_bytes: of a number in the cache [B].

    Example:
        >>> llama = ModelShape(
        ...     id="m", layers=32, hidden_size=4096, attention_heads=32, kv_heads=8, head_dim=128,
        ...     intermediate_size=14336, vocab_size=128256, max_position_embeddings=131072,
        ... )
        >>> kv_bytes_per_token(llama, 1, 2.0)
        131072.0
    """
    latent = shape.latent_attention
    if latent is not None:
        kept = accelerators * (latent.kv_lora_rank + latent.qk_rope_head_dim)
    else:
        kept = 2 * max(shape.kv_heads, accelerators) * shape.head_dim
    return shape.layers * kept * element_bytes


def attention_flops(shape: ModelShape) -> float:
    """Work of one token on one context token in a prefill, in all layers [FLOP]: a product each for score and value.

    Args:
        shape: the model's sizes.
    """
    latent = shape.latent_attention
    wide = 2 * shape.head_dim
    if latent is not None:
        wide = latent.qk_nope_head_dim + latent.qk_rope_head_dim + latent.v_head_dim
    return 2.0 * shape.layers * shape.attention_heads * wide


def decode_attention_flops(shape: ModelShape) -> float:
    """The same in a decode, where latent attention works on what it keeps rather than on heads [FLOP].

    Args:
        shape: the model's sizes.
    """
    latent = shape.latent_attention
    if latent is None:
        return attention_flops(shape)
    return 2.0 * shape.layers * shape.attention_heads * (2 * latent.kv_lora_rank + latent.qk_rope_head_dim)
