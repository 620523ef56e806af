"""Think times against the distributions that they are described by."""

import numpy as np
import pytest
from scipy import stats

from planner.core.think import ThinkTime
from planner.errors import InputError


def test_times_follow_their_distribution() -> None:
    exponential = ThinkTime(2.0, "exponential").draw(20_000, np.random.default_rng(1))
    lognormal = ThinkTime(2.0, "lognormal", 10.0).draw(20_000, np.random.default_rng(2))
    as_lognormal = stats.lognorm(s=np.log(5) / stats.norm.ppf(0.95), scale=2.0)
    assert stats.kstest(exponential, stats.expon(scale=2.0).cdf).pvalue > 0.01
    assert stats.kstest(lognormal, as_lognormal.cdf).pvalue > 0.01
    assert stats.kstest(exponential, as_lognormal.cdf).pvalue < 1e-6
    assert set(ThinkTime(2.5).draw(10, np.random.default_rng(0)).tolist()) == {2.5}


@pytest.mark.parametrize(
    ("think", "field"),
    [
        ((-1.0,), "seconds"),
        ((float("nan"),), "seconds"),
        ((0.0, "exponential"), "mean"),
        ((1e9, "exponential"), "mean"),
        ((2.0, "lognormal"), "p95"),
        ((2.0, "lognormal", 1.0), "p95"),
        ((0.0, "lognormal", 1.0), "p50"),
    ],
)
def test_times_that_nobody_thinks_are_refused(think: tuple[object, ...], field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}: must"):
        ThinkTime(*think)  # type: ignore[arg-type]
