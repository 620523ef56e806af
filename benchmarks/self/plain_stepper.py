"""The same scheduler in a few lines of plain Python, as a peer that installs everywhere: one replica, memory enough.

It shares no code with the planner, so it also tells whether the planner's steps are the ones that are described.
"""

from collections import deque
from collections.abc import Sequence

Request = tuple[float, int, int]
"""When it arrives [s], tokens of its prompt, tokens of its answer."""


def plain_steps(
    requests: Sequence[Request], step_time_s: tuple[float, float, float, float], most_sequences: int, most_tokens: int
) -> list[tuple[float, float]]:
    """When each request got its first token and its last one [s].

    Args:
        requests: by arrival.
        step_time_s: of a step: base, per prompt token, per decode, per context token of the decodes [s].
        most_sequences: max_num_seqs.
        most_tokens: max_num_batched_tokens.
    """
    base, per_prefill_token, per_sequence, per_context_token = step_time_s
    first_s, last_s = [0.0] * len(requests), [0.0] * len(requests)
    waiting: deque[int] = deque()
    prefill: dict[int, int] = {}  # request → prompt tokens left to compute
    decode: dict[int, int] = {}  # request → tokens generated
    now_s, following = 0.0, 0
    while following < len(requests) or waiting or prefill or decode:
        if not waiting and not prefill and not decode:
            now_s = max(now_s, requests[following][0])
        while following < len(requests) and requests[following][0] <= now_s:
            waiting.append(following)
            following += 1
        budget = most_tokens - len(decode)
        chunks = {}
        for number, left in prefill.items():
            chunks[number] = min(left, budget)
            budget -= chunks[number]
        while waiting and budget > 0 and len(prefill) + len(decode) < most_sequences:
            number = waiting.popleft()
            prefill[number] = requests[number][1]
            chunks[number] = min(prefill[number], budget)
            budget -= chunks[number]
        context = sum(requests[number][1] + tokens for number, tokens in decode.items())
        now_s += base + per_prefill_token * sum(chunks.values())
        now_s += per_sequence * len(decode) + per_context_token * context
        for number in list(decode):
            decode[number] += 1
            if decode[number] == requests[number][2]:
                last_s[number] = now_s
                del decode[number]
        for number, tokens in chunks.items():
            prefill[number] -= tokens
            if prefill[number] == 0:
                first_s[number] = last_s[number] = now_s
                del prefill[number]
                if requests[number][2] > 1:
                    decode[number] = 1
    return list(zip(first_s, last_s, strict=True))
