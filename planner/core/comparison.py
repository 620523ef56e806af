"""Two runs side by side: what is found of each figure of each load."""

from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

from planner.core.difference import Finding, Ratio, finding

Verdict = Literal["better", "worse", "equal", "unclear", "not estimable"]


@dataclass(frozen=True)
class Edge:
    """Between which loads a service level ends.

    Attributes:
        met: the highest load that met it; None where none did.
        missed: the lowest that did not; None where all did.
    """

    met: float | None
    missed: float | None


@dataclass(frozen=True)
class Comparison:
    """A figure of a load in both runs.

    Attributes:
        load: in two words.
        metric: name and unit.
        first, second: the figures of the two runs; None where a sample is too small for one, and for edges.
        ratio: second over first; None likewise. Of edges, its ends are those that the edges allow.
        verdict: of the second against the first.
        first_edge, second_edge: where the figures are edges of a service level.
    """

    load: str
    metric: str
    first: float | None
    second: float | None
    ratio: Ratio | None
    verdict: Verdict
    first_edge: Edge | None = None
    second_edge: Edge | None = None


@dataclass(frozen=True)
class Compared:
    """Two runs.

    Attributes:
        names: of the runs.
        comparisons: what sweeps found; then by load, in the order of the first run.
        notes: how the figures are to be read.
        warnings: what else differs between them, and loads that only one of them has.
        doubts: why a point must not be trusted.
    """

    names: tuple[str, str]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    doubts: tuple[str, ...]


def verdict(found: Finding, is_less_better: bool) -> Verdict:
    """What a finding about the second figure says of the second run.

    Example:
        >>> verdict("lower", is_less_better=True), verdict("unclear", is_less_better=True)
        ('better', 'unclear')
    """
    if found in ("equal", "unclear"):
        return found
    return "better" if (found == "lower") == is_less_better else "worse"


def edge_ratio(first: Edge, second: Edge) -> tuple[Ratio | None, Finding]:
    """How far two edges are apart at least and at most.

    Returns:
        The ratio, its value in the middle; None where one end is not known. And higher or lower where the edges do not
        overlap, even where one end is not known.

    Example:
        >>> edge_ratio(Edge(10.0, 10.5), Edge(12.0, None))
        (None, 'higher')
        >>> ratio, found = edge_ratio(Edge(10.0, 12.0), Edge(11.0, 13.0))
        >>> round(ratio.low, 2), round(ratio.high, 2), found
        (0.92, 1.3, 'unclear')
    """
    low = second.met / first.missed if second.met is not None and first.missed else 0.0
    high = second.missed / first.met if second.missed is not None and first.met else inf
    found = finding(low, high)
    if found == "unclear":  # what met it in one run and missed it in the other is apart, even where both are one load
        found = "higher" if low >= 1 else "lower" if high <= 1 else "unclear"
    return (Ratio(sqrt(low * high), low, high, found) if low > 0 and high < inf else None), found
