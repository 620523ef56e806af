"""An answer is the same whether the parts of its stream are taken one by one or many at a time."""

import asyncio
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from planner.engines.answers import Answer
from planner.engines.exchange import Exchange, Timeouts

EVENTS = {
    "role": b'data: {"model": "m", "choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n',
    "token": b'data: {"model": "m", "choices": [{"delta": {"content": "x"}}]}\n\n',
    "text": b'data: {"choices": [{"text": "x", "finish_reason": null}]}\n\n',
    "tool": b'data: {"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}\n\n',
    "silent": b'data: {"choices": [{"delta": {"content": ""}}]}\n\n',
    "usage so far": b'data: {"choices": [{"delta": {"content": "x"}}], "usage": {"completion_tokens": 3}}\n\n',
    "two choices": b'data: {"choices": [{"text": "x"}, {"text": "y"}]}\n\n',
    "finish": b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n',
    "usage": b'data: {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}\n\n',
    "done": b"data: [DONE]\n\n",
    "ping": b": ping\n\n",
    "empty": b"data: \n\n",
    "two lines": b'data: {"choices": [\ndata: {"text": "x"}]}\n\n',
    "CR LF": b'data: {"choices": [{"text": "x"}]}\r\n\r\n',
    "error": b'data: {"error": {"message": "out of memory"}}\n\n',
    "no JSON": b"data: {]\n\n",
    "two of JSON": b'data: {"choices": [{"text": "x"}]}{"choices": [{"text": "y"}]}\n\n',
    "reasoning": b'data: {"choices": [{"delta": {"reasoning_content": "x"}}]}\n\n',
    "blanks": b"data:   \n\n",
    "other model": b'data: {"model": "n", "choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n',
    "aborted": b'data: {"choices": [{"delta": {}, "finish_reason": "abort"}]}\n\n',
    "half of JSON": b'data: {"choices": [{"text": "\n\n',
}
OFTEN = ["token"] * 8
PARTS = st.lists(st.sampled_from([*OFTEN, *EVENTS]), min_size=1, max_size=12)


def answered(batches: list[list[tuple[bytes, float]]]) -> Answer:
    async def work() -> Answer:
        answer = Answer(sent_s=0.0)  # long ago
        exchange = Exchange(answer, Timeouts(1e9))
        exchange.head(200, {b"content-type": b"text/event-stream"})
        for batch in batches:
            exchange.body([part for part, _ in batch], [read_s for _, read_s in batch])
        exchange.end(1000.0)
        return answer

    return asyncio.run(work())


@given(PARTS, st.data())
def test_batches_of_any_size_give_the_same_answer(names: list[str], data: Any) -> None:
    stream = b"".join(EVENTS[name] for name in names)
    ends = [sum(len(EVENTS[name]) for name in names[:count]) for count in range(len(names) + 1)]
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=3), label="cuts elsewhere")
    edges = sorted({*ends, *cuts})
    parts = [(stream[a:b], float(place)) for place, (a, b) in enumerate(pairwise(edges))]
    one_by_one = answered([[part] for part in parts])
    assert answered([parts]) == one_by_one
    middle = data.draw(st.integers(1, len(parts)), label="second batch")
    assert answered([batch for batch in (parts[:middle], parts[middle:]) if batch]) == one_by_one


def test_plain_answer_has_every_time() -> None:
    names = ["role", *["token"] * 5, "finish", "usage", "done"]
    answer = answered([[(EVENTS[name], float(place)) for place, name in enumerate(names)]])
    assert (answer.outcome, answer.chunk_s) == ("ok", [1.0, 2.0, 3.0, 4.0, 5.0])
    assert (answer.input_tokens, answer.output_tokens, answer.models) == (5, 7, ["m"])


def ended(*names: str) -> Answer:
    return answered([[(EVENTS[name], float(place)) for place, name in enumerate(names)]])


def test_answer_that_the_server_broke_off_is_no_good_one() -> None:
    answer = ended("role", "token", "aborted", "done")
    assert (answer.outcome, answer.message) == ("broken_off", "the server gave finish_reason 'abort'")


def test_model_that_changes_is_told_and_a_name_that_is_empty_is_none() -> None:
    assert ended("role", "token", "other model", "done").models == ["m", "n"]
    nameless = b'data: {"model": "", "choices": []}\n\n'
    assert answered([[(nameless, 0.0), (EVENTS["token"], 1.0), (EVENTS["other model"], 2.0)]]).models == ["n"]
