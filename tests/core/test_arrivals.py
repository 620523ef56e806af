"""Streams of arrivals against distributions that they are not drawn from: Kolmogorov–Smirnov, exact times, counts."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from planner.core.arrivals import MOST_BURSTS, Process, Stream, arrivals_by_count
from planner.core.bursts import OnOff
from planner.core.rates import Rate, Stage
from planner.errors import InputError

LEVEL = 0.01
"""Of the tests of fit: a true stream fails one in a hundred seeds, and the seeds are fixed."""
FIVE_PER_S = Rate.constant(5.0)
RAMP = Rate.of([Stage(2.0, 20.0, 2000.0)])
STEPS = Rate.of([Stage(2.0, 2.0, 1000.0), Stage(0.0, 0.0, 500.0), Stage(30.0, 30.0, 300.0), Stage(30.0, 1.0, 500.0)])


def gaps(times: np.ndarray) -> np.ndarray:
    return np.diff(times, prepend=0.0)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def is_exponential(values: np.ndarray) -> bool:
    assert values.size > 3_000, "too few to tell"
    return bool(stats.kstest(values, stats.expon.cdf).pvalue > LEVEL)


def reached_on_ramp(times: np.ndarray) -> np.ndarray:
    """Arrivals on average up to a time on RAMP, by hand: 2t + 18/2000·t²/2."""
    return np.asarray(2 * times + 0.0045 * times**2)


def reached_in_steps(times: np.ndarray) -> np.ndarray:
    """The same in STEPS: 2000 in the first, none in the second, 9000 in the third, then 30t − 0.058·t²/2."""
    last = np.clip(times - 1800, 0, None)
    return 2 * np.minimum(times, 1000) + 30 * np.clip(times - 1500, 0, 300) + 30 * last - 0.029 * last**2


@pytest.mark.parametrize(("squared_cv", "process"), [(1.0, "poisson"), (1.0, "gamma"), (0.25, "gamma"), (4.0, "gamma")])
def test_gaps_follow_their_distribution(process: Process, squared_cv: float) -> None:
    times = Stream(process, squared_cv).first(20_000, FIVE_PER_S, rng(3))
    expected = stats.gamma(a=1 / squared_cv, scale=squared_cv / 5.0)
    assert stats.kstest(gaps(times), expected.cdf).pvalue > LEVEL
    # Gaps that follow each other know nothing of each other.
    assert abs(np.corrcoef(gaps(times)[:-1], gaps(times)[1:])[0, 1]) < 0.03


@pytest.mark.parametrize("squared_cv", [0.8, 1.25, 4.0])
def test_the_test_of_fit_rejects_streams_that_are_nearly_poisson(squared_cv: float) -> None:
    times = Stream("gamma", squared_cv).first(20_000, FIVE_PER_S, rng(3))
    assert not is_exponential(5 * gaps(times))
    assert not is_exponential(5 * gaps(Stream("constant").first(20_000, FIVE_PER_S, rng(3))))
    assert not is_exponential(5 * gaps(Stream("poisson").first(20_000, Rate.constant(5.2), rng(3))))


@pytest.mark.parametrize(("rate", "reached"), [(RAMP, reached_on_ramp), (STEPS, reached_in_steps)])
def test_ramps_and_steps_are_poisson_on_their_own_clock(
    rate: Rate, reached: Callable[[np.ndarray], np.ndarray]
) -> None:
    times = Stream("poisson").within(5000.0, rate, rng(4))
    total = float(reached(np.array([rate.end_s]))[0])
    assert times.size == pytest.approx(total, abs=3 * total**0.5)
    assert is_exponential(gaps(reached(times)))
    assert stats.kstest(reached(times), stats.uniform(0, total).cdf).pvalue > LEVEL
    # On the clock of the wall they are no such thing.
    assert not is_exponential(gaps(times) * total / rate.end_s)


def test_gamma_arrivals_on_a_ramp_are_gamma_on_its_clock() -> None:
    times = Stream("gamma", 4.0).within(2000.0, RAMP, rng(5))
    assert stats.kstest(gaps(reached_on_ramp(times)), stats.gamma(a=0.25, scale=4.0).cdf).pvalue > LEVEL


def test_nobody_comes_in_a_stage_without_load() -> None:
    times = Stream("poisson").within(5000.0, STEPS, rng(4))
    assert np.count_nonzero((times > 1000) & (times < 1500)) == 0
    assert np.count_nonzero(times > 2300) == 0


def test_constant_arrivals_are_exact() -> None:
    constant = Stream("constant")
    assert constant.first(5, Rate.constant(8.0), rng(0)).tolist() == [0, 0.125, 0.25, 0.375, 0.5]
    assert constant.within(0.5, Rate.constant(8.0), rng(0)).tolist() == [0, 0.125, 0.25, 0.375]
    # On a ramp from 2 to 20 in a minute the n-th comes where 2t + 0.15t² = n.
    times = constant.within(60.0, Rate.of([Stage(2.0, 20.0, 60.0)]), rng(0))
    expected = (-2 + np.sqrt(4 + 0.6 * np.arange(660))) / 0.3
    assert times == pytest.approx(expected, rel=1e-12)
    # From nothing up and down to nothing: t² = n, and the same backwards from 20 s.
    tent = constant.within(99.0, Rate.of([Stage(0.0, 20.0, 10.0), Stage(20.0, 0.0, 10.0)]), rng(0))
    assert tent[:101] == pytest.approx(np.sqrt(np.arange(101)))
    assert tent[101:] == pytest.approx(20 - np.sqrt(np.arange(99, 0, -1)))


def test_counts_of_a_poisson_process_vary_as_they_must() -> None:
    counts = [Stream("poisson").within(10.0, Rate.constant(20.0), rng(seed)).size for seed in range(400)]
    assert np.mean(counts) == pytest.approx(200, abs=3)  # standard error 0.7
    assert np.var(counts) == pytest.approx(200, rel=0.25)  # never rescaled to an exact rate
    on_ramp = [Stream("poisson").within(10.0, Rate.of([Stage(0, 40, 10)]), rng(seed)).size for seed in range(400)]
    assert np.mean(on_ramp) == pytest.approx(200, abs=3)
    assert np.var(on_ramp) == pytest.approx(200, rel=0.25)


@pytest.mark.parametrize("bursts", [None, OnOff(3.0, 1.0, 4.0)])
@pytest.mark.parametrize("process", ["poisson", "gamma", "constant"])
def test_duration_and_count_see_the_same_process(process: Process, bursts: OnOff | None) -> None:
    stream, rate = Stream(process, 2.0, bursts), Rate.constant(50.0)
    within = stream.within(40.0, rate, rng(9))
    counted = stream.first(within.size + 1, rate, rng(9))
    assert within.tolist() == pytest.approx(counted[:-1].tolist())
    assert within[-1] < 40.0 <= counted[-1]
    assert stream.within(10.0, rate, rng(9)) == pytest.approx(within[within < 10])  # a longer load begins alike


@pytest.mark.parametrize("squared_cv", [50.0, 400.0])
def test_rare_bursts_are_drawn_to_the_end_of_the_duration(squared_cv: float) -> None:
    stream, rate = Stream("gamma", squared_cv), Rate.constant(10.0)
    assert sum(stream.within(200.0, rate, rng(seed)).size for seed in range(100)) > 0
    times = stream.first(100_000, rate, rng(5))
    assert times.size / times[-1] == pytest.approx(10.0, rel=0.3)


def test_function_for_a_rate_that_is_kept_is_the_stream() -> None:
    by_stream = Stream("gamma", 4.0).first(50, FIVE_PER_S, rng(2))
    assert arrivals_by_count("gamma", 5.0, 50, rng(2), 4.0).tolist() == by_stream.tolist()


@pytest.mark.parametrize(
    ("process", "rate", "squared_cv", "field"),
    [("poisson", 0.0, 1.0, "rate"), ("constant", float("nan"), 1.0, "rate"), ("gamma", 1.0, 0.0, "burstiness")],
)
def test_what_no_process_has_is_refused(process: Process, rate: float, squared_cv: float, field: str) -> None:
    with pytest.raises(InputError, match=field):
        arrivals_by_count(process, rate, 10, rng(0), squared_cv)


@pytest.mark.parametrize("duration_s", [0.0, -1.0, float("nan"), float("inf"), 1e12])
def test_durations_that_hold_nothing_or_too_much_are_refused(duration_s: float) -> None:
    with pytest.raises(InputError, match="duration_s"):
        Stream().within(duration_s, FIVE_PER_S, rng(0))


@pytest.mark.parametrize("requests", [0, -1, 10**12])
def test_numbers_of_requests_that_make_no_schedule_are_refused(requests: int) -> None:
    with pytest.raises(InputError, match="requests"):
        Stream().first(requests, FIVE_PER_S, rng(0))


def test_a_number_of_requests_needs_a_rate_without_end() -> None:
    with pytest.raises(InputError, match="requests"):
        Stream().first(10, RAMP, rng(0))


def test_more_bursts_than_anybody_needs_are_refused() -> None:
    stream = Stream(bursts=OnOff(2.0, 1e-6, 1e-6))
    with pytest.raises(InputError, match=f"bursts: .*{MOST_BURSTS:,}"):
        stream.within(100.0, FIVE_PER_S, rng(0))
    with pytest.raises(InputError, match="bursts"):
        stream.first(1000, FIVE_PER_S, rng(0))
