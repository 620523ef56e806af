"""Users who each have one request at a time, through the simulator's scheduler."""

import numpy as np

from planner.core.scheduler import Scheduler
from planner.schema.profile import Profile

_SPREAD_FRACTION = 0.1
"""Lengths are drawn within so much of the one asked for, so that users who all start at once come apart."""
_ROUNDS = 10
"""Requests of each user."""


def closed_loop(profile: Profile, users: int, input_tokens: int, output_tokens: int, seed: int = 1) -> dict[str, float]:
    """Mean TTFT and TPOT of a closed loop [s], of all requests and of those between first and last rounds.

    Args:
        profile: of the server.
        users: how many.
        input_tokens: of a prompt, on average.
        output_tokens: of an answer, on average.
        seed: of the lengths.
    """
    rng = np.random.default_rng(seed)
    count = users * _ROUNDS
    spread = (1 - _SPREAD_FRACTION, 1 + _SPREAD_FRACTION)
    prompts = np.round(input_tokens * rng.uniform(*spread, count)).astype(int)
    outputs = np.round(output_tokens * rng.uniform(*spread, count)).astype(int)
    scheduler = Scheduler(profile.step_time_s, profile.limits, slots=users)
    now_s, asked = 0.0, 0
    sent_s, first_s, last_s = np.zeros(count), np.full(count, np.nan), np.zeros(count)
    request_of: dict[int, int] = {}
    while asked < users:
        request_of[scheduler.add(int(prompts[asked]), int(outputs[asked]))] = asked
        asked += 1
    finished = 0
    while finished < count:
        duration_s = scheduler.begin_step()
        if duration_s is None:
            raise RuntimeError("users wait and nothing is done")
        now_s += duration_s
        emitted, ended = scheduler.end_step()
        for slot in emitted.tolist():
            request = request_of[slot]
            if np.isnan(first_s[request]):
                first_s[request] = now_s
        for slot in ended.tolist():
            last_s[request_of.pop(slot)] = now_s
        finished += ended.size
        # Only now, since a new request may be given the slot of any that has ended.
        for _ in range(min(ended.size, count - asked)):
            sent_s[asked] = now_s
            request_of[scheduler.add(int(prompts[asked]), int(outputs[asked]))] = asked
            asked += 1
    tpot_s, ttft_s, later = (last_s - first_s) / (outputs - 1), first_s - sent_s, slice(users, count - users)
    return {
        "ttft_s": float(ttft_s.mean()),
        "ttft_later_s": float(ttft_s[later].mean()),
        "tpot_later_s": float(tpot_s[later].mean()),
    }
