"""Token lengths of requests, as a sample that bills are averaged over."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from planner.errors import InputError

Array = NDArray[np.float64]

QUANTILES = 4096
"""Points that stand for a spread of lengths; enough to place a price tier's edge within 0.03 % of requests."""


@dataclass(frozen=True)
class RequestSample:
    """Requests that stand for all, equally likely; a bill is the mean over them.

    Attributes:
        input_tokens: prompt length [tokens], shape (sample,).
        cached_input_tokens: part of the prompt billed as cached [tokens], shape (sample,).
        output_tokens: generated length [tokens], shape (sample,).
    """

    input_tokens: Array
    cached_input_tokens: Array
    output_tokens: Array

    @classmethod
    def of(cls, input_tokens: Array, output_tokens: Array, cached: Array | float) -> Self:
        """A sample from lengths, broadcast to one shape.

        Args:
            input_tokens: prompt lengths [tokens], shape (sample,) or (1,).
            output_tokens: generated lengths [tokens], shape (sample,) or (1,).
            cached: cached part of each prompt [tokens], shape (sample,), or one share of every prompt [fraction].

        Raises:
            InputError: two lengths have samples of different size.

        Example:
            >>> RequestSample.of(np.array([1000.0]), np.array([200.0]), 0.3).cached_input_tokens.tolist()
            [300.0]
        """
        cached_tokens = input_tokens * cached if isinstance(cached, float) else cached
        try:
            broadcast = np.broadcast_arrays(input_tokens, cached_tokens, output_tokens)
        except ValueError:
            raise InputError("tokens", "input, cached and output lengths must come from the same requests") from None
        return cls(*(np.asarray(lengths, dtype=np.float64) for lengths in broadcast))

    @property
    def mean_tokens(self) -> float:
        """Prompt and generated tokens of the mean request [tokens]."""
        return float(self.input_tokens.mean() + self.output_tokens.mean())


def lognormal_lengths(mean: float, p95: float | None) -> Array:
    """Quantiles of the lognormal with this mean and 95th percentile, rescaled to the mean exactly.

    Args:
        mean: mean length [tokens], >= 0.
        p95: 95th percentile [tokens], or None where all lengths are alike.

    Returns:
        Lengths at evenly spaced probabilities [tokens], shape (4096,), or (1,) where all are alike.

    Raises:
        InputError: no lognormal has this p95 with this mean.

    Example:
        >>> lengths = lognormal_lengths(1200.0, 4000.0)
        >>> round(float(lengths.mean()), 6), round(float(np.quantile(lengths, 0.95)) / 4000, 2)
        (1200.0, 1.0)

    Source: mean exp(μ + σ²/2), p95 exp(μ + zσ), so ln(p95/mean) = zσ − σ²/2; of the two roots the
    smaller σ is meant, since the other belongs to a spread that nobody would describe by its p95.
    """
    if p95 is None or mean in (0, p95):
        return np.array([mean])
    z = float(ndtri(0.95))
    discriminant = z**2 - 2 * np.log(p95 / mean)
    if p95 < mean or discriminant < 0:
        raise InputError("p95", f"must lie between the mean and {np.exp(z**2 / 2):.3f} times the mean")
    sigma = z - np.sqrt(discriminant)
    probabilities = (np.arange(QUANTILES) + 0.5) / QUANTILES
    lengths = np.exp(sigma * ndtri(probabilities))
    return np.asarray(lengths * (mean / lengths.mean()))
