"""Answers as the records that a run keeps."""

import numpy as np

from planner.engines.answers import Answer
from planner.schema.benchmark import RequestRecord

_DECIMALS = 6
"""Of seconds: no clock of ours is better, and the files are half as long."""


def record(
    index: int, due_s: float, asked: tuple[int, int], answer: Answer, start_s: float, is_warmup: bool = False
) -> RequestRecord:
    """A request's record.

    Args:
        index: its place in the schedule.
        due_s: when it was due, since the point's start [s]; in a closed loop, when it was sent.
        asked: lengths of prompt and answer asked for [tokens].
        answer: what came of it.
        start_s: the point's start, on the clock of the answer [s].
        is_warmup: sent before anything counts.
    """

    def since(time_s: float | None) -> float | None:
        return None if time_s is None else round(time_s - start_s, _DECIMALS)

    chunk_s = np.array(answer.chunk_s)
    return RequestRecord(
        index=index,
        is_warmup=is_warmup,
        due_s=round(due_s, _DECIMALS),
        sent_s=since(answer.sent_s),
        first_token_s=since(answer.chunk_s[0] if answer.chunk_s else None),
        finished_s=since(answer.finished_s),
        asked_input_tokens=asked[0],
        asked_output_tokens=asked[1],
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        cached_input_tokens=answer.cached_input_tokens,
        reasoning_tokens=answer.reasoning_tokens,
        model=answer.model,
        asked_model=answer.asked_model,
        outcome=answer.outcome,
        message=answer.message,
        gaps_s=(chunk_s[1:] - chunk_s[:-1]).round(_DECIMALS).tolist(),
    )
