"""How many tokens a request holds: all alike, or lognormal."""

from dataclasses import dataclass

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
