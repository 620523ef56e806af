"""Other ways to find drift in a series, as they are in the literature, to hold ours against."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from planner.core.batches import batch_means

Array = NDArray[np.float64]
Rule = Callable[[Array], bool]
"""Whether a series of logarithms drifted, at the level of 1 %, or as the rule has it."""

_KPSS_1_PERCENT = 0.739
"""Of the integral of a squared Brownian bridge: Kwiatkowski and others (1992), table 1."""


def halves(logs: Array) -> bool:
    """The rule before: the two halves' means differ by more than 20 % and more than 3 standard errors."""
    early, late = np.array_split(np.exp(logs), 2)
    error = np.sqrt(early.var(ddof=1) / early.size + late.var(ddof=1) / late.size)
    return bool(abs(late.mean() - early.mean()) > max(0.2 * early.mean(), 3 * error))


def slope(batches: int) -> Rule:
    """Student's t of a line through batch means (Schmeiser 1982)."""

    def rule(logs: Array) -> bool:
        means = batch_means(logs, max(1, logs.size // batches))
        return bool(stats.linregress(np.arange(means.size), means).pvalue < 0.01)

    return rule


def mann_kendall(logs: Array) -> bool:
    """Ranks of 20 batch means: Mann, Econometrica 13 (1945)."""
    means = batch_means(logs, max(1, logs.size // 20))
    return bool(stats.kendalltau(np.arange(means.size), means).pvalue < 0.01)


def kpss(bandwidth: float) -> Rule:
    """Kwiatkowski, Phillips, Schmidt and Shin, Journal of Econometrics 54 (1992); Bartlett's window."""

    def rule(logs: Array) -> bool:
        residuals, n = logs - logs.mean(), logs.size
        lags = int(bandwidth * (n / 100) ** 0.25)
        variance = residuals @ residuals / n
        for lag in range(1, lags + 1):
            variance += 2 * (1 - lag / (lags + 1)) * (residuals[lag:] @ residuals[:-lag]) / n
        return bool((np.cumsum(residuals) ** 2).sum() / n**2 > _KPSS_1_PERCENT * variance)

    return rule


def cumulative(logs: Array) -> bool:
    """Cramér-von Mises of the cumulative sums: Schruben (1982), Heidelberger and Welch (1983); of 20 batch means."""
    means = batch_means(logs, max(1, logs.size // 20))
    variance = (np.diff(means) ** 2).mean() / 2
    return bool((np.cumsum(means - means.mean()) ** 2).sum() / means.size**2 > _KPSS_1_PERCENT * variance)


def geweke(logs: Array) -> bool:
    """The first fifth against the second half, with batch means: after Geweke (1992)."""
    early, late = logs[: logs.size // 5], logs[logs.size // 2 :]
    parts = [batch_means(part, max(1, part.size // 10)) for part in (early, late)]
    return bool(stats.ttest_ind(*parts, equal_var=False).pvalue < 0.01)


RULES: dict[str, Rule] = {
    "halves (before)": halves,
    "slope, 10 batches": slope(10),
    "slope, 20 batches": slope(20),
    "Mann-Kendall": mann_kendall,
    "KPSS, 4": kpss(4.0),
    "KPSS, 12": kpss(12.0),
    "cumulative sums": cumulative,
    "Geweke": geweke,
}
