"""The loads of a load test: each is sent, watched, and written when it is done."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Literal

from planner.engines.openai_http import OpenAIClient
from planner.loadtest.driver import Driver
from planner.loadtest.fleet import Fleet
from planner.loadtest.load import CountedLoad, LoadSpec
from planner.loadtest.progress import Progress
from planner.loadtest.sample import Outcome
from planner.loadtest.schedule import Schedule
from planner.loadtest.server_figures import samples
from planner.loadtest.summary import Offered, load_point, squared_cv_of
from planner.loadtest.telemetry import Telemetry
from planner.loadtest.texts import Calibration
from planner.schema.benchmark import LoadPoint, RequestRecord
from planner.store.runs import written
from planner.store.schedules import write_schedule
from planner.workflows.bench.interruption import Interruption
from planner.workflows.bench.options import BenchPlan
from planner.workflows.bench.request_source import RequestSource
from planner.workflows.bench.run_book import RunBook
from planner.workflows.bench.server_watch import ServerWatch

Show = Callable[[str, Progress], None]
Status = Literal["complete", "interrupted", "failed"]


@dataclass(frozen=True)
class Bench:
    """A server that loads can be sent to, and where they are written.

    Attributes:
        plan: what is asked.
        client: of the server.
        telemetry: which looks at it meanwhile.
        model: that is measured.
        source: what requests are made of.
        calibration: of their prompts.
        notes: what must be known of every load.
        book: the run.
    """

    plan: BenchPlan
    client: OpenAIClient
    telemetry: Telemetry
    model: str
    source: RequestSource
    calibration: Calibration
    notes: Sequence[str]
    book: RunBook

    def load(self, seed: tuple[int, ...]) -> LoadSpec:
        """What sends requests; the seed is that of their prompts."""
        client = self.client
        return LoadSpec(
            target=client.target,
            endpoint=client.endpoint,
            timeouts=client.timeouts,
            model=self.model,
            calibration=self.calibration,
            seed=seed,
            recipe=self.source.recipe,
        )


async def measure_loads(
    bench: Bench,
    loads: Iterable[tuple[Schedule, list[str]]],
    interruption: Interruption,
    show: Show,
    left_s: Callable[[], float] = lambda: inf,
) -> Status:
    """Measures those that the run does not have yet.

    Args:
        bench: the server and the run.
        loads: all of the run, and what must be known of each.
        interruption: of which the load under way is told.
        show: told the load and where it stands, several times a second.
        left_s: time in which the last answer of a load must have come [s].

    Returns:
        How it ended: failed, where a load was given up since too many requests failed.
    """
    plan, book, source = bench.plan, bench.book, bench.source
    # A prefix cache knows the prompts of the last run, and of a point that was cut off and is sent again.
    salt = time.time_ns()
    is_storm = False
    for schedule, of_schedule in book.to_come(loads, source.identity):
        seed = (plan.options.seed, salt, len(book.points))
        watch = ServerWatch(bench.client, bench.telemetry, plan.options.shared_server, source.recipe.expected.no_cache)
        with _ended_in_time(left_s(), interruption):
            outcome = await _send(bench, schedule, seed, interruption, show, watch)
        outcome.is_out_of_time = outcome.is_interrupted and not interruption.is_asked
        of_requests = source.notes_of(schedule, outcome.sample, bench.calibration, seed)
        point = _point(bench, schedule, outcome, watch, [*bench.notes, *of_schedule, *of_requests])
        # A sweep that finds its loads learns from one that is too high, and goes on with others.
        is_storm = bool(outcome.given_up) and not (plan.finds_loads and book.points)
        book.add(point, salt, is_cut=outcome.is_interrupted or is_storm)
        if is_storm or outcome.is_interrupted or interruption.is_asked:
            break
    return "interrupted" if interruption.is_asked else "failed" if is_storm else "complete"


def _point(bench: Bench, schedule: Schedule, outcome: Outcome, watch: ServerWatch, notes: Sequence[str]) -> LoadPoint:
    """What a load gave, by the client and by the server."""
    plan = bench.plan
    # Of a rate that changes nobody knows the gaps' distribution in closed form.
    is_kept = all(rate.is_constant for rate in plan.rates)
    squared_cv = squared_cv_of(plan.arrival, plan.options.burstiness or 1.0) if is_kept else None
    expected = bench.source.recipe.expected
    offered = Offered(schedule.offered_requests_per_s, schedule.concurrency, squared_cv, expected)
    point = load_point(offered, outcome, plan.slo, [*notes, *watch.warnings])
    gave_up = [f"given up: {outcome.given_up}"] if outcome.given_up else []
    return point.model_copy(update={"doubts": [*gave_up, *watch.doubts], "server": watch.figures})


async def _send(
    bench: Bench,
    schedule: Schedule,
    seed: tuple[int, ...],
    interruption: Interruption,
    show: Show,
    watch: ServerWatch,
) -> Outcome:
    """Sends a load, and writes its schedule, its requests and what was seen of the server."""
    book = bench.book
    if (saved := schedule.saved) is not None:
        write_schedule(book.schedule_path, saved)
    with book.requests() as file:
        await watch.begin()
        if interruption.is_asked:  # meanwhile: there was no driver of this load to hear of it
            return Outcome(is_interrupted=True)

        def on_progress(progress: Progress) -> None:
            show(schedule.label, progress)

        def keep(entry: RequestRecord) -> None:
            file.append(entry)
            watch.take(entry)

        load, processes = bench.load(seed), bench.plan.options.processes
        max_error_fraction = bench.plan.options.max_error_fraction
        if processes > 1:
            path = book.directory.path / book.next_file
            fleet = Fleet(processes, schedule, load, path, on_progress, max_error_fraction)
            interruption.driver = fleet
            outcome = await fleet.run()
            for entry in written(path):
                watch.take(entry)
        else:
            async with load.opened() as opened:
                counted = CountedLoad(opened, file.count_sent)
                driver = Driver(schedule, counted, keep, on_progress, max_error_fraction)
                interruption.driver = driver
                outcome = await driver.run()
    if schedule.saved is None:
        write_schedule(book.schedule_path, schedule.saved_up_to(outcome.used))
    if not outcome.is_interrupted:
        await watch.end(outcome.start_s)
        if outcome.start_s is not None:
            book.keep_samples(samples(watch.looks, outcome.start_s))
    return outcome


@contextmanager
def _ended_in_time(left_s: float, interruption: Interruption) -> Iterator[None]:
    """Cuts a load off when its time is over, answers under way included."""

    def end() -> None:
        if interruption.driver is not None:
            interruption.driver.interrupt()
            interruption.driver.interrupt()  # and waits for nothing

    timer = asyncio.get_running_loop().call_later(left_s, end) if left_s < inf else None
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
