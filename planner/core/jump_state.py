"""What is known of requests and engines while they are served in jumps: arrays that change in place.

Less than the stepper knows (engine_state.py), since in a run of steps that are alike nobody needs to be looked at: the
requests of a month fit a laptop. The constants are part of what jump.py compiles, which Numba keeps until that file
changes.
"""

from functools import cache
from typing import Any, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from planner.core.engine_state import (
    GAP_BINS,
    GAP_BINS_PER_E_FOLD,
    NOBODY,
    SHORTEST_GAP_S,
    Floats,
    Ints,
    Tokens,
    most_sequences,
)
from planner.schema.profile import Limits, StepTime

REQUEST_BITS = 28
"""Of a number that holds when a request ends and, in so many bits, which one it is."""
MOST_REQUESTS, MOST_BLOCK_TOKENS = 1 << REQUEST_BITS, 1 << 12
"""What the jump has room for."""

ROOMY_FRACTION = 0.9
"""Of a replica's KV blocks. Beyond, requests may wait for memory or lose it, which only the stepper knows of."""

GAP_PART_SHIFT = 42
"""Of a floating-point number's 64 bits: those above tell it to a thousandth, which is no more than a bin of gaps."""
FIRST_GAP_PART = int(np.float64(SHORTEST_GAP_S).view(np.int64)) >> GAP_PART_SHIFT

_Links = NDArray[np.int32]


class Jobs(NamedTuple):
    """What is known of every request; each of shape (requests,).

    Attributes:
        prompt_tokens: length of the prompt [tokens].
        cached_tokens: part of the prompt that the engine's prefix cache holds, below prompt_tokens [tokens].
        output_tokens: tokens to generate, at least 1 [tokens].
        next_waiting: the request behind this one in its queue, or NOBODY.
        first_step_s: start of the first step that served it [s].
        first_token_s: end of the step that gave its first token [s].
        last_token_s: end of the step that gave its last token [s].
    """

    prompt_tokens: Tokens
    cached_tokens: Tokens
    output_tokens: Tokens
    next_waiting: _Links
    first_step_s: Floats
    first_token_s: Floats
    last_token_s: Floats


class Engine:
    """An engine in a run of steps that are alike: as many decodes in each, and as many prompt tokens.

    Never made: it names and types the fields of a record (ENGINE), which is what compiles.

    Attributes:
        base_s: of a step [s].
        per_prefill_token_s: of a step, for each prompt token [s].
        per_sequence_s: of a step, for each decode [s].
        per_context_token_s: of a step, for each token that the decodes hold [s].
        run_start_s: when the run began [s].
        run_end_s: when it ends; infinite where the engine is idle [s].
        busy_s: time spent in runs [s].
        most_sequences: max_num_seqs, but no more than there are tokens in a step or requests at all.
        most_tokens: max_num_batched_tokens.
        block_tokens: tokens of a KV block.
        roomy_blocks: KV blocks up to which nobody ever waits for one.
        most_blocks: KV blocks that were held at most.
        run_steps: steps of the run; 0 before the first of an idle engine.
        run_prefill_tokens: prompt tokens in each of its steps [tokens].
        steps_done: steps before the run, since there was no decode.
        decodes: sequences that get a token in each of its steps.
        context_tokens: tokens that they hold in its first step [tokens].
        n_completing: requests that get their first token at its end.
        partial: the request whose prompt will then be computed in part, or NOBODY.
        partial_rest_tokens: what will then be left of it [tokens].
        prefill_blocks: KV blocks of the requests whose prompts it computes.
        n_running: requests being served.
        n_waiting: requests in the queue.
        first_waiting: the one at its head.
        last_waiting: the one at its end.
    """

    base_s: float
    per_prefill_token_s: float
    per_sequence_s: float
    per_context_token_s: float
    run_start_s: float
    run_end_s: float
    busy_s: float
    most_sequences: int
    most_tokens: int
    block_tokens: int
    roomy_blocks: int
    most_blocks: int
    run_steps: int
    run_prefill_tokens: int
    steps_done: int
    decodes: int
    context_tokens: int
    n_completing: int
    partial: int
    partial_rest_tokens: int
    prefill_blocks: int
    n_running: int
    n_waiting: int
    first_waiting: int
    last_waiting: int


