"""When a load point is given up."""

import pytest

from planner.loadtest.storm import IN_A_ROW, LATEST, StormWatch, storm


@pytest.mark.parametrize(
    ("in_a_row", "failed", "latest", "allowed", "is_enough"),
    [
        (49, 49, 49, 0.05, False),
        (50, 50, 50, 0.05, True),
        (50, 50, 50, 0.99, True),
        (0, 199, 199, 0.05, False),  # too few to tell
        (0, 100, 200, 0.05, False),  # half is an overload worth measuring
        (0, 101, 200, 0.05, True),
        (0, 101, 200, 0.0, True),
        # Where half may fail, chance makes 100 ± 7.07: 4.75 of these deviations reach 133.6.
        (0, 133, 200, 0.5, False),
        (0, 134, 200, 0.5, True),
        (999, 200, 200, 1.0, False),
    ],
)
def test_rule(in_a_row: int, failed: int, latest: int, allowed: float, is_enough: bool) -> None:
    assert bool(storm(in_a_row, failed, latest, allowed)) == is_enough


def test_only_the_latest_answers_count() -> None:
    watch = StormWatch(0.05)
    pattern = [False, False, True]  # two of three fail
    assert not any(watch.take(True) for _ in range(1000))
    told = [watch.take(pattern[number % 3]) for number in range(LATEST)]
    # 200 answers, the earliest of them whole: the 101st failure is the first to be more than half.
    first = next(number for number, reason in enumerate(told) if reason)
    assert sum(not pattern[number % 3] for number in range(first + 1)) == 101
    assert told[first] == "101 of the latest 200 requests failed"


def test_failures_leave_the_window_as_they_came() -> None:
    watch = StormWatch(0.05)
    for _ in range(20):
        assert not any(watch.take(False) for _ in range(IN_A_ROW - 1))
        assert not any(watch.take(True) for _ in range(LATEST))
