"""What two sweeps found that chose their loads themselves, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from planner.core.comparison import Comparison, Edge, Verdict, edge_ratio, verdict
from planner.core.repeats import Repeats, ratio_of_repeats
from planner.loadtest.sweep import best_loops
from planner.schema.scenario import Slo
from planner.schema.sweep import Saturation, SweepResult
from planner.workflows.measurements import Measurement

FOUND = "found by sweep"
"""Stands where other rows name a load."""
_EDGES = (
    ("rate_within_slo", "within SLO [requests/s]", "met_requests_per_s", "missed_requests_per_s"),
    ("users_within_slo", "within SLO [users]", "met_users", "missed_users"),
)


@dataclass(frozen=True)
class Sweep:
    """A run that found its loads itself.

    Attributes:
        run: its name.
        points: its loads.
        found: by it.
        slo: its service level.
    """

    run: str
    points: Sequence[Measurement]
    found: SweepResult
    slo: Slo

    @classmethod
    def of(cls, run: Sequence[Measurement]) -> "Sweep | None":
        """None where somebody else chose the loads."""
        found = run[0].sweep if run else None
        return None if found is None else cls(run[0].run, run, found, run[0].slo)

    def best(self, saturation: Saturation, unit: float) -> Repeats | None:
        """Its best closed loop, each time that it was measured; None where its load points do not hold it.

        Args:
            saturation: that it found.
            unit: what it found, in the unit that is wanted.
        """
        loops = best_loops([each.point for each in self.points], saturation.users)
        per_token = unit / saturation.output_tokens_per_s if saturation.output_tokens_per_s else 0.0
        if not loops or not per_token:
            return None
        return Repeats([rate * per_token for rate, _ in loops], [error for _, error in loops])


def count_found(first: Sweep, second: Sweep) -> int:
    """How many comparisons of what they found can be made by statistics."""
    return 2 if first.found.saturation and second.found.saturation else 0


def compare_found(first: Sweep, second: Sweep, comparisons: int) -> Iterator[Comparison]:
    """A row for each figure that both found.

    Args:
        first: a sweep; the one that was.
        second: likewise; the one that is judged.
        comparisons: how many are made in all.
    """
    before, after = first.found.saturation, second.found.saturation
    if before is not None and after is not None:
        for name, key in (("requests/s", "requests_per_s"), ("output tokens/s", "output_tokens_per_s")):
            figures = getattr(before, key), getattr(after, key)
            ours, theirs = first.best(before, figures[0]), second.best(after, figures[1])
            found = ratio_of_repeats(ours, theirs, comparisons) if ours and theirs else None
            judged = verdict("unclear" if found is None else found.finding, is_less_better=False)
            yield Comparison(FOUND, f"saturation [{name}]", *figures, found, _beyond(judged, before, after))
    if first.slo == second.slo:
        for field, name, met, missed in _EDGES:
            ours, theirs = getattr(first.found, field), getattr(second.found, field)
            if ours is not None and theirs is not None:
                edges = [Edge(getattr(each, met), getattr(each, missed)) for each in (ours, theirs)]
                ratio, told = edge_ratio(*edges)
                yield Comparison(FOUND, name, None, None, ratio, verdict(told, is_less_better=False), *edges)


def _beyond(found: Verdict, before: Saturation, after: Saturation) -> Verdict:
    """The verdict that is left where throughput still grew with the last users that were tried."""
    if found == "better":
        return "unclear" if before.is_lower_bound else found
    if found == "worse":
        return "unclear" if after.is_lower_bound else found
    return "unclear" if before.is_lower_bound or after.is_lower_bound else found


def remarks_on(first: Sweep, second: Sweep) -> Iterator[str]:
    """Why what they found is not all there is."""
    for sweep in (first, second):
        best = sweep.found.saturation
        if best is None:
            yield f"{sweep.run}: the sweep found no saturation"
        elif best.is_lower_bound:
            yield f"{sweep.run}: throughput still grew with the last users that were tried; saturation may be higher"
        if not sweep.found.is_complete:
            yield f"{sweep.run}: the sweep ended before all was found; --resume with more --time-budget-s goes on"
    if first.slo != second.slo:
        told = [f"{_slo(sweep.slo)} in {sweep.run}" for sweep in (first, second)]
        yield f"service level: {', '.join(told)}; what sweeps found within it is not compared"
        return
    for field, name, _, _ in _EDGES:
        has = [sweep.run for sweep in (first, second) if getattr(sweep.found, field) is not None]
        if len(has) == 1:
            yield f"{name}: only found in {has[0]}"


def _slo(slo: Slo) -> str:
    limits = [f"{name}={value:g}" for name, value in slo if value is not None]
    return ", ".join(limits) or "none"
