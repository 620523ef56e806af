"""Schedules: the same for the same seed, whatever warms up before them."""

import numpy as np
import pytest

from planner.core.lengths import Lengths
from planner.loadtest.schedule import Extent, Schedule, closed_loop, open_loop, replay

LENGTHS = Lengths(100, 400), Lengths(50, 90)


def drawn(seed: int, warmup_s: float = 0.0) -> Schedule:
    return open_loop("poisson", 50.0, 1.0, LENGTHS, Extent(300, None, warmup_s), (seed, 0))


def rows(schedule: Schedule) -> list[tuple[float, int, int]]:
    due = schedule.measured.due_s
    assert due is not None
    return list(zip(due, schedule.measured.input_tokens, schedule.measured.output_tokens, strict=True))


def test_same_seed_gives_the_same_schedule() -> None:
    assert rows(drawn(1)) == rows(drawn(1))
    assert rows(drawn(1)) != rows(drawn(2))
    assert len(rows(drawn(1))) == 300


def test_warm_up_comes_on_top_and_changes_nothing_of_what_is_measured() -> None:
    warm = drawn(1, warmup_s=4.0)
    assert rows(warm) == rows(drawn(1))
    assert warm.warmup.due_s is not None
    assert 130 < len(warm.warmup) < 270  # 200 on average
    assert -4 <= warm.warmup.due_s[0] <= warm.warmup.due_s[-1] < 0


def test_closed_loop_has_no_times() -> None:
    schedule = closed_loop(8, LENGTHS, Extent(40, None, 0.0), (1, 0))
    assert schedule.measured.due_s is None
    assert (len(schedule.measured), len(schedule.warmup), schedule.concurrency) == (40, 0, 8)
    assert len(closed_loop(8, LENGTHS, Extent(None, 5.0, 1.0), (1, 0)).measured) >= 100_000


def test_trace_is_replayed_as_it_was() -> None:
    schedule = replay(np.array([5.0, 5.5, 7.0]), np.array([10, 20, 30]), np.array([1, 2, 3]), 10.0, (0,))
    assert rows(schedule) == [(0.0, 10, 1), (0.5, 20, 2), (2.0, 30, 3)]
    assert schedule.offered_requests_per_s == 1.0
    asked = set(zip(schedule.warmup.input_tokens.tolist(), schedule.warmup.output_tokens.tolist(), strict=True))
    assert asked <= {(10, 1), (20, 2), (30, 3)}
    assert len(schedule.warmup) > 0


@pytest.mark.parametrize("time_s", [[3.0], [3.0, 3.0]])
def test_trace_without_extent_has_a_rate(time_s: list[float]) -> None:
    ones = np.ones(len(time_s), dtype=np.int64)
    assert replay(np.array(time_s), ones, ones, 0.0, (0,)).offered_requests_per_s == len(time_s)


def test_requests_are_shortened_to_fit_a_context() -> None:
    schedule, shortened = drawn(3).within(300)
    total = schedule.measured.input_tokens + schedule.measured.output_tokens
    assert total.max() <= 300
    assert min(schedule.measured.input_tokens.min(), schedule.measured.output_tokens.min()) >= 1
    whole = drawn(3).measured
    assert shortened == np.count_nonzero(whole.input_tokens + whole.output_tokens > 300 * 0.98 - 12)
    assert drawn(3).within(None)[1] == 0
