"""The user's own prompts: as long as the server counts them, with all that stands before them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from known_server import KnownServer, tokens_of

from planner.engines import openai_http
from planner.engines.answers import Answer
from planner.engines.exchange import Timeouts
from planner.engines.openai_http import EndpointKind, OpenAIClient
from planner.engines.target import Target
from planner.loadtest import own_prompts
from planner.loadtest.calibration import calibrate
from planner.loadtest.choices import Choices
from planner.loadtest.load import PromptLoad
from planner.loadtest.own_prompts import PromptTokens, count_prompts
from planner.loadtest.recipe import Recipe
from planner.loadtest.schedule import Ask
from planner.loadtest.texts import Calibration
from planner.schema.workload import SharedPrefix
from planner.store.prompts.own_prompt import OwnPrompt

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "one two three"}}
PROMPTS = (
    OwnPrompt(({"role": "system", "content": "be brief"}, {"role": "user", "content": "what is it"})),
    OwnPrompt(({"role": "user", "content": "a much longer question than the other one"},)),
    OwnPrompt(({"role": "system", "content": "be brief"}, {"role": "user", "content": "what is it"})),
    OwnPrompt(
        (
            {"role": "user", "content": "call it"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "four five"}]},
        )
    ),
)
TOOLS = {"tools": [{"type": "function", "function": {"name": "f", "description": "does this and that"}}]}


def by_word(text: str) -> int:
    return len(text.split())


def with_client(server: KnownServer, kind: EndpointKind, work: Callable[[OpenAIClient], Any]) -> Any:
    async def run() -> Any:
        async with OpenAIClient(Target(server.url), kind, Timeouts(5.0)) as client:
            return await work(client)

    return asyncio.run(run())


def counted(
    server: KnownServer, recipe: Recipe, kind: EndpointKind = "chat", max_model_len: int | None = None
) -> tuple[PromptTokens, Calibration]:
    async def work(client: OpenAIClient) -> tuple[PromptTokens, Calibration]:
        calibration = await calibrate(client, "m")
        server.tokenized.clear()
        return await count_prompts(client, "m", recipe, calibration, max_model_len), calibration

    return with_client(server, kind, work)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["chat", "completions"])
@pytest.mark.parametrize("is_cache_busting", [True, False])
@pytest.mark.parametrize("tokenizer", [by_word, tokens_of])
def test_asked_lengths_are_those_that_the_server_counts_in_requests(
    tokenizer: Callable[[str], int], kind: EndpointKind, is_cache_busting: bool
) -> None:
    prompts = PROMPTS if kind == "chat" else PROMPTS[:2]
    prefix = SharedPrefix(tokens=20, distinct=3, fraction=0.5)
    parameters = TOOLS if kind == "chat" else {}
    recipe = Recipe(prompts=prompts, prefix=prefix, parameters=parameters, is_cache_busting=is_cache_busting)
    with KnownServer() as server:
        server.tokens_of = tokenizer
        found, calibration = counted(server, recipe, kind)

        async def send(client: OpenAIClient) -> None:
            load = PromptLoad(client, "m", calibration, (7, 8, 9), recipe)
            for index in range(40):
                await load.ask(load.prepare(Ask(index, 0, 1, index % len(prompts), index)), Answer())

        with_client(server, kind, send)
        sent = [served.input_tokens for served in server.log]
    has_prefix = Choices((7, 9), recipe).prefixes(40) >= 0
    expected = [
        int(found.tokens[index % len(prompts)]) + found.prefix_tokens * int(has_prefix[index]) for index in range(40)
    ]
    assert sent == expected
    assert 5 <= int(has_prefix.sum()) <= 35
    assert found.is_counted.all()
    assert found.note == ""


def test_each_different_prompt_is_counted_once_as_messages_with_tools() -> None:
    with KnownServer() as server:
        found, _ = counted(server, Recipe(prompts=PROMPTS, parameters=TOOLS, is_cache_busting=False))
    assert [body["messages"] for body in server.tokenized] == [
        list(PROMPTS[number].messages) for number in (0, 1, 3)
    ], "as they are, and none twice"
    assert all(body["tools"] == TOOLS["tools"] and body["model"] == "m" for body in server.tokenized)
    assert found.tokens[0] == found.tokens[2]


def lines(count: int, words: int = 4) -> tuple[OwnPrompt, ...]:
    return tuple(OwnPrompt(({"role": "user", "content": f"q{number} " + "x" * 12 * words},)) for number in range(count))


def test_beyond_a_number_lengths_are_estimated_by_the_ratio_of_those_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_prompts, "_MOST_COUNTED", 3)
    long = OwnPrompt(({"role": "user", "content": "y " * 300},))
    with KnownServer() as server:
        recipe = Recipe(prompts=(*lines(5), long), is_cache_busting=False)
        found, _ = counted(server, recipe, max_model_len=5_000)
        # Two words of 1 and 16 tokens beside the 7 of the template.
        assert found.tokens[:5].tolist() == [24] * 5
        assert found.is_counted.tolist() == [True] * 3 + [False] * 3
        assert found.note.startswith("the server counted 3 of 6 different prompts")
        assert 300 < found.tokens[5] < 3_000
        again, _ = counted(server, recipe, max_model_len=500)
    assert again.is_counted.tolist() == [True] * 3 + [False, False, True], "what looks too long is counted as well"
    assert again.tokens[5] == 307


def test_server_that_does_not_count_is_asked_no_more_and_lengths_are_estimates_with_a_note() -> None:
    with KnownServer() as server:
        server.has_tokenize = False
        found, calibration = counted(server, Recipe(prompts=PROMPTS, is_cache_busting=False))
        assert server.tokenized == []
        assert not found.is_counted.any()
        assert "lengths of your own prompts are estimated from their words" in found.note
        assert found.tokens[1] == round(calibration.fixed_tokens + 8 * calibration.tokens_per_word)
        server.has_tokenize, server.most_tokenized = True, 0
        recipe = Recipe(prompts=lines(200))
        found = with_client(server, "chat", lambda client: count_prompts(client, "m", recipe, Calibration()))
    assert len(server.tokenized) < 50, "the first few tell that it counts none"
    assert "estimated from their words" in found.note


class Failing:
    """In place of a server: what the answer to each question is, in turn; the last one for ever."""

    endpoint = "chat"

    def __init__(self, *answers: int | type[TimeoutError] | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def count_tokens(self, model: str, prompt: Any, parameters: Any) -> int | None:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(0)
        if isinstance(answer, int | None):
            return answer
        raise answer


@pytest.mark.parametrize("failure", [None, TimeoutError])
def test_server_that_stops_counting_is_soon_left_alone_and_the_rest_is_estimated(failure: Any) -> None:
    server = Failing(*[24] * 30, failure)
    recipe = Recipe(prompts=lines(2_500), is_cache_busting=False)
    found = asyncio.run(count_prompts(server, "m", recipe, Calibration(), 20))  # type: ignore[arg-type]
    assert 30 + 16 <= server.asked <= 30 + 2 * 16
    assert int(found.is_counted.sum()) == 30
    assert found.tokens.tolist() == [24] * 2_500, "all are alike, and estimated by those counted"
    assert found.note.startswith("the server counted 30 of 2,500 different prompts, until its /tokenize failed too")


def test_server_that_now_and_then_does_not_answer_is_left_alone_and_one_that_refuses_some_is_not() -> None:
    recipe = Recipe(prompts=lines(400), is_cache_busting=False)
    for failure, is_left_alone in ((TimeoutError, True), (None, False)):
        server = Failing(*[24, 24, failure] * 140)
        found = asyncio.run(count_prompts(server, "m", recipe, Calibration()))  # type: ignore[arg-type]
        assert (server.asked < 100) is is_left_alone
        assert ("failed too often" in found.note) is is_left_alone
        assert int(found.is_counted.sum()) == (server.asked * 2 + 2) // 3


def test_question_that_is_not_answered_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_http, "_COUNT_TIMEOUT_S", 0.05)

    async def ask(client: OpenAIClient) -> None:
        with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
            await client.count_tokens("m", "a")

    with KnownServer() as server:
        server.silent.add("/tokenize")
        with_client(server, "chat", ask)


def test_progress_is_told_and_counting_can_be_cut_off() -> None:
    with KnownServer() as server:
        told: list[tuple[int, int]] = []
        recipe = Recipe(prompts=lines(40))

        async def count(client: OpenAIClient) -> PromptTokens:
            return await count_prompts(client, "m", recipe, Calibration(), None, lambda *now: told.append(now))

        with_client(server, "chat", count)
        assert told == [(done, 40) for done in range(1, 41)]
        server.silent.add("/tokenize")

        async def cut_off(client: OpenAIClient) -> None:
            task = asyncio.create_task(count(client))
            while len(server.asked) < 41:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(asyncio.all_tasks()) == 1, "nobody asks on"

        with_client(server, "chat", cut_off)
