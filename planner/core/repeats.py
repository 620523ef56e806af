"""The ratio of two figures that were each measured a few times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from planner.core.difference import CONFIDENCE, Array, Ratio, finding

_OUTSIDE = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Repeats:
    """A figure, each time that it was measured.

    Attributes:
        values: above 0, at least one.
        error_fractions: half of the 95 % interval of each, as a share of it; None where it has none.
    """

    values: Sequence[float]
    error_fractions: Sequence[float | None]

    @property
    def mean(self) -> float:
        """Over all times."""
        return float(np.mean(self.values))

    @property
    def own_error(self) -> float | None:
        """Standard error of the mean as a share of it, as the intervals tell; None where one of them is missing.

        It is that of the spread between repeats where this is larger: intervals do not know what else changes between
        two loads.
        """
        known = [error for error in self.error_fractions if error is not None]
        if len(known) < len(self.values):
            return None
        count = len(self.values)
        within = float(np.linalg.norm(known)) / count / float(-ndtri(_OUTSIDE))
        between = float(np.std(self.values, ddof=1)) / self.mean / np.sqrt(count) if count > 1 else 0.0
        return max(within, float(between))


def ratio_of_repeats(first: Repeats, second: Repeats, comparisons: int = 1) -> Ratio | None:
    """How the second mean compares with the first one.

    The interval is that of a normal distribution, with errors from the figures' own intervals. Where these are missing,
    it is Student's, with the spread between repeats, which both are taken to have in common as a share. The finding
    takes a wider interval, which leaves 5 % of doubt to all comparisons together (Bonferroni).

    Args:
        first: what was measured.
        second: likewise.
        comparisons: how many are made side by side.

    Returns:
        None where neither intervals nor repeats tell how good the figures are.

    Example:
        Three hundredths and four are five:

        >>> found = ratio_of_repeats(Repeats([100.0], [0.03]), Repeats([150.0], [0.04]))
        >>> round(found.value, 3), round(found.low, 3), round(found.high, 3), found.finding
        (1.5, 1.427, 1.577, 'higher')
        >>> ratio_of_repeats(Repeats([100.0], [None]), Repeats([150.0], [0.04])) is None
        True

    Source: Student, "The Probable Error of a Mean", Biometrika 6 (1908); logarithms, since errors are shares.
    """
    value, before, after = second.mean / first.mean, first.own_error, second.own_error
    freedom: int | None = None
    if before is not None and after is not None:
        error = float(np.hypot(before, after))
    else:
        logs = [np.log(np.asarray(each.values, dtype=np.float64)) for each in (first, second)]
        freedom = sum(each.size for each in logs) - len(logs)
        if freedom < 1:
            return None
        error = _pooled_error(logs, freedom)

    def ends(outside: float) -> tuple[float, float]:
        reach = error * -float(ndtri(outside) if freedom is None else stdtrit(freedom, outside))
        return value * float(np.exp(-reach)), value * float(np.exp(reach))

    return Ratio(value, *ends(_OUTSIDE), finding(*ends(_OUTSIDE / comparisons)))


def _pooled_error(logs: Sequence[Array], freedom: int) -> float:
    """Standard error of the difference of two means whose values vary alike."""
    square = sum(float(((each - each.mean()) ** 2).sum()) for each in logs)
    return float(np.sqrt(square / freedom * sum(1 / each.size for each in logs)))
