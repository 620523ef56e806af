"""How many tokens texts have on a server: asked before the first load point, so that prompts are as long as asked."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from planner.engines.answers import OK, Answer
from planner.engines.openai_http import FORCED_LENGTH, OpenAIClient
from planner.loadtest.texts import WORDS, Calibration, Texts

_PROBES = (1, 2)
"""How often the probes say all words."""
_AT_ONCE = 16
_CONTEXT = WORDS[0]
_CHECKED_TOKENS = (9, 150, 400)
_FAILS = "the server's /tokenize no longer answers"
_DEPENDS = "how many tokens a word has depends on the words beside it"
_LEAST_WORDS = 32
"""Of which it must be known how many tokens they have; texts of fewer would be too much alike."""


async def calibrate(
    client: OpenAIClient, model: str, parameters: Mapping[str, Any] = MappingProxyType({})
) -> Calibration:
    """Finds out how many tokens words are, and what parameters of requests, such as tools, add to a prompt.

    By the server's `/tokenize`, or by the usage of a few short requests.
    """
    found = await _of_words(client, model)
    return await _with_added(client, model, parameters, found) if client.of_prompt(parameters) else found


async def _of_words(client: OpenAIClient, model: str) -> Calibration:
    counts: list[int] = []
    sent = 0
    for count in (_tokenized, _used):
        sent = len(_PROBES) if count is _used else 0
        counts = [tokens for times in _PROBES if (tokens := await count(client, model, " ".join(WORDS * times)))]
        if len(counts) == len(_PROBES):
            break
    else:
        warning = "the server counts no prompt tokens: prompts have as many words as tokens asked"
        return Calibration(warning=warning, requests_sent=sent)
    per_word = (counts[1] - counts[0]) / len(WORDS)
    if not 0.2 <= per_word <= 20:
        warning = f"the server counts {per_word:.3g} tokens per word, which cannot be: taken as 1"
        return Calibration(warning=warning, requests_sent=sent)
    on_average = Calibration(per_word, max(0.0, counts[0] - per_word * len(WORDS)), requests_sent=sent)
    if sent:
        return _about(on_average, "the server has no /tokenize that counts them")
    return await _exact(client, model, on_average)


def _about(on_average: Calibration, why: str) -> Calibration:
    """The same with a note of how long prompts come out."""
    return replace(on_average, warning=f"generated prompts are only about as long as asked: {why}")


async def _exact(client: OpenAIClient, model: str, on_average: Calibration) -> Calibration:
    """The same with the tokens of each word, where they do not depend on its neighbours, and the server proves it.

    Where they do, with a note of why prompts are only about as long as asked.
    """
    found = on_average
    if on_average.tokens_per_word == 1.0:  # no word has less than one
        found = replace(on_average, word_tokens=(1,) * len(WORDS))
    elif isinstance(by_word := await _by_word(client, model), str):
        return _about(on_average, by_word)
    else:
        fixed, word_tokens = by_word
        found = replace(on_average, fixed_tokens=float(fixed), word_tokens=word_tokens)
    texts = Texts((0,), found)
    for tokens in _CHECKED_TOKENS:
        counted = await _tokenized(client, model, texts.text(tokens, 0))
        if counted is None:
            return _about(on_average, _FAILS)
        if counted != tokens + found.fixed_tokens:
            why = f"a text of words that have {tokens} tokens has {counted - found.fixed_tokens:g} on the server"
            return _about(on_average, why)
    return found


async def _by_word(client: OpenAIClient, model: str) -> tuple[int, tuple[int, ...]] | str:
    """Tokens around a text, and of each word; or why too few words have as many at the start as behind another."""
    room = asyncio.Semaphore(_AT_ONCE)
    failed = 0

    async def count(text: str) -> int:
        nonlocal failed
        async with room:
            tokens = (await _tokenized(client, model, text) or 0) if failed < _AT_ONCE else 0
        failed += not tokens
        return tokens

    alone = await asyncio.gather(*map(count, WORDS))
    behind = await asyncio.gather(*(count(f"{_CONTEXT} {word}") for word in WORDS))
    if failed >= _AT_ONCE:
        return _FAILS
    tokens = [both - alone[0] for both in behind]
    around = Counter(first - later for first, later in zip(alone, tokens, strict=True))
    fixed, words = around.most_common(1)[0]
    known = tuple(
        later if first - later == fixed and later > 0 else 0 for first, later in zip(alone, tokens, strict=True)
    )
    return (fixed, known) if words >= _LEAST_WORDS and fixed >= 0 and 1 in known else _DEPENDS


async def _with_added(
    client: OpenAIClient, model: str, parameters: Mapping[str, Any], found: Calibration
) -> Calibration:
    """The same with what parameters add to a prompt, or a note of why prompts are longer by that."""
    text = " ".join(WORDS)
    if is_by_usage := found.requests_sent > 0:
        counts = await _used(client, model, text), await _used(client, model, text, parameters)
        found = replace(found, requests_sent=found.requests_sent + len(counts))
    else:
        counts = await _tokenized(client, model, text), await _tokenized(client, model, text, parameters)
    without, with_all = counts
    added = with_all - without if without and with_all else 0
    if added or "tools" not in parameters:
        return replace(found, added_tokens=float(added))
    where = "in its usage" if is_by_usage else "by /tokenize"
    note = (
        f"the server counts no tokens of tools {where}: prompts are longer than asked by those that it puts into them"
    )
    return replace(found, warning="; ".join(filter(None, [found.warning, note])))


async def _tokenized(
    client: OpenAIClient, model: str, text: str, parameters: Mapping[str, Any] = MappingProxyType({})
) -> int | None:
    try:
        return await client.count_tokens(model, text, parameters)
    except TimeoutError:
        return None


async def _used(
    client: OpenAIClient, model: str, text: str, parameters: Mapping[str, Any] = FORCED_LENGTH
) -> int | None:
    answer = Answer()
    await client.ask(client.body(model, text, 1, parameters), answer)
    return answer.input_tokens if answer.outcome == OK else None
