"""Arrival processes against scipy's distributions, which they are not drawn from."""

import numpy as np
import pytest
from scipy import stats

from planner.core.arrivals import Process, arrivals_by_count, arrivals_within
from planner.errors import InputError


def gaps(times: np.ndarray) -> np.ndarray:
    return np.diff(times, prepend=0.0)


@pytest.mark.parametrize(("squared_cv", "process"), [(1.0, "poisson"), (1.0, "gamma"), (0.25, "gamma"), (4.0, "gamma")])
def test_gaps_follow_their_distribution(process: Process, squared_cv: float) -> None:
    times = arrivals_by_count(process, 5.0, 20_000, np.random.default_rng(3), squared_cv)
    expected = stats.gamma(a=1 / squared_cv, scale=squared_cv / 5.0)
    assert stats.kstest(gaps(times), expected.cdf).pvalue > 0.01
    # Gaps that follow each other know nothing of each other.
    assert abs(np.corrcoef(gaps(times)[:-1], gaps(times)[1:])[0, 1]) < 0.03


def test_counts_of_a_poisson_process_vary_as_they_must() -> None:
    counts = [arrivals_within("poisson", 20.0, 10.0, np.random.default_rng(seed)).size for seed in range(400)]
    assert np.mean(counts) == pytest.approx(200, abs=3)  # standard error 0.7
    assert np.var(counts) == pytest.approx(200, rel=0.25)  # never rescaled to an exact rate


def test_constant_arrivals_are_exact() -> None:
    rng = np.random.default_rng(0)
    assert arrivals_by_count("constant", 8.0, 5, rng).tolist() == [0, 0.125, 0.25, 0.375, 0.5]
    assert arrivals_within("constant", 8.0, 0.5, rng).tolist() == [0, 0.125, 0.25, 0.375]


@pytest.mark.parametrize("process", ["poisson", "gamma", "constant"])
def test_duration_and_count_see_the_same_process(process: Process) -> None:
    within = arrivals_within(process, 50.0, 4.0, np.random.default_rng(9), 2.0)
    counted = arrivals_by_count(process, 50.0, within.size + 1, np.random.default_rng(9), 2.0)
    assert within.tolist() == pytest.approx(counted[:-1].tolist())
    assert within[-1] < 4.0 <= counted[-1]


@pytest.mark.parametrize("squared_cv", [50.0, 400.0])
def test_rare_bursts_are_drawn_to_the_end_of_the_duration(squared_cv: float) -> None:
    total = sum(
        arrivals_within("gamma", 10.0, 200.0, np.random.default_rng(seed), squared_cv).size for seed in range(100)
    )
    assert total > 0
    times = arrivals_by_count("gamma", 10.0, 100_000, np.random.default_rng(5), squared_cv)
    assert times.size / times[-1] == pytest.approx(10.0, rel=0.3)


@pytest.mark.parametrize(
    ("process", "rate", "squared_cv", "field"),
    [("poisson", 0.0, 1.0, "rate"), ("constant", float("nan"), 1.0, "rate"), ("gamma", 1.0, 0.0, "burstiness")],
)
def test_what_no_process_has_is_refused(process: Process, rate: float, squared_cv: float, field: str) -> None:
    with pytest.raises(InputError, match=field):
        arrivals_by_count(process, rate, 10, np.random.default_rng(0), squared_cv)


@pytest.mark.parametrize("duration_s", [0.0, -1.0, float("nan"), 1e12])
def test_durations_that_hold_nothing_or_too_much_are_refused(duration_s: float) -> None:
    with pytest.raises(InputError, match="duration_s"):
        arrivals_within("poisson", 5.0, duration_s, np.random.default_rng(0))


@pytest.mark.parametrize("requests", [0, -1, 10**12])
def test_numbers_of_requests_that_make_no_schedule_are_refused(requests: int) -> None:
    with pytest.raises(InputError, match="requests"):
        arrivals_by_count("poisson", 5.0, requests, np.random.default_rng(0))
