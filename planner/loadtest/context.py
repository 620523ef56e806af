"""What of a request a server's context holds."""

import numpy as np

from planner.core.lengths import Tokens

_SPARE_FRACTION, _SPARE_TOKENS = 0.02, 12
"""Of a context, kept free: prompts come out as long as asked but for a few tokens, more of them in longer ones."""


def room_tokens(max_model_len: int) -> int:
    """What prompt and answer may have together [tokens].

    Example:
        >>> room_tokens(1000)
        968
    """
    return max(2, round(max_model_len * (1 - _SPARE_FRACTION)) - _SPARE_TOKENS)


def shortened(prompts: Tokens, answers: Tokens, room: int) -> tuple[Tokens, Tokens]:
    """Prompts, and where they leave no room answers, so short that both fit.

    Args:
        prompts: [tokens], shape (requests,).
        answers: [tokens], shape (requests,).
        room: for both together, at least 2 [tokens].

    Example:
        >>> prompts, answers = shortened(np.array([100, 5000, 10]), np.array([50, 50, 9000]), 968)
        >>> prompts.tolist(), answers.tolist()
        ([100, 918, 10], [50, 50, 958])
    """
    fitting = np.clip(answers, 1, np.maximum(1, room - np.minimum(prompts, room // 2)))
    return np.clip(prompts, 1, room - fitting), fitting
