"""The scheduler of an engine, step by step: continuous batching with chunked prefill and a paged KV cache.

In each step running decodes come first, one token each; what is left of the token budget goes to prefill, first
come first served. A waiting request is admitted while fewer than `max_num_seqs` run and the blocks of its whole
prompt are free. A decode that finds no block preempts the newest running request, which waits at the head of the
queue to be computed again; no request is admitted in such a step. The first token comes at the end of the step
that completes the prefill.

The same functions serve the simulator, which adds up the durations of steps, and the emulator, which waits for them.
They work on arrays that they change in place, since that is what compiles.

Sources: Yu et al., "Orca", OSDI 2022 (iteration-level batching); Kwon et al., "PagedAttention", SOSP 2023 (blocks,
preemption by recomputation); Agrawal et al., "Sarathi-Serve", OSDI 2024 (chunked prefill beside decodes).
"""

import numpy as np

from planner.core.compiled import compiled
from planner.core.engine_state import (
    GAP_BINS,
    GAP_BINS_PER_E_FOLD,
    NOBODY,
    NOTHING_TO_DO,
    SHORTEST_GAP_S,
    Floats,
    Ints,
    Replicas,
    Requests,
)


@compiled
def join_queue(requests: Requests, replicas: Replicas, replica: int, request: int) -> None:
    """A request joins the end of a replica's queue."""
    requests.next_waiting[request] = NOBODY
    if replicas.last_waiting[replica] == NOBODY:
        replicas.first_waiting[replica] = request
    else:
        requests.next_waiting[replicas.last_waiting[replica]] = request
    replicas.last_waiting[replica] = request
    replicas.n_waiting[replica] += 1


@compiled
def _return_blocks(requests: Requests, replicas: Replicas, replica: int, request: int) -> None:
    replicas.free_blocks[replica] += requests.blocks[request]
    requests.blocks[request] = 0


@compiled
def _preempt_newest(requests: Requests, replicas: Replicas, replica: int) -> None:
    """The newest running request gives its memory back and waits at the head of the queue."""
    newest = replicas.running[replica, replicas.n_running[replica] - 1]
    replicas.n_running[replica] -= 1
    replicas.preemptions[replica] += 1
    _return_blocks(requests, replicas, replica, newest)
    requests.next_waiting[newest] = replicas.first_waiting[replica]
    replicas.first_waiting[replica] = newest
    if replicas.last_waiting[replica] == NOBODY:
        replicas.last_waiting[replica] = newest
    replicas.n_waiting[replica] += 1


@compiled
def _schedule_decodes(requests: Requests, replicas: Replicas, replica: int) -> tuple[int, int]:
    """Gives every decoding request a token while the budget lasts; how many they are, and the tokens they hold."""
    running, scheduled = replicas.running[replica], replicas.scheduled[replica]
    sequences, context_tokens, place = 0, 0, 0
    while place < replicas.n_running[replica]:
        request = running[place]
        scheduled[place] = 0
        if requests.computed[request] == requests.to_compute[request] and sequences < replicas.most_tokens:
            held = requests.prompt_tokens[request] + requests.generated[request]
            if held > requests.blocks[request] * replicas.block_tokens:
                if replicas.free_blocks[replica] == 0:
                    _preempt_newest(requests, replicas, replica)
                    continue  # with a block to take; or past the end, where it was this request that had to go
                replicas.free_blocks[replica] -= 1
                requests.blocks[request] += 1
            scheduled[place] = 1
            sequences += 1
            context_tokens += held
        place += 1
    return sequences, context_tokens


@compiled
def _schedule_prefills(requests: Requests, replicas: Replicas, replica: int, budget: int) -> int:
    """Spends a budget of tokens on prompts that are being computed; what is left of it."""
    running, scheduled = replicas.running[replica], replicas.scheduled[replica]
    for place in range(replicas.n_running[replica]):
        request = running[place]
        rest = requests.to_compute[request] - requests.computed[request]
        if rest > 0:
            scheduled[place] = min(rest, budget)
            budget -= scheduled[place]
    return budget


