"""Ratios of figures of two samples, on samples whose truth is known."""

import numpy as np
import pytest

from planner.core.difference import Array, Figure, Ints, Values, mean, percentile, ratio, ratio_of


def autoregressive(rng: np.random.Generator, n: int, neighbour: float) -> Array:
    """A lognormal sequence whose logarithms correlate from one to the next."""
    noise = rng.standard_normal(n)
    values = np.empty(n)
    values[0] = noise[0]
    for place in range(1, n):
        values[place] = neighbour * values[place - 1] + np.sqrt(1 - neighbour**2) * noise[place]
    return np.exp(0.4 * values)


def test_ratio_of_samples_that_do_not_vary_is_exact() -> None:
    found = ratio(np.full(50, 2.0), np.full(80, 3.0), mean)
    assert (found.value, found.low, found.high, found.finding) == (1.5, 1.5, 1.5, "higher")
    assert ratio(np.full(50, 2.0), np.full(50, 2.0), percentile(0.95)).finding == "equal"
    assert ratio(np.full(50, 2.0), np.full(50, 2.05), mean).finding == "equal", "for every purpose of a plan"


@pytest.mark.slow
@pytest.mark.parametrize("figure", [mean, percentile(0.5), percentile(0.95)], ids=["mean", "p50", "p95"])
@pytest.mark.parametrize("neighbour", [0.0, 0.5])
def test_interval_holds_the_truth_about_as_often_as_it_says(figure: Figure, neighbour: float) -> None:
    rng, trials = np.random.default_rng(5), 120
    held = 0
    for _ in range(trials):
        first, second = autoregressive(rng, 400, neighbour), 1.3 * autoregressive(rng, 400, neighbour)
        found = ratio(first, second, figure)
        held += found.low <= 1.3 <= found.high
    # Of 120 at 95 %, 99.9 % of binomials hold 106 or more; blocks of finite length lose a few with p95.
    assert held >= 102


@pytest.mark.slow
def test_false_alarms_of_a_whole_table_are_few_and_real_differences_are_found() -> None:
    rng, trials, comparisons = np.random.default_rng(7), 40, 8
    alarms = found = 0
    for _ in range(trials):
        for _ in range(comparisons):
            first, second = autoregressive(rng, 300, 0.3), autoregressive(rng, 300, 0.3)
            alarms += ratio(first, second, percentile(0.5), comparisons).finding in ("higher", "lower")
            found += ratio(first, 1.3 * second, percentile(0.5), comparisons).finding == "higher"
    assert alarms <= 8, "40 tables at 5 % each give 2, and more than 8 once in 4,000 times"
    assert found >= 0.9 * trials * comparisons


def test_little_data_is_unclear_and_a_share_of_nothing_has_no_ratio() -> None:
    rng = np.random.default_rng(1)
    assert ratio(rng.exponential(1.0, 8), rng.exponential(1.1, 8), percentile(0.5)).finding == "unclear"
    assert ratio(np.zeros(40), np.zeros(40), mean).finding == "unclear"


class Drawn(Values):
    """Values that keep which of them were drawn."""

    drawn: list[Ints] = []

    def figures(self, places: Ints) -> Array:
        self.drawn.append(places)
        return super().figures(places)


@pytest.mark.parametrize("parts", [(500, 500), (8, 992), (992, 8), (0, 1000), (1000, 0)])
def test_blocks_lie_within_one_measurement(parts: tuple[int, ...]) -> None:
    sample = Drawn.joined([np.arange(part, dtype=np.float64) for part in parts], mean)
    Drawn.drawn.clear()
    ratio_of(sample, Values(np.ones(50), mean))
    blocks = np.concatenate(
        [places.reshape(-1, 10) for places in Drawn.drawn if places.shape[1] == 1000 and len(places) > 1]
    )
    assert (np.diff(blocks, axis=1) == 1).all(), "neighbours are drawn together"
    is_joined = (blocks[:, 0] < parts[0]) & (blocks[:, -1] >= parts[0])
    # One that is shorter than a block of ten has nothing but such a block.
    assert is_joined.any() == (parts in {(8, 992), (992, 8)})
    assert np.unique(blocks).size == 1000, "each is drawn"


def test_repeats_of_a_load_tell_as_much_as_a_load_that_is_longer() -> None:
    rng = np.random.default_rng(11)
    values, other = autoregressive(rng, 900, 0.3), Values(autoregressive(rng, 900, 0.3), mean)
    once, thrice = Values(values, mean), Values.joined(np.split(values, 3), mean)
    assert len(thrice) == 900
    found, joined = ratio_of(once, other), ratio_of(thrice, other)
    assert joined.value == found.value
    assert joined.high - joined.low == pytest.approx(found.high - found.low, rel=0.1)


def test_the_seed_makes_it_repeatable() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.exponential(1.0, 200), rng.exponential(1.0, 200)
    assert ratio(first, second, mean, seed=3) == ratio(first, second, mean, seed=3)
    assert ratio(first, second, mean, seed=3) != ratio(first, second, mean, seed=4)
