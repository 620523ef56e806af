"""Requests as the driver sends them: a prompt of the length asked, through the streaming client."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from planner.engines.answers import Answer, is_same_model
from planner.engines.exchange import Timeouts
from planner.engines.openai_http import EndpointKind, OpenAIClient
from planner.engines.target import Target
from planner.loadtest.driver import Load
from planner.loadtest.prompts import Calibration, Prompts


class PromptLoad:
    """What a load point sends."""

    def __init__(self, client: OpenAIClient, model: str, calibration: Calibration, seed: tuple[int, ...]) -> None:
        self._client = client
        self._model = model
        self._calibration = calibration
        self._prompts = Prompts(seed)

    def prepare(self, index: int, input_tokens: int, output_tokens: int) -> bytes:
        """A request's body; index is below 0 in the warm-up."""
        text = self._prompts.text(self._calibration.words(input_tokens), index)
        return self._client.body(self._model, text, output_tokens)

    async def connect(self, connections: int) -> None:
        """Opens connections ahead of the requests that will need them."""
        await self._client.connect(connections)

    async def ask(self, body: bytes, answer: Answer) -> None:
        """Sends it, and fills in the answer as it comes; its model where it is another than the one asked."""
        try:
            await self._client.ask(body, answer)
        finally:
            others = (model for model in answer.models if not is_same_model(self._model, model))
            if (other := next(others, None)) is not None:
                answer.model = self._client.target.shown(other)


class CountedLoad:
    """A load that tells of each request before it is sent, so that none is forgotten whatever becomes of us."""

    def __init__(self, load: Load, count_sent: Callable[[], None]) -> None:
        self._count_sent = count_sent
        self._load = load
        self.prepare = load.prepare
        self.connect = load.connect

    async def ask(self, body: bytes, answer: Answer) -> None:
        """Sends a body, and fills in the answer as it comes."""
        self._count_sent()
        await self._load.ask(body, answer)


@dataclass(frozen=True)
class LoadSpec:
    """All that it takes to send a load point's requests, from whichever process.

    Attributes:
        target: the server.
        endpoint: of its API.
        timeouts: of a request.
        model: that requests name.
        calibration: of prompts.
        seed: of prompts; the same index has the same prompt in every process.
    """

    target: Target
    endpoint: EndpointKind
    timeouts: Timeouts
    model: str
    calibration: Calibration
    seed: tuple[int, ...]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[PromptLoad]:
        """With connections of its own."""
        async with OpenAIClient(self.target, self.endpoint, self.timeouts) as client:
            yield PromptLoad(client, self.model, self.calibration, self.seed)
