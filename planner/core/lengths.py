"""How many tokens a request holds: all alike, or lognormal."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from planner.errors import InputError

MOST_TOKENS = 100_000_000
"""Of one request; no length drawn is above it."""


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

    def draw(self, requests: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Whole lengths of at least 1 [tokens], shape (requests,).

        Example:
            >>> Lengths(512).draw(2, np.random.default_rng(1)).tolist()
            [512, 512]
            >>> Lengths(900, 3200).draw(3, np.random.default_rng(1)).tolist()
            [1175, 1696, 1161]

        Source: ln X is normal with mean ln p50 and standard deviation ln(p95/p50)/z, z the 95th normal percentile.
        """
        if self.p95 is None:
            return np.full(requests, round(self.p50), dtype=np.int64)
        sigma = np.log(self.p95 / self.p50) / ndtri(0.95)
        lengths = np.rint(self.p50 * np.exp(sigma * rng.standard_normal(requests)))
        return np.asarray(np.clip(lengths, 1, MOST_TOKENS), dtype=np.int64)
