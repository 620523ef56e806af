"""Texts: as long as asked, and never alike."""

import asyncio
import json
from typing import Any

import pytest
from known_server import FIXED_TOKENS, KnownServer, tokens_of

from planner.engines.exchange import Timeouts
from planner.engines.openai_http import EndpointKind, OpenAIClient
from planner.engines.target import Target
from planner.loadtest.calibration import calibrate
from planner.loadtest.texts import WORDS, Calibration, Texts

ABOUT = "generated prompts are only about as long as asked: "


TOOLS = {"tools": [{"type": "function", "function": {"name": "f", "description": "does this and that"}}]}
TOOLS_TOKENS = tokens_of(json.dumps(TOOLS["tools"]))


def calibrated(server: KnownServer, kind: EndpointKind = "chat", **parameters: Any) -> Calibration:
    async def work() -> Calibration:
        async with OpenAIClient(Target(server.url), kind, Timeouts(5.0)) as client:
            return await calibrate(client, "m", parameters)

    return asyncio.run(work())


@pytest.mark.parametrize(("kind", "fixed"), [("chat", FIXED_TOKENS), ("completions", 0)])
@pytest.mark.parametrize("has_tokenize", [True, False])
def test_prompts_have_the_tokens_asked(kind: EndpointKind, fixed: int, has_tokenize: bool) -> None:
    with KnownServer() as server:
        server.has_tokenize = has_tokenize
        found = calibrated(server, kind)
        assert len(server.log) == (0 if has_tokenize else 2)
    assert found.warning == ("" if has_tokenize else ABOUT + "the server has no /tokenize that counts them")
    for asked in (32, 100, 512, 3000):
        texts = Texts((1,), found)
        counts = [fixed + tokens_of(texts.text(found.text_tokens(asked), index)) for index in range(30)]
        if has_tokenize:
            assert counts == [asked] * 30
        assert sum(counts) / 30 == pytest.approx(asked, rel=0.02, abs=1.5)
        assert max(abs(count - asked) for count in counts) < 0.05 * asked + 5


def test_server_that_counts_nothing_gets_words_and_a_warning() -> None:
    with KnownServer("no_usage") as server:
        server.has_tokenize = False
        found = calibrated(server)
    assert len(Texts((1,), found).text(found.text_tokens(100), 0).split()) == 100
    assert "counts no prompt tokens" in found.warning


def test_prompts_that_are_long_as_asked_only_on_average_have_a_note_with_the_reason() -> None:
    with KnownServer() as server:
        server.tokens_of = lambda text: tokens_of(text) + ord((text or "a")[0]) - ord("a")
        assert calibrated(server).warning == ABOUT + "how many tokens a word has depends on the words beside it"
        server.tokens_of = lambda text: tokens_of(text) + (3 if len(text.split()) in range(30, 151) else 0)
        assert calibrated(server).warning.startswith(ABOUT + "a text of words that have 150 tokens has 153 on")
        server.tokens_of = tokens_of
        server.most_tokenized = len(server.tokenized) + 2 + 2 * len(WORDS)
        found = calibrated(server)
    assert found.warning == ABOUT + "the server's /tokenize no longer answers"
    assert found.word_tokens == ()
    with KnownServer() as server:
        server.most_tokenized = 20
        assert calibrated(server).warning == ABOUT + "the server's /tokenize no longer answers"
        assert len(server.tokenized) <= 20 + 2 * 16, "after a few failures it is left alone"


def test_prompts_differ_from_the_start_and_repeat_by_seed() -> None:
    texts_of = Texts((1, 2))
    texts = [texts_of.text(60, index) for index in range(-1000, 1000)]
    assert len({" ".join(text.split()[:6]) for text in texts}) == 2000
    other = Texts((1, 2))
    assert [other.text(60, index) for index in (999, -1000, 0)] == [texts[1999], texts[0], texts[1000]]
    assert Texts((1, 3)).text(60, 0) != texts[1000]
    assert len(texts_of.text(1000, 0).split()) == 1000
    assert len(set(WORDS)) == len(WORDS)


@pytest.mark.parametrize("has_tokenize", [True, False])
def test_tools_are_taken_off_the_text_of_prompts(has_tokenize: bool) -> None:
    with KnownServer() as server:
        server.has_tokenize = has_tokenize
        found = calibrated(server, **TOOLS, temperature=0.5)
        assert len(server.log) == found.requests_sent == (0 if has_tokenize else 4)
        assert calibrated(server, temperature=0.5).added_tokens == 0
    assert TOOLS_TOKENS > 20
    assert found.added_tokens == TOOLS_TOKENS
    assert found.text_tokens(200) == 200 - FIXED_TOKENS - TOOLS_TOKENS
    assert found.text_tokens(200, is_first=False) == 200 - FIXED_TOKENS, "later turns have them already"
    assert found.warning == ("" if has_tokenize else ABOUT + "the server has no /tokenize that counts them")


def test_tools_that_the_server_does_not_count_are_told() -> None:
    with KnownServer() as server:
        server.counts_tools = False
        found = calibrated(server, **TOOLS)
        assert found.added_tokens == 0
        assert found.warning.startswith("the server counts no tokens of tools by /tokenize: prompts are longer than")
        server.has_tokenize = False
        assert "; the server counts no tokens of tools in its usage" in calibrated(server, **TOOLS).warning


def test_prompt_shorter_than_the_template_is_one_word() -> None:
    found = Calibration(1.2, 30.0)
    assert len(Texts((1,), found).text(found.text_tokens(4), 0).split()) == 1
