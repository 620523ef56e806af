"""Shared prefixes of generated prompts that come out shorter than asked: how many there are."""

import numpy as np

from planner.loadtest.choices import NO_PREFIX, Choices
from planner.loadtest.recipe import Recipe
from planner.loadtest.sample import Sample
from planner.loadtest.texts import Calibration
from planner.loadtest.turns import Turns


def short_prefixes(
    sample: Sample, turns: Turns | None, recipe: Recipe, calibration: Calibration, choices: Choices
) -> str:
    """What must be known of requests with a shorter prefix than asked; empty where there are none.

    Args:
        sample: the requests that count.
        turns: of conversations that they are; None where each stands alone.
        recipe: of them.
        calibration: of their prompts.
        choices: which of them begin with a prefix.
    """
    prefix = recipe.prefix
    if prefix is None or recipe.prompts or not len(sample):
        return ""
    places = sample.places
    conversations = places if turns is None else turns.conversation[places]
    has_prefix = choices.prefixes(int(conversations.max()) + 1)[conversations] != NO_PREFIX
    if turns is not None:
        has_prefix &= turns.turn[places] == 0
    asked = sample.columns().asked_input_tokens
    text_tokens = np.maximum(1, np.rint(asked - calibration.fixed_tokens - calibration.added_tokens))
    short = int((has_prefix & (text_tokens <= prefix.tokens)).sum())  # each keeps a token of its own
    if not short:
        return ""
    return (
        f"{short} of {int(has_prefix.sum())} requests with a shared prefix begin with less of it than the "
        f"{prefix.tokens} tokens asked, since their prompts are no longer than it"
    )
