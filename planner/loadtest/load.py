"""Requests as the driver sends them: made after a recipe, each of the length asked, through the streaming client."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
import numpy as np

from planner.engines.answers import OK, Answer, is_same_model
from planner.engines.exchange import Timeouts
from planner.engines.openai_http import EndpointKind, Message, OpenAIClient
from planner.engines.target import Target
from planner.loadtest.ahead import Prepared
from planner.loadtest.conversations import Conversations
from planner.loadtest.driver import Load
from planner.loadtest.recipe import Recipe
from planner.loadtest.schedule import Ask
from planner.loadtest.texts import Calibration, Texts
from planner.store.prompts import OwnPrompt

_PREFIX, _CHOICE, _MARK = range(1, 4)
"""Streams of random numbers besides that of the texts."""
_MOST_PREFIXES = 1024
"""Kept; others are made again."""
_MARK_WORDS = 3
"""Before a prompt of the user's own: with them no two are the same in 100,000."""


class PromptLoad:
    """What a load point sends. All of a request follows from seed and index alone, but for what a server answers."""

    def __init__(
        self, client: OpenAIClient, model: str, calibration: Calibration, seed: tuple[int, ...], recipe: Recipe
    ) -> None:
        self._client = client
        self._model = model
        self._recipe = recipe
        self._text_tokens = calibration.text_tokens
        seed = seed if recipe.is_cache_busting else seed[:1]
        self._texts = Texts(seed, calibration)
        self._marks = Texts((*seed, _MARK))
        self._choices = Texts((*seed, _CHOICE))
        self._names = tuple(recipe.models)
        shares = np.cumsum(list(recipe.models.values()))
        self._shares = shares / shares[-1] if shares.size else shares
        self._of_prefix = Texts((*seed, _PREFIX), calibration)
        self._prefix = lru_cache(_MOST_PREFIXES)(lambda number, tokens: self._of_prefix.text(tokens, number))
        self._parameters = recipe.parameters
        self._conversations = Conversations()

    def prepare(self, ask: Ask) -> Prepared:
        """A request; in a conversation, its new message."""
        model, prefix = self._chosen(ask.conversation)
        prompt = self._own(ask, prefix) if self._recipe.prompts else self._text(ask, prefix if ask.turn == 0 else None)
        if self._recipe.turns > 1 and isinstance(prompt, str):
            return Prepared(b"", model, prompt, ask)
        return Prepared(self._client.body(model, prompt, ask.output_tokens, self._parameters), model)

    def _text(self, ask: Ask, prefix: int | None) -> str:
        tokens = self._text_tokens(ask.input_tokens)
        if prefix is None or self._recipe.prefix is None or tokens == 1:
            return self._texts.text(tokens, ask.index)
        # A prompt that is too short for a prefix begins with as much of it as leaves room for a word of its own.
        shared = min(self._recipe.prefix.tokens, tokens - 1)
        return f"{self._prefix(prefix, shared)} {self._texts.text(tokens - shared, ask.index)}"

    def _own(self, ask: Ask, prefix: int | None) -> str | list[Message]:
        """One of the user's own prompts."""
        before = []
        if prefix is not None and self._recipe.prefix is not None:
            before.append(self._prefix(prefix, self._recipe.prefix.tokens))
        if self._recipe.is_cache_busting:
            before.append(self._marks.text(_MARK_WORDS, ask.index))
        prompt = self._recipe.prompts[ask.row].after("\n\n".join(before))
        if self._client.endpoint == "completions":
            return OwnPrompt(tuple(prompt)).text
        return prompt

    def _chosen(self, index: int) -> tuple[str, int | None]:
        """Whom a request asks, and the number of the prefix that it has: likewise for all turns of a conversation."""
        prefix = self._recipe.prefix
        if not self._names and prefix is None:
            return self._model, None
        model, begins, which = self._choices.uniform(3, index)
        name = self._names[int(np.searchsorted(self._shares, model, side="right"))] if self._names else self._model
        has_prefix = prefix is not None and begins < prefix.fraction
        return name, int(which * prefix.distinct) if prefix is not None and has_prefix else None

    async def connect(self, connections: int) -> None:
        """Opens connections ahead of the requests that will need them."""
        await self._client.connect(connections)

    async def ask(self, prepared: Prepared, answer: Answer) -> None:
        """Sends it, and fills in the answer as it comes; its model where it is another than the one asked."""
        asked = prepared.model
        if asked != self._model:
            answer.asked_model = asked
        try:
            if prepared.message is None or prepared.ask is None:
                await self._client.ask(prepared.body, answer)
            else:
                await self._ask_next(prepared.model, prepared.message, prepared.ask, answer)
        finally:
            others = (model for model in answer.models if not is_same_model(asked, model))
            if (other := next(others, None)) is not None:
                answer.model = self._client.target.shown(other)

    async def _ask_next(self, model: str, text: str, ask: Ask, answer: Answer) -> None:
        """Sends all that was said before with a new message."""
        message = {"role": "user", "content": text}
        messages = msgspec.Raw(self._conversations.messages(ask.conversation, message))
        answer.text = []
        await self._client.ask(self._client.body(model, messages, ask.output_tokens, self._parameters), answer)
        if ask.turn == self._recipe.turns - 1:
            self._conversations.end(ask.conversation)
        elif answer.outcome == OK:
            self._conversations.answered(ask.conversation, message, "".join(answer.text))
        answer.text = None


class CountedLoad:
    """A load that tells of each request before it is sent, so that none is forgotten whatever becomes of us."""

    def __init__(self, load: Load, count_sent: Callable[[], None]) -> None:
        self._count_sent = count_sent
        self._load = load
        self.prepare = load.prepare
        self.connect = load.connect

    async def ask(self, prepared: Prepared, answer: Answer) -> None:
        """Sends a request, and fills in the answer as it comes."""
        self._count_sent()
        await self._load.ask(prepared, answer)


@dataclass(frozen=True)
class LoadSpec:
    """All that it takes to send a load point's requests, from whichever process.

    Attributes:
        target: the server.
        endpoint: of its API.
        timeouts: of a request.
        model: that is measured.
        calibration: of prompts.
        seed: of prompts; the same index has the same prompt in every process.
        recipe: of requests.
    """

    target: Target
    endpoint: EndpointKind
    timeouts: Timeouts
    model: str
    calibration: Calibration
    seed: tuple[int, ...]
    recipe: Recipe = field(default_factory=Recipe)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[PromptLoad]:
        """With connections of its own."""
        async with OpenAIClient(self.target, self.endpoint, self.timeouts) as client:
            yield PromptLoad(client, self.model, self.calibration, self.seed, self.recipe)