@compiled
def _admit(requests: Requests, replicas: Replicas, replica: int, budget: int, now_s: float) -> int:
    """Admits from the queue while there are tokens, places and memory; what is left of the budget of tokens."""
    while replicas.n_waiting[replica] > 0 and budget > 0 and replicas.n_running[replica] < replicas.most_sequences:
        request = replicas.first_waiting[replica]
        tokens = requests.prompt_tokens[request] + requests.generated[request]
        blocks = -(-tokens // replicas.block_tokens)
        if blocks > replicas.free_blocks[replica]:
            break
        replicas.first_waiting[replica] = requests.next_waiting[request]
        if replicas.first_waiting[replica] == NOBODY:
            replicas.last_waiting[replica] = NOBODY
        replicas.n_waiting[replica] -= 1
        replicas.free_blocks[replica] -= blocks
        requests.blocks[request] = blocks
        requests.to_compute[request] = tokens
        requests.computed[request] = requests.cached_tokens[request]
        if np.isnan(requests.first_step_s[request]):
            requests.first_step_s[request] = now_s
        place = replicas.n_running[replica]
        replicas.running[replica, place] = request
        replicas.scheduled[replica, place] = min(tokens - requests.cached_tokens[request], budget)
        budget -= replicas.scheduled[replica, place]
        replicas.n_running[replica] += 1
    return budget


@compiled
def begin_step(requests: Requests, replicas: Replicas, replica: int, now_s: float) -> float:
    """Plans a replica's next step, and tells how long it takes [s]; NOTHING_TO_DO where there is none."""
    preempted_before = replicas.preemptions[replica]
    sequences, context_tokens = _schedule_decodes(requests, replicas, replica)
    budget = replicas.most_tokens - sequences
    left = _schedule_prefills(requests, replicas, replica, budget)
    if replicas.preemptions[replica] == preempted_before:
        left = _admit(requests, replicas, replica, left, now_s)
    replicas.fewest_free_blocks[replica] = min(replicas.fewest_free_blocks[replica], replicas.free_blocks[replica])
    prefill_tokens = budget - left
    if sequences == 0 and prefill_tokens == 0:
        return NOTHING_TO_DO
    base, per_prefill_token, per_sequence, per_context_token = replicas.step_time_s
    return float(
        base + per_prefill_token * prefill_tokens + per_sequence * sequences + per_context_token * context_tokens
    )


@compiled
def end_step(requests: Requests, replicas: Replicas, replica: int, now_s: float) -> None:
    """Ends a replica's step: those who decoded, or completed their prefill, get a token; who has all, leaves."""
    running, scheduled = replicas.running[replica], replicas.scheduled[replica]
    emitted, kept = 0, 0
    gap_s, gap_bin = -1.0, 0
    for place in range(replicas.n_running[replica]):
        request, tokens = running[place], scheduled[place]
        is_finished = False
        if tokens > 0:
            if requests.computed[request] < requests.to_compute[request]:
                requests.computed[request] += tokens
            if requests.computed[request] == requests.to_compute[request]:
                requests.generated[request] += 1
                replicas.emitted[replica, emitted] = request
                emitted += 1
                if requests.generated[request] == 1:
                    requests.first_token_s[request] = now_s
                else:
                    if now_s - requests.last_token_s[request] != gap_s:  # most gaps of a step are alike
                        gap_s = now_s - requests.last_token_s[request]
                        e_folds = np.log(max(gap_s, SHORTEST_GAP_S) / SHORTEST_GAP_S)
                        gap_bin = min(int(e_folds * GAP_BINS_PER_E_FOLD), GAP_BINS - 1)
                    replicas.gaps[gap_bin] += 1
                requests.last_token_s[request] = now_s
                is_finished = requests.generated[request] >= requests.output_tokens[request]
        scheduled[place] = 0
        if is_finished:
            _return_blocks(requests, replicas, replica, request)
        else:
            running[kept] = request
            kept += 1
    replicas.n_running[replica] = kept
    replicas.n_emitted[replica] = emitted


@compiled
def forget(requests: Requests, replicas: Replicas, replica: int, request: int) -> None:
    """Takes a request out of a replica, wherever it is; between steps."""
    running = replicas.running[replica]
    for place in range(replicas.n_running[replica]):
        if running[place] == request:
            _return_blocks(requests, replicas, replica, request)
            for behind in range(place, replicas.n_running[replica] - 1):
                running[behind] = running[behind + 1]
            replicas.n_running[replica] -= 1
            return
    before, waiting = NOBODY, replicas.first_waiting[replica]
    while waiting != NOBODY:
        if waiting == request:
            behind = requests.next_waiting[request]
            if before == NOBODY:
                replicas.first_waiting[replica] = behind
            else:
                requests.next_waiting[before] = behind
            if behind == NOBODY:
                replicas.last_waiting[replica] = before
            replicas.n_waiting[replica] -= 1
            return
        before, waiting = waiting, requests.next_waiting[waiting]


@compiled
def _fewest_outstanding(replicas: Replicas) -> int:
    """The replica with the fewest requests that run or wait; of several, the first."""
    chosen, fewest = 0, replicas.n_running[0] + replicas.n_waiting[0]
    for replica in range(1, replicas.n_running.size):
        outstanding = replicas.n_running[replica] + replicas.n_waiting[replica]
        if outstanding < fewest:
            chosen, fewest = replica, outstanding
    return chosen


@compiled
def replay(
    requests: Requests,
    replicas: Replicas,
    arrival_s: Floats,
    step_end_s: Floats,
    busy_s: Floats,
    span: Ints,
    is_in_turn: bool,
) -> None:
    """Plays a span of arrivals through the replicas, each sent to the one with the fewest outstanding requests.

    May be called again for the next span; the last one, which reaches the end, also serves what is outstanding.

    Args:
        requests: all of them, in order of arrival.
        replicas: the engines.
        arrival_s: ascending [s], shape (requests,).
        step_end_s: end of each replica's present step; infinite where idle [s], shape (replicas,).
        busy_s: time spent in steps so far [s], shape (replicas,).
        span: first arrival to play, and the one to stop before, shape (2,).
        is_in_turn: whether each is sent to the next replica in place of that, whatever is outstanding there.
    """
    following, stop = span
    n_replicas = step_end_s.size
    while True:
        first = 0
        for replica in range(1, n_replicas):
            if step_end_s[replica] < step_end_s[first]:
                first = replica
        now_s = step_end_s[first]
        if following < stop and arrival_s[following] <= now_s:
            chosen = following % n_replicas if is_in_turn else _fewest_outstanding(replicas)
            join_queue(requests, replicas, chosen, following)
            if np.isinf(step_end_s[chosen]):
                step_end_s[chosen] = arrival_s[following]  # begins once all that arrive at this moment are there
            following += 1
        elif following >= stop and (stop < arrival_s.size or np.isinf(now_s)):
            return
        else:
            end_step(requests, replicas, first, now_s)
            duration_s = begin_step(requests, replicas, first, now_s)
            if duration_s == NOTHING_TO_DO:
                step_end_s[first] = np.inf
            else:  # also one that takes no time, as steps of some profiles do
                busy_s[first] += duration_s
                step_end_s[first] = now_s + duration_s
