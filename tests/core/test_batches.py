"""Batches and long-run variances against scipy and against processes whose variance is known."""

import numpy as np
import pytest
from processes import autoregressive
from scipy import stats

from planner.core.batches import batch_edges, batch_means, batch_size, long_run, student


@pytest.mark.parametrize("freedom", [3, 5, 9, 29, 99])
@pytest.mark.parametrize("probability", [0.9, 0.975, 0.9967])
def test_student_is_that_of_scipy(freedom: int, probability: float) -> None:
    found = student(freedom, stats.norm.ppf(probability))
    assert found == pytest.approx(stats.t.ppf(probability, freedom), rel=0.015 if freedom < 5 else 0.002)


def test_batches_hold_every_value_once_and_differ_by_one_at_most() -> None:
    for n, size in ((103, 10), (30, 30), (7, 2), (1000, 34)):
        edges = batch_edges(n, size)
        assert (edges[0], edges[-1], edges.size) == (0, n, n // size + 1)
        assert set(np.diff(edges)) <= {size, size + 1, size + 2} or n // size < 4
        assert np.diff(edges).min() >= size
        values = np.random.default_rng(n).random(n)
        assert batch_means(values, size) @ np.diff(edges) == pytest.approx(values.sum())
    assert batch_means(np.ones(3), 5).size == 0


def test_batches_span_half_of_what_is_in_flight() -> None:
    assert [batch_size(300, in_flight) for in_flight in (0.1, 20.0, 21.0, 600.0)] == [10, 10, 11, 300]
    assert all(n // batch_size(n, 0.5) <= 30 for n in range(1, 500))


@pytest.mark.parametrize(("phi", "near"), [(0.0, 0.08), (0.3, 0.12), (0.6, 0.15), (0.9, 0.3)])
def test_long_run_variance_is_that_of_an_autoregression(phi: float, near: float) -> None:
    found = [long_run(series - series.mean(), 1) for series in autoregressive(phi, 200, 400, 1)]
    truth = (1 + phi) / (1 - phi)
    assert np.median([each.variance for each in found]) == pytest.approx(truth, rel=near)
    assert np.median([each.freedom for each in found]) == pytest.approx(400 / truth - 1, rel=near)


def test_neighbours_that_alternate_earn_no_smaller_variance() -> None:
    series = np.tile([1.0, -1.0], 50)
    assert long_run(series, 1).inflation == 1.0
    assert long_run(series, 1).variance == pytest.approx(series.var(ddof=1))


def test_nothing_that_varies_has_no_variance() -> None:
    assert long_run(np.zeros(40), 1).variance == 0.0
    assert np.isfinite(long_run(np.arange(40) - 19.5, 1).variance)
