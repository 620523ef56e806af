"""How long a user of a closed loop waits before asking again: the same each time, exponential or lognormal."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from planner.core.lengths import Z95
from planner.errors import InputError

Array = NDArray[np.float64]

MOST_THINK_S = 86_400.0
"""Of the typical time; a day."""


@dataclass(frozen=True)
class ThinkTime:
    """Time between an answer and the same user's next request.

    Attributes:
        typical_s: the time of all, the mean of an exponential spread, or the median of a lognormal one [s]; above 0,
            but where all are alike, which may be 0; a day at most.
        spread: how the times differ.
        p95_s: 95th percentile of a lognormal spread [s], at least the median; None with the others.

    Raises:
        InputError: a value is outside its range.
    """

    typical_s: float
    spread: Literal["none", "exponential", "lognormal"] = "none"
    p95_s: float | None = None

    def __post_init__(self) -> None:
        name = {"none": "seconds", "exponential": "mean", "lognormal": "p50"}[self.spread]
        if not 0 <= self.typical_s <= MOST_THINK_S or (self.spread != "none" and self.typical_s == 0):
            least = "at least 0" if self.spread == "none" else "above 0"
            raise InputError(name, f"must be {least} and at most {MOST_THINK_S:g}")
        if self.spread == "lognormal" and not self.typical_s <= (self.p95_s or 0.0) <= MOST_THINK_S:
            raise InputError("p95", f"must lie between p50 and {MOST_THINK_S:g}")

    def draw(self, requests: int, rng: np.random.Generator) -> Array:
        """Times to wait before each request [s], shape (requests,); not to be written to, since all alike are one.

        Example:
            >>> ThinkTime(2.0).draw(2, np.random.default_rng(1)).tolist()
            [2.0, 2.0]
            >>> ThinkTime(2.0, "exponential").draw(2, np.random.default_rng(1)).round(2).tolist()
            [2.15, 0.62]
        """
        if self.spread == "exponential":
            return self.typical_s * rng.standard_exponential(requests)
        if self.spread == "lognormal":
            sigma = np.log((self.p95_s or self.typical_s) / self.typical_s) / Z95
            return np.asarray(self.typical_s * np.exp(sigma * rng.standard_normal(requests)))
        return np.broadcast_to(np.float64(self.typical_s), (requests,))
