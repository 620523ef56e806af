"""Where a condition begins to hold along a line, and the points at which a verdict switches."""

import itertools

import pytest

from planner.core.flips import switch_points
from planner.core.search import first_on_path, price_factors


def test_the_first_of_several_changes_is_found() -> None:
    # Holds from 2 to 3 and from 50 on.
    found = first_on_path(lambda value: 2 <= value < 3 or value >= 50, [1.0, 2.5, 10.0, 100.0])
    assert found == pytest.approx(2.0, rel=2e-7)
    assert found >= 2


def test_a_path_may_fall() -> None:
    found = first_on_path(lambda value: value < 0.3, [1.0, 0.5, 0.1])
    assert found == pytest.approx(0.3, rel=2e-7)
    assert found < 0.3


def test_price_factors_go_from_one_outward_to_a_thousand() -> None:
    up, down = price_factors(True, 1000.0), price_factors(False, 1000.0)
    assert up[0] == down[0] == 1.0
    assert up == sorted(up)
    assert (up[-1], down[-1]) == (pytest.approx(1000), pytest.approx(0.001))
    assert [a * b for a, b in zip(up, down, strict=True)] == pytest.approx([1.0] * len(up))
    assert all(later / earlier < 1.042 for earlier, later in itertools.pairwise(up) if later < 2)


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ({3.0: "host"}, [(3.0, "host")]),
        ({3.0: "abstain", 4.0: "host"}, [(3.0, "abstain"), (4.0, "host")]),
        ({3.0: "abstain", 4.0: "api", 5.0: "host"}, [(3.0, "abstain"), (5.0, "host")]),
        ({3.0: "hybrid", 3.01: "abstain", 3.02: "host"}, [(3.0, "hybrid"), (3.01, "abstain"), (3.02, "host")]),
        ({3.0: "host", 8.0: "api", 9.0: "abstain"}, [(3.0, "host"), (9.0, "abstain")]),
        ({3.0: "abstain"}, [(3.0, "abstain")]),
        ({1e6: "host"}, []),
    ],
)
def test_switch_points(edges: dict[float, str], expected: list[tuple[float, str]]) -> None:
    def choice_at(value: float) -> str:
        return [choice for edge, choice in ({0.0: "api"} | edges).items() if value >= edge][-1]

    path = [1.0 * 1.1**step for step in range(30)]
    points = switch_points(choice_at, path)
    assert [(pytest.approx(point.value, rel=2e-7), point.to) for point in points] == expected
    assert all(choice_at(point.value) == point.to for point in points)
