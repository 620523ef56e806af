"""Requests as the driver sends them: made after a recipe, each of the length asked, through the streaming client."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from planner.engines.answers import OK, Answer, is_same_model
from planner.engines.exchange import Timeouts
from planner.engines.openai_http import EndpointKind, Message, OpenAIClient
from planner.engines.target import Target
from planner.loadtest.ahead import NextTurn, Prepared
from planner.loadtest.choices import NO_PREFIX, Choices
from planner.loadtest.driver import Load
from planner.loadtest.own_prompts import Marks, as_sent
from planner.loadtest.recipe import Recipe
from planner.loadtest.said import Said
from planner.loadtest.schedule import Ask
from planner.loadtest.texts import Calibration, Texts

_PREFIX, _MARK = 1, 3
"""Streams of random numbers besides that of the texts, and that of choices."""
_MOST_PREFIXES = 1024
"""Kept; others are made again."""


class PromptLoad:
    """What a load point sends. All of a request follows from seed and index alone, but for what a server answers."""

    def __init__(
        self, client: OpenAIClient, model: str, calibration: Calibration, seed: tuple[int, ...], recipe: Recipe
    ) -> None:
        self._client = client
        self._model = model
        self._recipe = recipe
        self._text_tokens = calibration.text_tokens
        self._choices = Choices(seed, recipe)
        seed = seed if recipe.is_cache_busting else seed[:1]
        self._texts = Texts(seed, calibration)
        self._marks = Marks((*seed, _MARK), calibration)
        self._of_prefix = Texts((*seed, _PREFIX), calibration)
        self._prefix = lru_cache(_MOST_PREFIXES)(lambda number, tokens: self._of_prefix.text(tokens, number))
        self._parameters = recipe.parameters
        self._said = Said()

    def prepare(self, ask: Ask) -> Prepared:
        """A request; in a conversation, its new message: those of one follow each other, in order."""
        model = self._choices.model(ask.conversation, self._model)
        prefix = self._choices.prefix(ask.conversation) if ask.turn == 0 else NO_PREFIX
        prompt = self._own(ask, prefix) if self._recipe.prompts else self._text(ask, prefix)
        if self._recipe.turns > 1 and isinstance(prompt, str):
            if ask.turn == 0:
                self._said = Said()
            return Prepared(b"", model, NextTurn(prompt, ask.output_tokens, self._said))
        return Prepared(self._client.body(model, prompt, ask.output_tokens, self._parameters), model)

    def _text(self, ask: Ask, prefix: int) -> str:
        tokens = self._text_tokens(ask.input_tokens, ask.turn == 0)
        if prefix == NO_PREFIX or self._recipe.prefix is None or tokens == 1:
            return self._texts.text(tokens, ask.index)
        # A prompt that is too short for a prefix begins with as much of it as leaves room for a word of its own; how
        # many are, planner.loadtest.short_prefixes says.
        shared = min(self._recipe.prefix.tokens, tokens - 1)
        return f"{self._prefix(prefix, shared)} {self._texts.text(tokens - shared, ask.index)}"

    def _own(self, ask: Ask, prefix: int) -> str | list[Message]:
        """One of the user's own prompts."""
        before = []
        if prefix != NO_PREFIX and self._recipe.prefix is not None:
            before.append(self._prefix(prefix, self._recipe.prefix.tokens))
        if self._recipe.is_cache_busting:
            before.append(self._marks.text(ask.index))
        return as_sent(self._recipe.prompts[ask.row], before, self._client.endpoint)

    async def connect(self, connections: int) -> None:
        """Opens connections ahead of the requests that will need them."""
        await self._client.connect(connections)

    async def ask(self, prepared: Prepared, answer: Answer) -> None:
        """Sends it, and fills in the answer as it comes; its model where it is another than the one asked."""
        asked = prepared.model
        if asked != self._model:
            answer.asked_model = asked
        try:
            if prepared.turn is None:
                await self._client.ask(prepared.body, answer)
            else:
                await self._ask_next(asked, prepared.turn, answer)
        finally:
            others = (model for model in answer.models if not is_same_model(asked, model))
            if (other := next(others, None)) is not None:
                answer.model = self._client.target.shown(other)

    async def _ask_next(self, model: str, turn: NextTurn, answer: Answer) -> None:
        """Sends all that was said before with a new message."""
        message = {"role": "user", "content": turn.text}
        messages = msgspec.Raw(turn.said.messages(message))
        answer.text = []
        await self._client.ask(self._client.body(model, messages, turn.output_tokens, self._parameters), answer)
        if answer.outcome == OK:
            turn.said.answered(message, "".join(answer.text))
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
