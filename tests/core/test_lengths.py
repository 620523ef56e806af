"""Token lengths against the distribution that they are described by."""

import numpy as np
import pytest
from scipy import stats

from planner.core.lengths import Lengths
from planner.errors import InputError


def test_lognormal_lengths_have_their_percentiles_and_shape() -> None:
    lengths = Lengths(900, 3200).draw(50_000, np.random.default_rng(2))
    assert lengths.dtype == np.int32  # a million of them are drawn ahead
    assert np.percentile(lengths, [50, 95]) == pytest.approx([900, 3200], rel=0.03)
    sigma = np.log(3200 / 900) / 1.6448536269514722
    # Rounding to whole tokens moves the distribution function by less than a thousandth here.
    assert stats.kstest(lengths, stats.lognorm(s=sigma, scale=900).cdf).statistic < 0.01


def test_lengths_are_at_least_one_token() -> None:
    assert Lengths(1, 50).draw(5_000, np.random.default_rng(0)).min() == 1


def test_equal_percentiles_are_one_length() -> None:
    assert set(Lengths(7, 7).draw(10, np.random.default_rng(0)).tolist()) == {7}


@pytest.mark.parametrize(("p50", "p95"), [(0, None), (-3, 5), (float("nan"), None), (10, 9), (10, 1e12)])
def test_lengths_that_no_request_has_are_refused(p50: float, p95: float | None) -> None:
    with pytest.raises(InputError):
        Lengths(p50, p95)


def test_lengths_drawn_ahead_are_those_drawn_alone() -> None:
    few, many = (Lengths(900, 3200).draw(count, np.random.default_rng(4)) for count in (70_000, 200_000))
    assert few.tolist() == many[:70_000].tolist()
