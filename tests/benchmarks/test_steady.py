"""The load points that steady state is judged by: what is said of them is true, and every table is filled."""

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
from benchmark_modules import benchmark_modules


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[ModuleType, ...]]:
    """The benchmark and its series."""
    with benchmark_modules("steady", "series") as found:
        yield found


def test_series_have_the_mean_spread_and_likeness_that_are_told(modules: tuple[ModuleType, ...]) -> None:
    made = modules[1].correlated(np.random.default_rng(0), 200, 400, 0.6)
    logs = np.log([point.ttft_s for point in made])
    assert logs.mean() == pytest.approx(0.0, abs=0.02)
    assert np.exp(logs).std() / np.exp(logs).mean() == pytest.approx(0.5, abs=0.02)
    assert np.corrcoef(logs[:, 1:].ravel(), logs[:, :-1].ravel())[0, 1] == pytest.approx(0.6, abs=0.02)


def test_closed_loop_keeps_littles_law(modules: tuple[ModuleType, ...]) -> None:
    point = modules[1].closed(np.random.default_rng(0), 8, 600)
    assert (point.due_s[:8] == 0).all()
    assert (point.due_s[8:] > 0).all()
    e2e_s = point.ttft_s + point.tpot_s * (point.output_tokens - 1)
    # As one answer ends, the next request is sent: eight are under way at all times.
    assert sorted((point.due_s + e2e_s).round(9))[:592] == pytest.approx(point.due_s[8:].round(9))
    middle = (point.due_s[300:301], point.due_s + e2e_s)
    assert np.count_nonzero((point.due_s <= middle[0]) & (middle[1] > middle[0])) == 8


def test_simulated_load_is_the_share_of_capacity_that_is_told(modules: tuple[ModuleType, ...]) -> None:
    _, series = modules
    half, most = (series.served(load, 32, 20_000, 3) for load in (0.4, 0.8))
    rates = [point.due_s.size / float(point.due_s[-1] - point.due_s[0]) for point in (half, most)]
    assert rates[1] / rates[0] == pytest.approx(2.0, rel=0.05)
    assert most.ttft_s.mean() > 1.5 * half.ttft_s.mean()


def test_every_table_is_filled(modules: tuple[ModuleType, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    steady, series = modules
    monkeypatch.setattr(steady, "SIZES", (60, 200))
    monkeypatch.setattr(steady, "LIKENESS", (0.0,))
    monkeypatch.setattr(steady, "USERS", (4,))
    monkeypatch.setattr(steady, "_CLOSED_POINTS", 2)
    name = steady._simulated(0.8, 32)
    long = {name: series.served(0.8, 32, 4000, 1)}
    for tell in (steady.steady, steady.drifting, steady.started, steady.others, steady.covered):
        rows = [line for line in tell(3, long) if line.startswith("| ")]
        assert len(rows) > 2
        assert len({row.count("|") for row in rows}) == 1
        assert not any("nan" in row for row in rows)
    assert [row for row in steady.steady(3, long) if row.startswith("| independent")] == [
        "| independent | 0 / 100 / 0 | 0 / 0 / 0 |"
    ]
