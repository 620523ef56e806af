"""Starts and drift in series of which it is known: how often they are found, and how often where there is none."""

from collections.abc import Callable

import numpy as np
import pytest
from processes import autoregressive

from planner.core.steady import Drift, drift, settled_from

SIGMA = np.sqrt(np.log1p(0.5**2))
"""A coefficient of variation of 0.5."""
POINTS = 300


def series(phi: float, n: int, shape: Callable[[np.ndarray], np.ndarray] = np.ones_like) -> list[np.ndarray]:
    """Latencies whose logarithms share phi with the one before, times a shape over the place from 0 to 1."""
    places = (np.arange(n) + 0.5) / n
    return list(np.exp(SIGMA * autoregressive(phi, POINTS, n, n)) * shape(places))


def share_found(made: list[np.ndarray]) -> float:
    """Share of the series in which drift is found, after their start is cut."""
    found = [drift(values[settled_from(values, 1.0) :], 1.0) for values in made]
    return float(np.mean([each is not None and each.is_found for each in found]))


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("n", [100, 300, 1000])
def test_steady_series_are_left_alone(phi: float, n: int) -> None:
    made = series(phi, n)
    assert share_found(made) <= 0.02
    assert np.mean([settled_from(values, 1.0) > 0 for values in made]) <= 0.01


@pytest.mark.parametrize(
    ("phi", "n", "growth", "least"),
    [(0.0, 300, 0.5, 0.85), (0.0, 100, 1.0, 0.8), (0.3, 1000, 0.5, 0.95), (0.6, 1000, 1.0, 0.95)],
)
def test_drift_is_found(phi: float, n: int, growth: float, least: float) -> None:
    assert share_found(series(phi, n, lambda place: 1 + growth * place)) >= least
    assert share_found(series(phi, n, lambda place: 1 + growth * (1 - place))) >= least


@pytest.mark.parametrize("when", [0.5, 0.8])
def test_jump_is_found(when: float) -> None:
    assert share_found(series(0.0, 1000, lambda place: 1 + 0.5 * (place > when))) > 0.95


def test_waves_are_no_drift() -> None:
    assert share_found(series(0.0, 1000, lambda place: 1 + 0.5 * np.sin(20 * np.pi * place))) <= 0.01


def test_series_without_noise_are_seen_through() -> None:
    line = drift(np.linspace(1.0, 1.5, 200), 1.0)
    assert line is not None
    assert (line.is_found, line.is_telling) == (True, True)
    # Of the logarithm of a straight line, the straight line that comes closest: a little more than ln 1.5.
    assert line.change_fraction == pytest.approx(0.5, abs=0.02)
    for steady in (np.ones(60), np.zeros(60), np.tile([1.0, 2.0], 100), np.linspace(1.0, 1.09, 100)):
        found = drift(steady, 1.0)
        assert found is not None
        assert (found.is_found, settled_from(steady, 1.0)) == (False, 0)


@pytest.mark.parametrize("in_flight", [0.5, 10.0])
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("curve", ["line", "falling line", "parabola", "exponential"])
def test_curved_drift_is_found_however_small_the_noise(curve: str, noise: float, in_flight: float) -> None:
    place = np.linspace(0, 1, 200)
    shapes = {
        "line": 1 + 2 * place,
        "falling line": 3 - 2 * place,
        "parabola": 1 + 2 * place**2,
        "exponential": np.exp(place),
    }
    found = drift(shapes[curve] * np.exp(noise * np.random.default_rng(0).standard_normal(200)), in_flight)
    assert found is not None
    assert found.is_found


def test_random_walks_are_seldom_taken_for_drift() -> None:
    walks = np.cumsum(np.random.default_rng(1).standard_normal((400, 100)) / 20, axis=1)
    found = [drift(np.exp(walk), 3.0) for walk in walks]
    assert np.mean([each is not None and each.is_found for each in found]) < 0.1, "a line through batches: one in two"


def test_interval_of_drift_holds_it() -> None:
    made = series(0.3, 300, lambda place: np.exp(0.4 * place))
    found = [drift(values, 1.0) for values in made]
    held = [each is not None and each.low <= np.expm1(0.4) <= each.high for each in found]
    assert 0.92 <= np.mean(held) <= 0.98


def test_too_little_says_nothing() -> None:
    values = np.random.default_rng(0).lognormal(0, 0.3, 300)
    assert drift(values[:49], 1.0) is None
    assert isinstance(drift(values[:50], 1.0), Drift)
    assert drift(values, 31.0) is None, "those in flight were replaced less than ten times"
    assert isinstance(drift(values, 30.0), Drift)
    few = drift(np.random.default_rng(0).lognormal(0, 1.5, 60), 1.0)
    assert few is not None
    assert not few.is_telling, "a doubling might be missed"


@pytest.mark.parametrize(
    ("shape", "length"),
    [
        (lambda place: 1 + 2.0 * (place < 0.1), 100),
        (lambda place: 1 + 0.5 * (place < 0.2), 200),
        (lambda place: 1 + 2.0 * np.exp(-place / 0.05), 150),  # a tenth is left
        (lambda place: np.minimum(1.0, 0.3 + 0.7 * place / 0.15), 150),
    ],
    ids=["three times", "half as much again", "dying away", "filling up"],
)
def test_start_is_cut_where_it_ends(shape: Callable[[np.ndarray], np.ndarray], length: int) -> None:
    made = series(0.0, 1000, shape)
    cuts = np.array([settled_from(values, 1.0) for values in made])
    assert np.mean((cuts >= length / 2) & (cuts <= 2 * length)) >= 0.85
    assert share_found(made) <= 0.1, "what is left is steady"


def test_drift_is_no_start() -> None:
    made = series(0.0, 1000, lambda place: 1 + place)
    assert np.mean([settled_from(values, 1.0) > 0 for values in made]) <= 0.01


def test_start_that_makes_no_difference_is_kept() -> None:
    values = np.random.default_rng(1).lognormal(0, 0.01, 500)
    values[:50] *= 1.09
    assert settled_from(values, 1.0) == 0
    values[:50] *= 1.05
    assert settled_from(values, 1.0) == 50
