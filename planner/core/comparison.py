"""Two runs side by side: what is found of each figure of each load."""

from dataclasses import dataclass
from typing import Literal

from planner.core.difference import Ratio

Verdict = Literal["better", "worse", "equal", "unclear", "not estimable"]


@dataclass(frozen=True)
class Comparison:
    """A figure of a load in both runs.

    Attributes:
        load: in two words.
        metric: name and unit.
        first, second: the figures of the two runs; None where a sample is too small for one.
        ratio: second over first; None likewise.
        verdict: of the second against the first.
    """

    load: str
    metric: str
    first: float | None
    second: float | None
    ratio: Ratio | None
    verdict: Verdict


@dataclass(frozen=True)
class Compared:
    """Two runs.

    Attributes:
        names: of the runs.
        comparisons: by load, in the order of the first run.
        warnings: what else differs between them, and loads that only one of them has.
        doubts: why a point must not be trusted.
    """

    names: tuple[str, str]
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...]
    doubts: tuple[str, ...]
