"""Order statistics of long series against sorting them."""

import numpy as np
import pytest

from planner.core.ordered import Ordered

LONG = 200_000
RANKS = [0, 1, 5_000, 99_999, 100_000, 189_999, 197_999, 199_998, 199_999]


def series(kind: str) -> np.ndarray:
    rng = np.random.default_rng(4)
    return {
        "independent": lambda: rng.lognormal(0.0, 1.0, LONG),
        "all alike": lambda: np.full(LONG, 0.02),
        "few values": lambda: rng.integers(0, 3, LONG).astype(float),
        "ascending": lambda: np.arange(LONG, dtype=float),
        "both signs": lambda: rng.standard_normal(LONG),
        # Of every twelfth, which the sample is, nothing is like the rest.
        "misleading": lambda: np.where(np.arange(LONG) % (LONG >> 14) == 0, 1e6, 1.0) * rng.random(LONG),
    }[kind]()


@pytest.mark.parametrize("kind", ["independent", "all alike", "few values", "ascending", "both signs", "misleading"])
def test_values_at_ranks_are_those_of_the_sorted_series(kind: str) -> None:
    values = series(kind)
    ordered, in_order = Ordered(values), np.sort(values)
    assert [ordered.at(rank) for rank in RANKS] == in_order[RANKS].tolist()
    for fraction in (0.0, 0.5, 0.9, 0.95, 0.99, 1.0):
        assert ordered.quantile(fraction) == np.quantile(in_order, fraction)


@pytest.mark.parametrize("size", [1, 2, 3, 100, 65_536, 65_537])
def test_quantiles_are_those_of_numpy(size: int) -> None:
    values = np.random.default_rng(size).lognormal(0.0, 1.0, size)
    ordered = Ordered(values)
    for fraction in (0.5, 0.9, 0.95, 0.99):
        assert ordered.quantile(fraction) == np.quantile(values, fraction)


def test_series_of_several_blocks_are_ranked_like_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values = series("independent")
    monkeypatch.setattr("planner.core.ordered._AT_ONCE", 7_001)
    assert [Ordered(values).at(rank) for rank in RANKS] == np.sort(values)[RANKS].tolist()
