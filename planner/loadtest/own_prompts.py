"""The user's own prompts as they are sent, and how many tokens they have on the server."""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from planner.core.lengths import Tokens
from planner.engines.openai_http import EndpointKind, Message, OpenAIClient
from planner.loadtest.recipe import Recipe
from planner.loadtest.sample import Bools
from planner.loadtest.texts import Calibration, Texts
from planner.store.prompts.own_prompt import OwnPrompt

OnCount = Callable[[int, int], None]

_MARK_WORDS = 3
"""Before a prompt, about: with them no two are the same in 100,000."""
_MOST_COUNTED = 2000
_AT_ONCE = 16
_MOST_UNCOUNTED = _AT_ONCE
"""So many in a row that the server does not count, or so many in all that it does not answer, and it is asked no more:
each that it does not answer takes ten seconds."""


@dataclass(frozen=True)
class PromptTokens:
    """How long prompts are on the server, with what stands before each of them but a shared prefix.

    Attributes:
        tokens: of each prompt [tokens], shape (prompts,).
        is_counted: whether the server counted it, and it is no estimate. Shape (prompts,).
        prefix_tokens: what a shared prefix adds [tokens].
        note: what must be known of them; empty where the server counted all.
    """

    tokens: Tokens
    is_counted: Bools
    prefix_tokens: int = 0
    note: str = ""


class Marks:
    """A few words before prompts, so that no two are the same; of as many tokens each, where words can be counted."""

    def __init__(self, seed: tuple[int, ...], calibration: Calibration) -> None:
        known = [tokens for tokens in calibration.word_tokens if tokens]
        self._tokens = math.ceil(_MARK_WORDS * sum(known) / len(known)) if known else _MARK_WORDS
        self._texts = Texts(seed, calibration if known else Calibration())

    def text(self, index: int) -> str:
        """The words before a request's prompt."""
        return self._texts.text(self._tokens, index)


def as_sent(prompt: OwnPrompt, before: Sequence[str], endpoint: EndpointKind) -> str | list[Message]:
    """A prompt as a request holds it.

    Args:
        prompt: that is asked.
        before: what stands before it, a paragraph each.
        endpoint: a text goes to completions, messages to chat.
    """
    messages = prompt.after("\n\n".join(before))
    return OwnPrompt(tuple(messages)).text if endpoint == "completions" else messages


async def count_prompts(
    client: OpenAIClient,
    model: str,
    recipe: Recipe,
    calibration: Calibration,
    max_model_len: int | None = None,
    on_count: OnCount = lambda _, __: None,
) -> PromptTokens:
    """Has the server count the user's own prompts, as far as it does: each text once, and the first 2,000 of them.

    Of those beyond, the ones that look longer than the context are counted as well, so that none is refused by an
    estimate alone. The rest are estimated from their words and the ratio of those counted.

    Args:
        client: of the server.
        model: that is measured.
        recipe: with the prompts.
        calibration: of generated prompts: how many tokens words have, and whether the server counts texts.
        max_model_len: the server's context; None where nobody knows it [tokens].
        on_count: told how many are counted, and of how many.
    """
    rows, distinct = _distinct(recipe.prompts)
    before = [Marks((0,), calibration).text(0)] if recipe.is_cache_busting else []
    tools = json.dumps(recipe.parameters["tools"], ensure_ascii=False) if "tools" in recipe.parameters else ""
    estimates = np.array(
        [calibration.estimate(" ".join([*before, prompt.text, tools])) for prompt in distinct], dtype=np.float64
    )
    asked = [as_sent(prompt, before, client.endpoint) for prompt in distinct[:_MOST_COUNTED]]
    counts = np.full(len(distinct), -1, dtype=np.int64)
    is_given_up = False
    prefix_tokens = await _prefix_tokens(client, model, recipe, calibration, before)
    if not calibration.requests_sent:  # else there was no way to count but by asking
        counts[: len(asked)], is_given_up = await _counted(client, model, recipe, asked, on_count)
    is_counted = counts > 0
    if is_counted.any():
        estimates *= counts[is_counted].sum() / estimates[is_counted].sum()
    if is_counted.any() and not is_given_up:
        room = np.inf if max_model_len is None else max_model_len - prefix_tokens
        doubtful = np.flatnonzero(~is_counted & (estimates >= room))[:_MOST_COUNTED]
        again = [as_sent(distinct[number], before, client.endpoint) for number in doubtful]
        counts[doubtful], is_given_up = await _counted(client, model, recipe, again, on_count)
        is_counted = counts > 0
    tokens = np.where(is_counted, counts, np.maximum(1, np.rint(estimates))).astype(np.int32)
    return PromptTokens(
        tokens[rows],
        is_counted[rows],
        prefix_tokens,
        _note(int(is_counted.sum()), len(distinct), is_given_up),
    )


def _note(counted: int, distinct: int, is_given_up: bool) -> str:
    if counted == distinct:
        return ""
    if not counted:
        return (
            "the server does not count texts: lengths of your own prompts are estimated from their words, and those "
            "of other languages, of code and of images are far off"
        )
    until = ", until its /tokenize failed too often" if is_given_up else ""
    return (
        f"the server counted {counted:,} of {distinct:,} different prompts{until}: lengths of the others are "
        "estimated from their words and the ratio of those counted"
    )


def _distinct(prompts: Sequence[OwnPrompt]) -> tuple[Tokens, list[OwnPrompt]]:
    """Where each stands among the different ones, and these in the order of the file."""
    numbers: dict[bytes, int] = {}
    distinct: list[OwnPrompt] = []
    rows = np.empty(len(prompts), dtype=np.int32)
    for row, prompt in enumerate(prompts):
        rows[row] = number = numbers.setdefault(msgspec.json.encode(prompt.messages), len(distinct))
        if number == len(distinct):
            distinct.append(prompt)
    return rows, distinct


async def _counted(
    client: OpenAIClient, model: str, recipe: Recipe, asked: Sequence[str | list[Message]], on_count: OnCount
) -> tuple[list[int], bool]:
    """Tokens of each, or -1 where the server did not count it; and whether it was asked no more since it failed."""
    found = [-1] * len(asked)
    left = iter(range(len(asked)))
    done, in_a_row, unanswered = 0, 0, 0
    is_given_up = False

    async def work() -> None:
        nonlocal done, in_a_row, unanswered, is_given_up
        for number in left:
            try:
                tokens = await client.count_tokens(model, asked[number], recipe.parameters)
            except TimeoutError:
                tokens, unanswered = None, unanswered + 1
            found[number] = tokens or -1
            done, in_a_row = done + 1, 0 if tokens else in_a_row + 1
            on_count(done, len(asked))
            is_given_up |= max(in_a_row, unanswered) >= _MOST_UNCOUNTED
            if is_given_up:
                return

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return found, is_given_up


async def _prefix_tokens(
    client: OpenAIClient, model: str, recipe: Recipe, calibration: Calibration, before: list[str]
) -> int:
    """What a shared prefix adds to a prompt [tokens]."""
    if recipe.prefix is None:
        return 0
    text = Texts((0,), calibration).text(recipe.prefix.tokens, 0)
    both = [as_sent(recipe.prompts[0], each, client.endpoint) for each in (before, [text, *before])]
    if calibration.requests_sent:
        return recipe.prefix.tokens
    (without, with_prefix), _ = await _counted(client, model, recipe, both, lambda _, __: None)
    return with_prefix - without if with_prefix > without > 0 else recipe.prefix.tokens