ENGINE = np.dtype([(name, np.dtype(kind)) for name, kind in get_type_hints(Engine).items()])


class Fleet(NamedTuple):
    """Engines of one kind.

    Attributes:
        engines: a record ENGINE of each, shape (replicas,).
        ends: a heap for each of the steps after which its decodes end, with the request, shape (replicas, sequences).
        in_cell: decodes by held tokens less steps done, modulo block_tokens, shape (replicas, block_tokens).
        completing: requests that get their first token at the end of its run, shape (replicas, sequences).
        gaps: gaps between successive tokens of all by length, shape (GAP_BINS,).
        gap_edges_s: where its bins begin, and where the last ends [s], shape (GAP_BINS + 1,).
        first_bin: the bin of the smallest number with certain leading bits, from those of the shortest gap on.
    """

    engines: NDArray[Any]
    ends: Ints
    in_cell: Ints
    completing: Ints
    gaps: Ints
    gap_edges_s: Floats
    first_bin: Ints


@cache
def _gap_bins() -> tuple[Floats, Ints]:
    """The edges of the bins of gaps, and the first bin of numbers with certain leading bits."""
    edges_s = SHORTEST_GAP_S * np.exp(np.arange(GAP_BINS + 1) / GAP_BINS_PER_E_FOLD)
    last_part = int(edges_s[-1].view(np.int64)) >> GAP_PART_SHIFT
    smallest_s = (np.arange(FIRST_GAP_PART, last_part) << GAP_PART_SHIFT).view(np.float64)
    return edges_s, np.maximum(np.searchsorted(edges_s, smallest_s, side="right") - 1, 0)


def new_jobs(prompt_tokens: Tokens, output_tokens: Tokens, cached_tokens: Tokens) -> Jobs:
    """Requests that nobody has seen yet.

    Args:
        prompt_tokens: lengths of prompts, at least 1 [tokens], shape (requests,).
        output_tokens: tokens to generate, at least 1 [tokens], shape (requests,).
        cached_tokens: tokens of each prompt in the prefix cache, below its length [tokens], shape (requests,).
    """
    size = prompt_tokens.size
    return Jobs(
        prompt_tokens=np.ascontiguousarray(prompt_tokens, dtype=np.int32),
        cached_tokens=np.ascontiguousarray(cached_tokens, dtype=np.int32),
        output_tokens=np.ascontiguousarray(output_tokens, dtype=np.int32),
        next_waiting=np.empty(size, dtype=np.int32),
        first_step_s=np.empty(size),
        first_token_s=np.empty(size),
        last_token_s=np.empty(size),
    )


def new_fleet(step_time: StepTime, limits: Limits, replicas: int, requests: int) -> Fleet:
    """Idle engines.

    Args:
        step_time: what a step takes.
        limits: of the scheduler and the memory of each.
        replicas: how many.
        requests: how many there will be at most.
    """
    sequences = most_sequences(limits, requests)
    engines = np.zeros(replicas, dtype=ENGINE)
    for name in ("base", "per_prefill_token", "per_sequence", "per_context_token"):
        engines[f"{name}_s"] = getattr(step_time, name)
    engines["most_sequences"] = sequences
    engines["most_tokens"] = limits.max_num_batched_tokens
    engines["block_tokens"] = limits.block_tokens
    engines["roomy_blocks"] = int(ROOMY_FRACTION * (limits.kv_cache_tokens // limits.block_tokens))
    engines["run_end_s"] = np.inf
    engines["partial"] = NOBODY
    gap_edges_s, first_bin = _gap_bins()
    return Fleet(
        engines=engines,
        ends=np.zeros((replicas, sequences), dtype=np.int64),
        in_cell=np.zeros((replicas, limits.block_tokens), dtype=np.int64),
        completing=np.zeros((replicas, sequences), dtype=np.int64),
        gaps=np.zeros(GAP_BINS, dtype=np.int64),
        gap_edges_s=gap_edges_s,
        first_bin=first_bin,
    )
