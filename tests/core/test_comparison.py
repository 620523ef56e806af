"""Where a service level ends in two runs: which one bears more."""

import pytest

from planner.core.comparison import Edge, edge_ratio
from planner.core.difference import Finding


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (Edge(10.0, 10.5), Edge(12.0, 12.6), "higher"),
        (Edge(12.0, 12.6), Edge(10.0, 10.5), "lower"),
        (Edge(10.0, 10.4), Edge(10.0, 10.4), "equal"),
        (Edge(10.0, 20.0), Edge(15.0, 30.0), "unclear"),
        (Edge(8.0, 9.0), Edge(9.0, 10.0), "higher"),  # nine users are met by the second, and missed by the first
        (Edge(9.0, 10.0), Edge(8.0, 9.0), "lower"),
        (Edge(10.0, 10.5), Edge(12.0, None), "higher"),
        (Edge(10.0, None), Edge(12.0, None), "unclear"),
        (Edge(None, 10.0), Edge(12.0, None), "higher"),
        (Edge(None, 10.0), Edge(None, 5.0), "unclear"),
        (Edge(12.0, None), Edge(None, 10.0), "lower"),
        (Edge(None, None), Edge(1.0, 2.0), "unclear"),
    ],
)
def test_edges_that_do_not_overlap_are_apart(first: Edge, second: Edge, found: Finding) -> None:
    ratio, told = edge_ratio(first, second)
    assert told == found
    is_known = None not in {first.met, first.missed, second.met, second.missed}
    assert (ratio is not None) == is_known


def test_the_ratio_of_edges_has_the_ends_that_they_allow() -> None:
    ratio, _ = edge_ratio(Edge(10.0, 20.0), Edge(30.0, 50.0))
    assert ratio is not None
    assert (ratio.low, ratio.high) == (1.5, 5.0)
    assert ratio.low < ratio.value < ratio.high
