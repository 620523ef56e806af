"""What a streamed answer says, chunk by chunk."""

import json
from typing import Any

from planner.engines.answers import OK, Answer, AnswerReader

USAGE = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


def read(*chunks: dict[str, Any]) -> Answer:
    answer = Answer(sent_s=0.0)
    reader = AnswerReader(answer)
    for number, chunk in enumerate(chunks, start=1):
        reader.take(json.dumps(chunk).encode(), float(number))
    reader.end()
    return answer


def completion(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish_reason}]}


def chat(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def test_a_token_without_text_does_not_count_beside_others() -> None:
    answer = read(completion(""), completion("a"), completion("", "length"), USAGE)
    assert (answer.outcome, answer.chunk_s, answer.output_tokens) == (OK, [2.0], 2)


def test_an_answer_of_tokens_without_text_is_timed_by_its_first_chunk_that_is_no_role() -> None:
    role = chat({"role": "assistant", "content": ""})
    answer = read(role, chat({"content": ""}), chat({"content": ""}, "length"), USAGE)
    assert (answer.outcome, answer.chunk_s) == (OK, [2.0])


def test_an_answer_without_tokens_stays_empty() -> None:
    none = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}}
    assert read(completion("", "stop"), none).outcome == "empty"
    assert read(completion("", "stop")).outcome == "empty"
