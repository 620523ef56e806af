"""The scheduler of an engine, in jumps: the steps of engine.py, many at a time where they are alike.

Between two changes of the batch, steps differ only in the context, which grows by one token a decode: the n-th end of
such a run is start + n·d + c·n(n − 1)/2, with d the first step's duration and c what its growth adds to each. A run
ends with the first answer that is complete, or with the last part of a prompt that leaves tokens for others; or, where
there is a place, with the step in which a request arrives: n is then the root of a quadratic. So the work goes with
requests, not with steps or tokens.

Nobody waits for memory here, or loses it: `jump` gives up where a replica would hold more than 90 % of its KV blocks.
"""

import numpy as np

from planner.core.compiled import compiled, inlined
from planner.core.engine_state import GAP_BINS, NOBODY, Floats, Ints
from planner.core.jump_state import FIRST_GAP_PART, GAP_PART_SHIFT, REQUEST_BITS, Engine, Fleet, Jobs


@inlined
def _lasts_s(first_s: float, growth_s: float, steps: int) -> float:
    """What so many steps take, of which each takes as much longer than the one before [s]."""
    return first_s * steps + growth_s * (steps * (steps - 1) // 2)


@inlined
def _steps_until(first_s: float, growth_s: float, start_s: float, until_s: float, most: int) -> int:
    """The first step of a run that ends at or after a time; the last one where that is rounded to before it."""
    slope_s, after_s = first_s - growth_s / 2, until_s - start_s
    if slope_s <= 0 or after_s <= 0:
        return 1  # also of steps that take no time
    root = 2 * after_s / (slope_s + np.sqrt(slope_s * slope_s + 2 * growth_s * after_s))
    steps = max(1, min(most, int(root)))
    while steps < most and start_s + _lasts_s(first_s, growth_s, steps) < until_s:
        steps += 1
    return steps


@inlined
def _first_step_s(engine: Engine) -> float:
    """What the first step of a run takes [s]."""
    return (
        engine.base_s
        + engine.per_prefill_token_s * engine.run_prefill_tokens
        + engine.per_sequence_s * engine.decodes
        + engine.per_context_token_s * engine.context_tokens
    )


@inlined
def _push(fleet: Fleet, replica: int, end: int) -> None:
    """Adds a decode to the heap of ends."""
    ends, engine = fleet.ends, fleet.engines[replica]
    place = engine.decodes
    engine.decodes += 1
    while place > 0:
        parent = (place - 1) >> 1
        if ends[replica, parent] <= end:
            break
        ends[replica, place] = ends[replica, parent]
        place = parent
    ends[replica, place] = end


@inlined
def _pop(fleet: Fleet, replica: int) -> None:
    """Takes the decode that ends first off the heap."""
    ends, engine = fleet.ends, fleet.engines[replica]
    engine.decodes -= 1
    size = engine.decodes
    moved = ends[replica, size]
    place, child = 0, 1
    while child < size:
        if child + 1 < size and ends[replica, child + 1] < ends[replica, child]:
            child += 1
        if moved <= ends[replica, child]:
            break
        ends[replica, place] = ends[replica, child]
        place, child = child, 2 * child + 1
    ends[replica, place] = moved


@inlined
def _gap_bin(fleet: Fleet, gap_s: float) -> int:
    """Where a gap is counted: found by the leading bits of its number, between which lies one edge at most."""
    part = (np.float64(gap_s).view(np.int64) >> GAP_PART_SHIFT) - FIRST_GAP_PART
    if part < 0:
        return 0
    if part >= fleet.first_bin.size:
        return GAP_BINS - 1
    gap_bin = fleet.first_bin[part]
    return int(gap_bin + (gap_s >= fleet.gap_edges_s[gap_bin + 1]))


@inlined
def _count_gaps(fleet: Fleet, decodes: int, first_s: float, growth_s: float, steps: int) -> None:
    """Counts the gaps of a run by length: one for each decode in each of its steps."""
    gaps, edges_s = fleet.gaps, fleet.gap_edges_s
    gap_bin, last_bin = _gap_bin(fleet, first_s), _gap_bin(fleet, first_s + growth_s * (steps - 1))
    counted = 0
    if last_bin - gap_bin >= steps:
        while counted < steps:
            gaps[_gap_bin(fleet, first_s + growth_s * counted)] += decodes
            counted += 1
        return
    if gap_bin < last_bin:
        steps_per_s = 1 / growth_s
        while gap_bin < last_bin:
            shorter = min(steps, int((edges_s[gap_bin + 1] - first_s) * steps_per_s) + 1)
            gaps[gap_bin] += decodes * (shorter - counted)
            counted = shorter
            gap_bin += 1
    gaps[gap_bin] += decodes * (steps - counted)


@inlined
def _has_room(fleet: Fleet, replica: int) -> bool:
    """Takes down the most KV blocks that were held, which is in the last step of a run; whether that left room."""
    engine = fleet.engines[replica]
    block_tokens, later = engine.block_tokens, engine.run_steps - 1
    held_tokens = engine.context_tokens + engine.decodes * later
    # At most, each decode has one token in its last block. Only near the most so far is it worth counting.
    if held_tokens + (engine.decodes + engine.prefill_blocks) * block_tokens > engine.most_blocks * block_tokens:
        steps_done = (engine.steps_done + later) % block_tokens
        empty_tokens = 0
        for cell in range(block_tokens):
            in_last_block = cell + steps_done
            if in_last_block >= block_tokens:
                in_last_block -= block_tokens
            if in_last_block > 0:
                empty_tokens += fleet.in_cell[replica, cell] * (block_tokens - in_last_block)
        blocks = (held_tokens + empty_tokens) // block_tokens + engine.prefill_blocks
        engine.most_blocks = max(engine.most_blocks, blocks)
    return bool(engine.most_blocks <= engine.roomy_blocks)


@inlined
def _compute_prompt(fleet: Fleet, replica: int, job: int, rest_tokens: int, budget: int) -> int:
    """Spends a budget of tokens on what is left of a prompt; what is left of the budget."""
    engine = fleet.engines[replica]
    if rest_tokens > budget:
        engine.partial, engine.partial_rest_tokens = job, rest_tokens - budget
        return 0
    fleet.completing[replica, engine.n_completing] = job
    engine.n_completing += 1
    return budget - rest_tokens


@inlined
def _admit(jobs: Jobs, fleet: Fleet, replica: int, budget: int, now_s: float) -> int:
    """Admits from the queue while there are tokens and places; what is left of the budget of tokens."""
    engine = fleet.engines[replica]
    while engine.n_waiting > 0 and budget > 0 and engine.n_running < engine.most_sequences:
        job = engine.first_waiting
        engine.first_waiting = jobs.next_waiting[job]
        engine.n_waiting -= 1
        engine.n_running += 1
        engine.prefill_blocks += -(-jobs.prompt_tokens[job] // engine.block_tokens)
        jobs.first_step_s[job] = now_s
        budget = _compute_prompt(fleet, replica, job, jobs.prompt_tokens[job] - jobs.cached_tokens[job], budget)
    return budget


@inlined
def _steps_alike(fleet: Fleet, replica: int) -> int:
    """How many steps are as the one that was planned, if nobody arrives; 0 where there is nothing to do."""
    engine = fleet.engines[replica]
    if engine.n_completing > 0:
        return 1
    steps = 0
    if engine.decodes > 0:
        steps = (fleet.ends[replica, 0] >> REQUEST_BITS) - engine.steps_done
    if engine.partial != NOBODY:  # all of the budget is for this prompt, until what is left of it is less
        until_less = 1 + (engine.partial_rest_tokens - 1) // engine.run_prefill_tokens
        steps = min(steps, until_less) if steps > 0 else until_less
    return steps


@inlined
def _begin_run(jobs: Jobs, fleet: Fleet, replica: int, now_s: float) -> None:
    """Plans a replica's next run: whose prompts are computed, and how many steps are alike."""
    engine = fleet.engines[replica]
    budget = engine.most_tokens - engine.decodes
    left, partial = budget, engine.partial
    engine.n_completing, engine.partial = 0, NOBODY
    if partial != NOBODY:
        left = _compute_prompt(fleet, replica, partial, engine.partial_rest_tokens, left)
    left = _admit(jobs, fleet, replica, left, now_s)
    engine.run_prefill_tokens = budget - left
    steps = _steps_alike(fleet, replica)
    engine.run_start_s, engine.run_steps = now_s, steps
    if steps == 0:
        engine.run_end_s, engine.steps_done = np.inf, 0
        return
    if engine.partial != NOBODY:
        engine.partial_rest_tokens -= (steps - 1) * engine.run_prefill_tokens
    engine.run_end_s = now_s + _lasts_s(_first_step_s(engine), engine.per_context_token_s * engine.decodes, steps)


@inlined
def _end_decodes(jobs: Jobs, fleet: Fleet, replica: int) -> None:
    """Who has all tokens leaves."""
    engine = fleet.engines[replica]
    while engine.decodes > 0 and fleet.ends[replica, 0] >> REQUEST_BITS == engine.steps_done:
        job = fleet.ends[replica, 0] & ((1 << REQUEST_BITS) - 1)
        _pop(fleet, replica)
        held_tokens = jobs.prompt_tokens[job] + jobs.output_tokens[job]
        engine.context_tokens -= held_tokens
        fleet.in_cell[replica, (held_tokens - engine.steps_done) % engine.block_tokens] -= 1
        engine.n_running -= 1
        jobs.last_token_s[job] = engine.run_end_s


@inlined
def _begin_decodes(jobs: Jobs, fleet: Fleet, replica: int) -> None:
    """Who completed the prefill gets the first token, and decodes from now on if that is not all."""
    engine = fleet.engines[replica]
    for place in range(engine.n_completing):
        job = fleet.completing[replica, place]
        jobs.first_token_s[job] = engine.run_end_s
        if jobs.output_tokens[job] == 1:
            jobs.last_token_s[job] = engine.run_end_s
            engine.n_running -= 1
        else:
            held_tokens = jobs.prompt_tokens[job] + 1
            engine.context_tokens += held_tokens
            fleet.in_cell[replica, (held_tokens - engine.steps_done) % engine.block_tokens] += 1
            _push(fleet, replica, ((engine.steps_done + jobs.output_tokens[job] - 1) << REQUEST_BITS) | job)


@inlined
def _end_run(jobs: Jobs, fleet: Fleet, replica: int) -> bool:
    """Ends a replica's run; whether it left room in the memory."""
    engine = fleet.engines[replica]
    steps, decodes = engine.run_steps, engine.decodes
    if steps == 0:
        return True
    first_s, growth_s = _first_step_s(engine), engine.per_context_token_s * decodes
    engine.busy_s += _lasts_s(first_s, growth_s, steps)
    if decodes > 0:
        _count_gaps(fleet, decodes, first_s, growth_s, steps)
    has_room = _has_room(fleet, replica)
    engine.steps_done += steps
    engine.context_tokens += decodes * steps
    _end_decodes(jobs, fleet, replica)
    _begin_decodes(jobs, fleet, replica)
    partial = engine.partial
    engine.prefill_blocks = 0 if partial == NOBODY else -(-jobs.prompt_tokens[partial] // engine.block_tokens)
    return has_room


@inlined
def _join(jobs: Jobs, fleet: Fleet, replica: int, job: int, now_s: float) -> None:
    """A request joins the end of a replica's queue, and cuts its run short where it can be admitted."""
    engine = fleet.engines[replica]
    if engine.n_waiting == 0:
        engine.first_waiting = job
    else:
        jobs.next_waiting[engine.last_waiting] = job
    engine.last_waiting = job
    engine.n_waiting += 1
    if engine.run_steps == 0:
        engine.run_end_s = now_s  # begins once all that arrive at this moment are there
    elif engine.run_steps > 1 and engine.run_prefill_tokens == 0 and engine.n_running < engine.most_sequences:
        first_s, growth_s = _first_step_s(engine), engine.per_context_token_s * engine.decodes
        steps = _steps_until(first_s, growth_s, engine.run_start_s, now_s, engine.run_steps)
        engine.run_steps, engine.run_end_s = steps, engine.run_start_s + _lasts_s(first_s, growth_s, steps)


@compiled
def jump(jobs: Jobs, fleet: Fleet, arrival_s: Floats, span: Ints, is_in_turn: bool) -> bool:
    """Plays a span of arrivals through the engines, each sent to the one with the fewest outstanding requests.

    May be called again for the next span; the last one, which reaches the end, also serves what is outstanding.

    Args:
        jobs: all requests, in order of arrival.
        fleet: the engines.
        arrival_s: ascending [s], shape (requests,).
        span: first arrival to play, and the one to stop before, shape (2,).
        is_in_turn: whether each is sent to the next engine in place of that, whatever is outstanding there.

    Returns:
        False where an engine would hold more than 90 % of its memory, so that nothing of it is true.
    """
    n_jobs, n_replicas = arrival_s.size, fleet.engines.size
    is_last = span[1] == n_jobs
    for job in range(span[0], span[1] + 1 if is_last else span[1]):  # and, in the end, nobody, after all have left
        now_s = arrival_s[job] if job < n_jobs else np.inf
        first, stop = 0, n_replicas
        if is_in_turn and job < n_jobs:
            first = job % n_replicas
            stop = first + 1
        chosen, fewest = first, n_jobs + 1
        for replica in range(first, stop):
            engine = fleet.engines[replica]
            while engine.run_end_s < now_s:
                if not _end_run(jobs, fleet, replica):
                    return False
                _begin_run(jobs, fleet, replica, engine.run_end_s)
            if engine.n_running + engine.n_waiting < fewest:
                chosen, fewest = replica, engine.n_running + engine.n_waiting
        if job < n_jobs:
            _join(jobs, fleet, chosen, job, now_s)
    return True
