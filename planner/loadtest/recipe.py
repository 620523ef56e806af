"""What requests are made of, besides their lengths: whom they ask, what they have in common, what they say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.engines.openai_http import FORCED_LENGTH
from planner.loadtest.remarks import Expected
from planner.schema.workload import SharedPrefix
from planner.store.prompts.own_prompt import OwnPrompt


@dataclass(frozen=True)
class Recipe:
    """Of all requests of a load test.

    Attributes:
        models: that are asked, with their shares; empty for the one that is measured.
        prefix: that prompts have in common; None where they have nothing.
        prompts: of the user's own, in place of words in random order; empty where there are none.
        turns: of a conversation; 1 where each request stands alone.
        parameters: of every request.
        is_cache_busting: whether no prompt is the same twice, in this run or another.
    """

    models: Mapping[str, float] = field(default_factory=dict)
    prefix: SharedPrefix | None = None
    prompts: tuple[OwnPrompt, ...] = ()
    turns: int = 1
    parameters: Mapping[str, Any] = field(default_factory=lambda: FORCED_LENGTH)
    is_cache_busting: bool = True

    @property
    def expected(self) -> Expected:
        """What of a load is so since it was asked, and no reason to warn."""
        return Expected(
            prompts=self.turns == 1 and not self.prompts,
            answers=FORCED_LENGTH.items() <= self.parameters.items(),
            no_cache=self.is_cache_busting and self.turns == 1 and self.prefix is None,
        )
