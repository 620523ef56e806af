"""Order statistics against sorting, and their ranks against published tables, scipy and repetition."""

import numpy as np
import pytest
from scipy import stats

from planner.core import quantiles as under_test
from planner.core.quantiles import counts_within, interval_ranks, order_statistics, quantiles, sums_by_request


@pytest.mark.parametrize(
    ("n", "ranks"),
    # Tables of 95 % confidence intervals for a median by order statistics, as in Conover, "Practical Nonparametric
    # Statistics", from the binomial of 1/2: the r-th from below and from above.
    [(5, None), (6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (10, (2, 9)), (15, (4, 12)), (20, (6, 15)), (50, (18, 33))],
)
def test_ranks_about_the_median_are_those_of_tables(n: int, ranks: tuple[int, int] | None) -> None:
    assert interval_ranks(n, 0.5) == ranks


@pytest.mark.parametrize(("fraction", "least"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368)])
def test_interval_needs_a_largest_value_that_is_surely_beyond(fraction: float, least: int) -> None:
    # All n values lie below the quantile with a chance of fraction^n, which must not be more than 2.5 %.
    assert fraction**least <= 0.025 < fraction ** (least - 1)
    assert interval_ranks(least - 1, fraction) is None
    assert interval_ranks(least, fraction) is not None
    assert interval_ranks(0, fraction) is None


@pytest.mark.parametrize("fraction", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [40, 73, 368, 369, 1000, 12_345, 1_000_000, 50_000_000])
def test_ranks_leave_two_and_a_half_percent_on_either_side(n: int, fraction: float) -> None:
    lower = int(stats.binom.ppf(0.025, n, fraction))
    upper = int(stats.binom.ppf(0.975, n, fraction)) + 1
    assert interval_ranks(n, fraction) == (None if lower < 1 or upper > n else (lower, upper))


def test_order_statistics_are_those_of_sorting() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate(
        (rng.integers(0, 2**32, 5000), rng.integers(20_000, 20_100, 5000), np.full(500, 65_535), [0, 2**32 - 1])
    ).astype(np.uint32)
    rng.shuffle(values)
    ranks = np.concatenate(([0, values.size - 1], rng.integers(0, values.size, 300)))
    assert order_statistics(values, ranks).tolist() == np.sort(values)[ranks].tolist()


def test_values_that_are_left_out_do_not_count() -> None:
    rng = np.random.default_rng(4)
    values = np.concatenate((rng.integers(0, 2**32, 3000), rng.integers(20_000, 20_100, 3000))).astype(np.uint32)
    rng.shuffle(values)
    left_out, kept = values[:1000], values[1000:]
    assert order_statistics(values, np.arange(5000), left_out).tolist() == np.sort(kept).tolist()
    fractions = [0.0, 0.3, 0.95, 1.0]
    assert quantiles(values, fractions, left_out) == pytest.approx(np.quantile(kept, fractions))


def test_values_of_many_blocks_are_looked_at_like_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_BLOCK", 64)
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 150, 60)  # some requests are larger than a block, and some have nothing
    values = rng.integers(0, 200_000, int(counts.sum())).astype(np.uint32)
    parts = np.split(values, np.cumsum(counts)[:-1])
    assert quantiles(values, [0.1, 0.5, 0.99, 1.0]) == pytest.approx(np.quantile(values, [0.1, 0.5, 0.99, 1.0]))
    assert sums_by_request(values, counts).tolist() == [int(part.sum(dtype=np.int64)) for part in parts]
    within = counts_within(values, counts[counts > 0], [70_000.5, 0.0])
    assert within[0].tolist() == [int((part <= 70_000.5).sum()) for part in parts if part.size]
    assert within[1].tolist() == [int((part == 0).sum()) for part in parts if part.size]


def test_nothing_has_no_sums() -> None:
    nothing = np.zeros(0, dtype=np.uint32)
    assert sums_by_request(nothing, np.zeros(3, dtype=np.int64)).tolist() == [0, 0, 0]
    assert sums_by_request(nothing, np.zeros(0, dtype=np.int64)).tolist() == []
