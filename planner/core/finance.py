"""Present values and level payments."""

import numpy as np
from numpy.typing import NDArray

from planner.units import MONTHS_PER_YEAR

Array = NDArray[np.float64]


def discount_factors(rate_fraction_per_year: float, months: int) -> Array:
    """Present value of one unit of money paid at the end of months 0…H, shape (months + 1,).

    Example:
        >>> discount_factors(0.21, 24)[[0, 12, 24]].round(6).tolist()
        [1.0, 0.826446, 0.683013]
    """
    return np.asarray((1 + rate_fraction_per_year) ** (-np.arange(months + 1) / MONTHS_PER_YEAR))


def present_value_usd(cash_usd: Array, rate_fraction_per_year: float) -> float:
    """Present value of cash at the end of months 0…H [USD].

    Args:
        cash_usd: nominal cash [USD], shape (months + 1,).
        rate_fraction_per_year: price of capital [fraction/year].

    Example:
        >>> round(present_value_usd(np.array([100.0] + [0.0] * 11 + [110.0]), 0.1), 6)
        200.0
    """
    return float(cash_usd @ discount_factors(rate_fraction_per_year, cash_usd.size - 1))


def level_payment_usd(present_usd: float, rate_fraction_per_year: float, months: int) -> float:
    """Equal payment at the end of each of months 1…H with this present value [USD/month].

    Args:
        present_usd: present value [USD].
        rate_fraction_per_year: price of capital [fraction/year].
        months: the horizon H [months], at least 1.

    Example:
        >>> round(level_payment_usd(1200.0, 0.0, 12), 6), round(level_payment_usd(1000.0, 0.08, 36), 2)
        (100.0, 31.21)
    """
    return present_usd / float(discount_factors(rate_fraction_per_year, months)[1:].sum())
