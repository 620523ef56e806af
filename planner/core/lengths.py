"""How many tokens requests hold: all alike, lognormal, or as those of a list."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError

Tokens = NDArray[np.int32]

MOST_TOKENS = 100_000_000
"""Of one request; no length drawn is above it."""

Z95 = 1.6448536269514722
"""95th percentile of the standard normal distribution."""

_AT_ONCE = 65_536
"""Lengths in the making take five times the room of those that are made."""


@dataclass(frozen=True)
class Lengths:
    """Token lengths of requests.

    Attributes:
        p50: the median, or the length of all [tokens], from 1 to 1e8.
        p95: 95th percentile of a lognormal spread [tokens], above p50; None where all are alike.

    Raises:
        InputError: a value is outside its range.
    """

    p50: float
    p95: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.p50 <= MOST_TOKENS:
            raise InputError("p50", f"must lie between 1 and {MOST_TOKENS:,}")
        if self.p95 is not None and not self.p50 <= self.p95 <= MOST_TOKENS:
            raise InputError("p95", f"must lie between p50 and {MOST_TOKENS:,}")

    def draw(self, requests: int, rng: np.random.Generator) -> Tokens:
        """Whole lengths of at least 1 [tokens], shape (requests,); not to be written to, since all alike are one.

        Example:
            >>> Lengths(512).draw(2, np.random.default_rng(1)).tolist()
            [512, 512]
            >>> Lengths(900, 3200).draw(3, np.random.default_rng(1)).tolist()
            [1175, 1696, 1161]

        Source: ln X is normal with mean ln p50 and standard deviation ln(p95/p50)/z, z the 95th normal percentile.
        """
        if self.p95 is None:
            return np.broadcast_to(np.int32(round(self.p50)), (requests,))
        sigma = np.log(self.p95 / self.p50) / Z95
        lengths = np.empty(requests, dtype=np.int32)
        for first in range(0, requests, _AT_ONCE):
            part = lengths[first : first + _AT_ONCE]
            part[:] = np.clip(np.rint(self.p50 * np.exp(sigma * rng.standard_normal(part.size))), 1, MOST_TOKENS)
        return lengths


class RequestLengths(Protocol):
    """Lengths of prompts and answers together."""

    def draw(self, requests: int, rng: np.random.Generator) -> "Drawn":
        """Those of so many requests."""


@dataclass(frozen=True)
class Drawn:
    """Lengths of requests.

    Attributes:
        input_tokens: of prompts [tokens], shape (requests,).
        output_tokens: of answers [tokens], shape (requests,).
        rows: where each stands in a list that it was drawn from; None where there is no list. Shape (requests,).
    """

    input_tokens: Tokens
    output_tokens: Tokens
    rows: Tokens | None = None


@dataclass(frozen=True)
class Apart:
    """Lengths of prompts and of answers that have nothing to do with each other."""

    prompts: Lengths
    answers: Lengths

    @property
    def are_all_alike(self) -> bool:
        """Whether all requests have the same."""
        return self.prompts.p95 is None and self.answers.p95 is None

    def draw(self, requests: int, rng: np.random.Generator) -> Drawn:
        """Those of so many requests: a generator each, so that more of them begin with the same ones.

        Example:
            >>> Apart(Lengths(512), Lengths(128)).draw(2, np.random.default_rng(1)).output_tokens.tolist()
            [128, 128]
        """
        of_prompts, of_answers = rng.spawn(2)
        return Drawn(self.prompts.draw(requests, of_prompts), self.answers.draw(requests, of_answers))


@dataclass(frozen=True)
class Listed:
    """Lengths of a list of requests, prompt and answer together, in random order: each row once in every round.

    Attributes:
        input_tokens: [tokens], shape (rows,), at least one.
        output_tokens: [tokens], shape (rows,).
        is_told: whether it matters which row a request has: its prompt stands there.
    """

    input_tokens: Tokens
    output_tokens: Tokens
    is_told: bool = True

    def draw(self, requests: int, rng: np.random.Generator) -> Drawn:
        """Those of so many requests.

        Example:
            >>> drawn = Listed(np.array([10, 20, 30]), np.array([1, 2, 3])).draw(6, np.random.default_rng(1))
            >>> drawn.output_tokens.tolist(), drawn.rows.tolist()
            ([1, 2, 3, 3, 1, 2], [0, 1, 2, 2, 0, 1])
        """
        rounds = -(-requests // self.input_tokens.size)
        in_order = np.broadcast_to(np.arange(self.input_tokens.size, dtype=np.int32), (rounds, self.input_tokens.size))
        rows = rng.permuted(in_order, axis=1).ravel()[:requests]
        return Drawn(self.input_tokens[rows], self.output_tokens[rows], rows if self.is_told else None)
