"""On-off bursts against the closed forms of modulated Poisson processes."""

from itertools import islice

import numpy as np
import pytest
from scipy import stats

from planner.core.arrivals import Stream
from planner.core.bursts import OnOff
from planner.core.rates import Rate, Stage
from planner.errors import InputError

LEVEL = 0.01


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def periods(bursts: OnOff, source: np.random.Generator, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    lengths, factors = zip(*islice(bursts.periods(source), blocks), strict=True)
    return np.concatenate(lengths), np.concatenate(factors)


def expected_dispersion(bursts: OnOff, rate_per_s: float, window_s: float) -> float:
    """Variance of counts over their mean, of a two-state modulated Poisson process in its stationary state."""
    change = 1 / bursts.on_s + 1 / bursts.off_s
    share = bursts.on_s / (bursts.on_s + bursts.off_s)
    off = (1 - share * bursts.factor) / (1 - share)
    spread = 2 * share * (1 - share) * (bursts.factor - off) ** 2 * rate_per_s / change
    return 1 + spread * (1 - (1 - np.exp(-change * window_s)) / (change * window_s))


def test_periods_are_exponential_and_take_turns() -> None:
    bursts = OnOff(3.0, 2.0, 8.0)
    lengths_s, factors = periods(bursts, rng(1), 7)
    assert set(factors.tolist()) == {3.0, 0.5}
    assert (factors[1:] != factors[:-1]).all()
    for factor, mean_s in ((3.0, 2.0), (0.5, 8.0)):
        assert stats.kstest(lengths_s[factors == factor], stats.expon(scale=mean_s).cdf).pvalue > LEVEL
    starts_on = sum(next(bursts.periods(rng(seed)))[1][0] == 3.0 for seed in range(2000))
    assert stats.binomtest(starts_on, 2000, 0.2).pvalue > LEVEL


def test_arrivals_are_poisson_on_the_clock_of_the_states_drawn() -> None:
    bursts = OnOff(3.0, 2.0, 8.0)
    times = Stream(bursts=bursts).within(2000.0, Rate.constant(10.0), rng(11))
    # The first of two children of the generator draws the states.
    lengths_s, factors = periods(bursts, rng(11).spawn(2)[0], 5)
    edges_s = np.concatenate(([0.0], np.cumsum(lengths_s)))
    assert edges_s[-1] > 2000
    clock = np.interp(times, edges_s, np.concatenate(([0.0], np.cumsum(10 * lengths_s * factors))))
    assert times.size > 10_000
    assert stats.kstest(np.diff(clock, prepend=0.0), stats.expon.cdf).pvalue > LEVEL
    assert stats.kstest(np.diff(times, prepend=0.0) * 10, stats.expon.cdf).pvalue < 1e-6


def test_gaps_of_bursts_with_silence_between_are_hyperexponential() -> None:
    # Kuczura, "The interrupted Poisson process as an overflow process", Bell System Technical Journal 52 (1973).
    bursts = OnOff(5.0, 1.0, 4.0)
    times = Stream(bursts=bursts).within(4000.0, Rate.constant(4.0), rng(12))
    on_per_s, to_off, to_on = 20.0, 1.0, 0.25
    total = on_per_s + to_off + to_on
    root = np.sqrt(total**2 - 4 * on_per_s * to_on)
    fast, slow = (total + root) / 2, (total - root) / 2
    share = (on_per_s - slow) / (fast - slow)

    def cdf(gap_s: np.ndarray) -> np.ndarray:
        return np.asarray(1 - share * np.exp(-fast * gap_s) - (1 - share) * np.exp(-slow * gap_s))

    assert times.size > 10_000
    assert stats.kstest(np.diff(times), cdf).pvalue > LEVEL


@pytest.mark.parametrize("bursts", [OnOff(3.0, 1.0, 4.0), OnOff(5.0, 1.0, 4.0), OnOff(1.5, 2.0, 1.0)])
@pytest.mark.parametrize("window_s", [0.5, 4.0, 40.0])
def test_counts_are_as_dispersed_as_the_closed_form_says(bursts: OnOff, window_s: float) -> None:
    times = Stream(bursts=bursts).within(40_000.0, Rate.constant(6.0), rng(13))
    counts, _ = np.histogram(times, bins=np.arange(0, 40_000.0 + window_s / 2, window_s))
    # 1000 windows of 40 s, whose variance has a standard error of 4.5 %, are the fewest.
    assert counts.var() / counts.mean() == pytest.approx(expected_dispersion(bursts, 6.0, window_s), rel=0.12)


def test_mean_rate_is_that_asked_for_from_the_first_moment_on() -> None:
    bursts = OnOff(4.0, 10.0, 40.0)
    counts = [Stream(bursts=bursts).within(5.0, Rate.constant(10.0), rng(seed)).size for seed in range(1500)]
    spread = (expected_dispersion(bursts, 10.0, 5.0) * 50 / 1500) ** 0.5
    assert np.mean(counts) == pytest.approx(50, abs=3 * spread)
    assert np.var(counts) == pytest.approx(50 * expected_dispersion(bursts, 10.0, 5.0), rel=0.15)


def test_bursts_come_on_top_of_a_ramp() -> None:
    rate = Rate.of([Stage(0.0, 20.0, 1000.0)])
    times = Stream("constant", bursts=OnOff(3.0, 2.0, 8.0)).within(1000.0, rate, rng(14))
    lengths_s, factors = periods(OnOff(3.0, 2.0, 8.0), rng(14).spawn(2)[0], 5)
    grid_s = np.arange(0, 1000, 0.001) + 0.0005
    factor = factors[np.searchsorted(np.cumsum(lengths_s), grid_s, side="right")]
    reached = np.cumsum(0.02 * grid_s * factor) * 0.001
    # The n-th comes when n are reached, by adding up the rate in steps of a millisecond.
    assert np.interp(times, grid_s + 0.0005, reached) == pytest.approx(np.arange(times.size), abs=0.1)


@pytest.mark.parametrize(
    ("values", "field"),
    [((1.0, 1, 1), "factor"), ((5.1, 10, 40), "factor"), ((2, 0, 1), "on_s"), ((2, 1, float("inf")), "off_s")],
)
def test_bursts_that_cannot_be_are_refused(values: tuple[float, float, float], field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}: must be above"):
        OnOff(*values)
    assert OnOff(5.0, 10.0, 40.0).off_factor == 0
