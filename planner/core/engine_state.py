"""What is known of requests and engines while they are served: arrays that the scheduler changes in place."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.schema.profile import Limits, StepTime

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Tokens = NDArray[np.integer[Any]]

NOBODY = -1
NOTHING_TO_DO = -1.0
"""In place of a step's duration."""

GAP_BINS_PER_E_FOLD = 1000
"""Gaps are counted in bins a thousandth wide, so their percentiles are exact to half of that."""
SHORTEST_GAP_S = 1e-6
GAP_BINS = 25_400
"""From a microsecond to a day."""


class Requests(NamedTuple):
    """What is known of every request; each of shape (requests,).

    Attributes:
        prompt_tokens: length of the prompt [tokens].
        cached_tokens: part of the prompt that the engine's prefix cache holds, below prompt_tokens [tokens].
        output_tokens: tokens to generate, at least 1 [tokens].
        to_compute: tokens that the present prefill must compute, cached ones included [tokens].
        computed: those of them that are done [tokens].
        generated: output tokens so far [tokens].
        blocks: KV blocks held.
        next_waiting: the request behind this one in its queue, or NOBODY.
        first_step_s: start of the first step that served it; NaN before [s].
        first_token_s: end of the step that gave its first token; NaN before [s].
        last_token_s: end of the step that gave its last token so far [s].
    """

    prompt_tokens: Ints
    cached_tokens: Ints
    output_tokens: Ints
    to_compute: Ints
    computed: Ints
    generated: Ints
    blocks: Ints
    next_waiting: Ints
    first_step_s: Floats
    first_token_s: Floats
    last_token_s: Floats


class Replicas(NamedTuple):
    """Engines of one kind and what each is doing.

    Attributes:
        step_time_s: base, per prefill token, per sequence, per context token [s], shape (4,).
        most_sequences: max_num_seqs, but no more than there are tokens in a step or requests at all.
        most_tokens: max_num_batched_tokens.
        block_tokens: tokens of a KV block.
        running: requests in order of admission, shape (replicas, max_num_seqs).
        scheduled: tokens that each of them gets in the present step, shape (replicas, max_num_seqs).
        emitted: requests that got an output token at the end of the last step, shape (replicas, max_num_seqs).
        n_running, n_waiting, n_emitted: how many there are, shape (replicas,).
        first_waiting, last_waiting: ends of the queue, or NOBODY, shape (replicas,).
        free_blocks: KV blocks that nobody holds, shape (replicas,).
        fewest_free_blocks: the least there ever were, shape (replicas,).
        preemptions: so far, shape (replicas,).
        gaps: gaps between successive tokens by length, shape (GAP_BINS,).
    """

    step_time_s: Floats
    most_sequences: int
    most_tokens: int
    block_tokens: int
    running: Ints
    scheduled: Ints
    emitted: Ints
    n_running: Ints
    n_waiting: Ints
    n_emitted: Ints
    first_waiting: Ints
    last_waiting: Ints
    free_blocks: Ints
    fewest_free_blocks: Ints
    preemptions: Ints
    gaps: Ints


def new_requests(prompt_tokens: Tokens, output_tokens: Tokens, cached_tokens: Tokens) -> Requests:
    """Requests that nobody has seen yet.

    Args:
        prompt_tokens: lengths of prompts, at least 1 [tokens], shape (requests,).
        output_tokens: tokens to generate, at least 1 [tokens], shape (requests,).
        cached_tokens: tokens of each prompt in the prefix cache, below its length [tokens], shape (requests,).
    """
    size = prompt_tokens.size

    def counts() -> Ints:
        return np.zeros(size, dtype=np.int64)

    def times() -> Floats:
        return np.full(size, np.nan)

    return Requests(
        prompt_tokens=np.array(prompt_tokens, dtype=np.int64),
        cached_tokens=np.array(cached_tokens, dtype=np.int64),
        output_tokens=np.array(output_tokens, dtype=np.int64),
        to_compute=counts(),
        computed=counts(),
        generated=counts(),
        blocks=counts(),
        next_waiting=np.full(size, NOBODY, dtype=np.int64),
        first_step_s=times(),
        first_token_s=times(),
        last_token_s=times(),
    )


def most_sequences(limits: Limits, requests: int) -> int:
    """How many of so many requests a replica can serve at once, each with a token in a step."""
    return max(1, min(limits.max_num_seqs, limits.max_num_batched_tokens, requests))


def new_replicas(step_time: StepTime, limits: Limits, replicas: int, requests: int) -> Replicas:
    """Idle engines.

    Args:
        step_time: what a step takes.
        limits: of the scheduler and the memory of each.
        replicas: how many.
        requests: how many there will be at most.
    """
    sequences = most_sequences(limits, requests)
    blocks = limits.kv_cache_tokens // limits.block_tokens

    def each(value: int) -> Ints:
        return np.full(replicas, value, dtype=np.int64)

    def places() -> Ints:
        return np.zeros((replicas, sequences), dtype=np.int64)

    return Replicas(
        step_time_s=np.array(
            [step_time.base, step_time.per_prefill_token, step_time.per_sequence, step_time.per_context_token]
        ),
        most_sequences=sequences,
        most_tokens=limits.max_num_batched_tokens,
        block_tokens=limits.block_tokens,
        running=places(),
        scheduled=places(),
        emitted=places(),
        n_running=each(0),
        n_waiting=each(0),
        n_emitted=each(0),
        first_waiting=each(NOBODY),
        last_waiting=each(NOBODY),
        free_blocks=each(blocks),
        fewest_free_blocks=each(blocks),
        preemptions=each(0),
        gaps=np.zeros(GAP_BINS, dtype=np.int64),
    )


def fits(limits: Limits, prompt_tokens: Tokens, output_tokens: Tokens) -> NDArray[np.bool_]:
    """Whether requests can be served at all: by the model's length, and by the memory of an empty engine.

    Example:
        >>> limits = Limits(
        ...     max_num_seqs=8, max_num_batched_tokens=512, kv_cache_tokens=100, block_tokens=16, max_model_len=90
        ... )
        >>> fits(limits, np.array([80, 80, 89]), np.array([10, 11, 1])).tolist()
        [True, False, True]
    """
    tokens = prompt_tokens + output_tokens
    # The last token generated is never read again, so it takes no room.
    blocks = -(-(tokens - 1) // limits.block_tokens)
    return np.asarray((tokens <= limits.max_model_len) & (blocks <= limits.kv_cache_tokens // limits.block_tokens))
