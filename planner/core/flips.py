"""Switch points: values of an input at which the verdict becomes another one."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from planner.core.search import closest
from planner.schema.plan import VerdictChoice


@dataclass(frozen=True)
class SwitchPoint:
    """The nearest value at which the verdict is another than now, and which one it is there."""

    value: float
    to: VerdictChoice


def switch_points(choice_at: Callable[[float], VerdictChoice], path: Sequence[float]) -> list[SwitchPoint]:
    """For every other verdict that comes up along a path, where it first does, the nearest first.

    Args:
        choice_at: the verdict at a value.
        path: positive values from that of now outward; a change and back between two of them is not seen.

    Example:
        A verdict that is not certain from 5 to 6:

        >>> def choice_at(value): return "api" if value < 5 else "abstain" if value < 6 else "host"
        >>> [(round(point.value, 4), point.to) for point in switch_points(choice_at, [1.0, 4.0, 20.0])]
        [(5.0, 'abstain'), (6.0, 'host')]
    """
    seen = {choice_at(path[0])}
    points = []
    for inside, outside in itertools.pairwise(path):
        near = inside
        while choice_at(outside) not in seen:
            here = choice_at(near)
            near = closest(lambda value, here=here: choice_at(value) != here, near, outside)  # type: ignore[misc]
            to = choice_at(near)
            if to not in seen:
                points.append(SwitchPoint(near, to))
                seen.add(to)
    return points
