"""Two runs side by side: what differs between them for certain, what is equal, and what nobody can tell."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from planner.core.comparison import Compared, Comparison, verdict
from planner.core.difference import figure_of, ratio_of
from planner.errors import UsageError
from planner.store.files import shown_path
from planner.workflows.bench.options import BenchOptions
from planner.workflows.comparison.found_by_sweeps import Sweep, compare_found, count_found, remarks_on
from planner.workflows.comparison.loads_to_measure import loads_to_measure
from planner.workflows.comparison.run_differences import differences, other_lengths
from planner.workflows.comparison.same_loads import Load, Pair, loads_of, same_loads, same_shares
from planner.workflows.comparison.seen_load import METRICS, Metric, Seen
from planner.workflows.doubts import doubts
from planner.workflows.measurements import Measurement, read_measurements


def compare(first: Path, second: Path, seed: int = 0) -> Compared:
    """Compares two run directories, or results of other load-test tools, load by load.

    Of two sweeps that found their loads themselves, what they found is compared too, and open loops at the same share
    of each one's saturation.

    Args:
        first: a run; the one that was.
        second: likewise; the one that is judged.
        seed: of the resampling.

    Raises:
        InputFileError: every mistake of the files.
        UsageError: the runs have no load in common, and are not two sweeps.
    """
    runs = [read_measurements([path]) for path in (first, second)]
    loads = loads_of(runs[0]), loads_of(runs[1])
    sweeps = Sweep.of(runs[0]), Sweep.of(runs[1])
    pairs, shared, found = same_loads(*loads), list[Pair](), list[Comparison]()
    told = list[str]()
    count = len(pairs) * len(METRICS)
    if sweeps[0] is not None and sweeps[1] is not None:
        shared = list(same_shares(*loads, pairs))
        count += len(shared) * len(_metrics_of_shares()) + count_found(sweeps[0], sweeps[1])
        found = list(compare_found(sweeps[0], sweeps[1], count))
        told = list(remarks_on(sweeps[0], sweeps[1]))
    alone, more = list(_alone(loads, [*pairs, *shared])), list(_to_measure(runs, loads, pairs))
    if not (pairs or shared or found):
        each = [f"{shown_path(path)}: {_listed(of_run)}" for path, of_run in zip((first, second), loads, strict=True)]
        raise UsageError("\n".join(["RUN RUN: the two have no load in common", *each, *more]))
    rows = _Rows(count, seed)
    return Compared(
        names=(runs[0][0].run, runs[1][0].run),
        comparisons=(
            *found,
            *chain.from_iterable(rows.of(pair, METRICS) for pair in pairs),
            *chain.from_iterable(rows.of(pair, _metrics_of_shares()) for pair in shared),
        ),
        notes=(*_repeats([*pairs, *shared]), *_shares(shared)),
        warnings=(
            *_notes(runs),
            *differences(
                runs[0][0],
                runs[1][0],
                has_open=bool(shared) or any(not pair.is_closed for pair in pairs),
                has_closed=bool(found) or any(pair.is_closed for pair in pairs),
            ),
            *chain.from_iterable(map(other_lengths, [*pairs, *shared])),
            *told,
            *alone,
            *more,
        ),
        doubts=tuple(dict.fromkeys(chain.from_iterable(map(_doubts, [*pairs, *shared])))),
    )


def _metrics_of_shares() -> list[Metric]:
    """Of loads at different rates: not what follows the rate."""
    return [metric for metric in METRICS if not metric.is_of_load]


class _Rows:
    """Comparisons of pairs of loads; a load that is in two of them is looked at once."""

    def __init__(self, count: int, seed: int) -> None:
        """Of so many comparisons in all, with the seed of the resampling."""
        self._count, self._seed = count, seed
        self._seen: dict[int, list[Seen]] = {}

    def of(self, pair: Pair, metrics: Sequence[Metric]) -> Iterator[Comparison]:
        """A row for each metric."""
        first, second = self._of(pair.first), self._of(pair.second)
        for metric in metrics:
            yield self._compared(pair.label, metric, first, second)

    def _of(self, load: Load) -> list[Seen]:
        if id(load) not in self._seen:
            self._seen[id(load)] = [Seen.of(measured) for measured in load.repeats]
        return self._seen[id(load)]

    def _compared(self, label: str, metric: Metric, first: Sequence[Seen], second: Sequence[Seen]) -> Comparison:
        samples = metric.sample(first), metric.sample(second)
        if not all(map(metric.is_estimable, samples)):
            return Comparison(label, metric.name, None, None, None, "not estimable")
        found = ratio_of(*samples, self._count, self._seed)
        before, after = map(figure_of, samples)
        if not math.isfinite(found.value):
            return Comparison(label, metric.name, before, after, None, "equal" if before == after else "unclear")
        judged = verdict(found.finding, metric.is_less_better)
        return Comparison(label, metric.name, before, after, found, judged)


# ---- what is told besides


def _listed(loads: Sequence[Load]) -> str:
    return ", ".join(load.label for load in loads) or "none"


def _alone(loads: tuple[Sequence[Load], Sequence[Load]], pairs: Sequence[Pair]) -> Iterator[str]:
    """Loads of either run that are compared with none."""
    paired = {id(load) for pair in pairs for load in (pair.first, pair.second)}
    for of_run in loads:
        left = [load for load in of_run if id(load) not in paired]
        if left:
            yield f"{_listed(left)}: only in {left[0].run}"


def _to_measure(
    runs: Sequence[Sequence[Measurement]], loads: tuple[Sequence[Load], Sequence[Load]], pairs: Sequence[Pair]
) -> Iterator[str]:
    """How the loads of one run are measured on the server of the other, which lacks some of them."""
    for here, there in ((0, 1), (1, 0)):
        command = loads_to_measure(loads[here], runs[here][0].workload)
        if command and len(pairs) < len(loads[here]):
            name = runs[here][0].run
            where = f"to measure the loads of {name} on the server of {runs[there][0].run}"
            yield f"{where}: {command}, and what else was asked for {name}"
            return


def _repeats(pairs: Sequence[Pair]) -> Iterator[str]:
    """Loads that were measured more than once."""
    loads = {id(load): load for pair in pairs for load in (pair.first, pair.second) if len(load.repeats) > 1}
    for load in loads.values():
        yield f"{load.label} of {load.run}: measured {len(load.repeats)} times, and taken together"


def _shares(shared: Sequence[Pair]) -> Iterator[str]:
    """That loads at the same share of saturation are not the same loads."""
    if shared:
        yield (
            "% of saturation: rates differ there, so that it is told how each does near its own best, not at one load"
        )
        for pair in shared:
            yield f"{pair.label}: {pair.first.label} of {pair.first.run}, {pair.second.label} of {pair.second.run}"


def _notes(runs: Sequence[Sequence[Measurement]]) -> list[str]:
    """What was passed over in reading the files."""
    return list(dict.fromkeys(note for run in runs for measured in run for note in measured.notes))


def _doubts(pair: Pair) -> Iterator[str]:
    for measured in (*pair.first.repeats, *pair.second.repeats):
        point, where = measured.point, f"{measured.run}, {measured.label}"
        yield from (f"{where}: {told}" for told in doubts(point, BenchOptions.max_error_fraction))
        if point.is_lower_bound:
            yield f"{where}: requests timed out or were cut off, so that its percentiles are lower bounds"
