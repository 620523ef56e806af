"""Ratios of figures that were measured a few times, on figures whose truth is known."""

import numpy as np
import pytest

from planner.core.repeats import Repeats, ratio_of_repeats


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 2), (1, 4)])
def test_student_holds_the_truth_as_often_as_it_says(first: int, second: int) -> None:
    rng, trials, held = np.random.default_rng(3), 400, 0
    for _ in range(trials):
        before, after = (
            100 * np.exp(0.02 * rng.standard_normal(first)),
            150 * np.exp(0.02 * rng.standard_normal(second)),
        )
        found = ratio_of_repeats(Repeats(before.tolist(), [None] * first), Repeats(after.tolist(), [None] * second))
        assert found is not None
        held += found.low <= 1.5 <= found.high
    # Of 400 at 95 %, 99.9 % of binomials hold between 364 and 393.
    assert 364 <= held <= 393


def test_intervals_of_the_figures_are_taken_where_there_are_some() -> None:
    found = ratio_of_repeats(Repeats([100.0, 100.0], [0.03, 0.03]), Repeats([100.0, 100.0], [0.04, 0.04]))
    assert found is not None
    # Two repeats halve the variance: 5 % over √2, in logarithms.
    assert (found.low, found.high) == pytest.approx((np.exp(-0.05 / np.sqrt(2)), np.exp(0.05 / np.sqrt(2))))
    assert found.finding == "equal"
    wider = ratio_of_repeats(Repeats([90.0, 110.0], [0.001, 0.001]), Repeats([100.0], [0.001]))
    assert wider is not None
    assert wider.high - wider.low > 0.3, "repeats that differ tell that the intervals do not know all"


def test_a_difference_must_stand_out_of_all_comparisons() -> None:
    before, after = Repeats([100.0], [0.05]), Repeats([109.0], [0.05])
    alone, one_of_many = ratio_of_repeats(before, after), ratio_of_repeats(before, after, comparisons=100)
    assert alone is not None
    assert one_of_many is not None
    assert (alone.finding, one_of_many.finding) == ("higher", "unclear")
    assert (alone.low, alone.high) == (one_of_many.low, one_of_many.high)


def test_single_figures_without_intervals_tell_nothing() -> None:
    assert ratio_of_repeats(Repeats([100.0], [None]), Repeats([200.0], [None])) is None
