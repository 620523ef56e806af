"""Throughput while all users wait, of closed loops whose truth is known."""

import numpy as np
import pytest

from planner.core.busy import busy_window, tokens_within


def closed_loop(users: int, rounds: int, takes_s: float, first_s: float) -> tuple[np.ndarray, ...]:
    """Users who all begin together, whose answers take equally long; one after the other by a tenth of a round."""
    offsets = np.arange(users) / users * takes_s / 10
    sent_s = np.sort((offsets[:, np.newaxis] + takes_s * np.arange(rounds)).ravel())
    return sent_s, sent_s + first_s, sent_s + takes_s


@pytest.mark.parametrize(("rounds", "near"), [(6, 0.1), (20, 0.025)])
def test_throughput_has_neither_start_nor_end_in_it(rounds: int, near: float) -> None:
    users, tokens, takes_s = 8, 41, 2.0
    sent_s, first_s, last_s = closed_loop(users, rounds, takes_s, 0.4)
    window = busy_window(sent_s, last_s, users)
    assert window is not None
    found = tokens_within(first_s, last_s, np.full(sent_s.size, float(tokens)), *window) / (window[1] - window[0])
    truth = users * tokens / takes_s
    assert found == pytest.approx(truth, rel=near)


def test_tokens_before_and_after_the_time_do_not_count() -> None:
    first_s, last_s, tokens = np.array([0.0, 2.0, 5.0]), np.array([1.0, 4.0, 5.0]), np.array([11.0, 21.0, 1.0])
    assert tokens_within(first_s, last_s, tokens, 0.0, 10.0) == 33
    assert tokens_within(first_s, last_s, tokens, 1.5, 3.0) == 11
    assert tokens_within(first_s, last_s, tokens, 5.0, 6.0) == 1
    assert tokens_within(first_s, last_s, tokens, 6.0, 7.0) == 0


def test_answers_that_came_at_once_count_when_they_came() -> None:
    at_s = np.array([1.0, 3.0])
    assert tokens_within(at_s, at_s, np.array([5.0, 7.0]), 0.0, 2.0) == 5


def test_a_load_that_never_had_all_users_has_no_window() -> None:
    sent_s = np.array([0.0, 0.0, 0.1])
    assert busy_window(sent_s, sent_s + 1.0, users=3) is None
    assert busy_window(sent_s, sent_s + 1.0, users=2) is None
