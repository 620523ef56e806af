"""Schedules: the same for the same seed, whatever warms up before them."""

import numpy as np
import pytest
from scipy import stats

from planner.core.arrivals import Stream
from planner.core.bursts import OnOff
from planner.core.lengths import Apart, Lengths
from planner.core.rates import Rate, Stage
from planner.core.think import ThinkTime
from planner.loadtest.schedule import MOST_CLOSED_REQUESTS, Extent, Schedule, closed_loop, open_loop, replay

LENGTHS = Apart(Lengths(100, 400), Lengths(50, 90))
STREAMS = (Stream(), Stream("constant"), Stream("gamma", 4.0), Stream(bursts=OnOff(3.0, 1.0, 4.0)))
RAMP = Rate.of([Stage(10.0, 90.0, 6.0)])


def drawn(seed: int, warmup_s: float = 0.0, stream: Stream = STREAMS[0]) -> Schedule:
    return open_loop(stream, Rate.constant(50.0), LENGTHS, Extent(300, None, warmup_s), (seed, 0))


def on_ramp(seed: int, warmup_s: float = 0.0, stream: Stream = STREAMS[0]) -> Schedule:
    return open_loop(stream, RAMP, LENGTHS, Extent(None, 6.0, warmup_s), (seed, 0))


def rows(schedule: Schedule) -> list[tuple[float, int, int]]:
    due = schedule.measured.due_s
    assert due is not None
    return list(zip(due, schedule.measured.input_tokens, schedule.measured.output_tokens, strict=True))


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("draw", [drawn, on_ramp])
def test_same_seed_gives_the_same_schedule(draw: type[Schedule], stream: Stream) -> None:
    assert rows(draw(1, stream=stream)) == rows(draw(1, stream=stream))
    assert rows(draw(1, stream=stream)) != rows(draw(2, stream=stream))
    assert len(rows(drawn(1, stream=stream))) == 300


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize(("draw", "first_per_s"), [(drawn, 50), (on_ramp, 10)])
def test_warm_up_comes_on_top_and_changes_nothing_of_what_is_measured(
    draw: type[Schedule], stream: Stream, first_per_s: float
) -> None:
    warm = draw(1, warmup_s=100.0, stream=stream)
    assert rows(warm) == rows(draw(1, stream=stream))
    assert warm.warmup.due_s is not None
    assert len(warm.warmup) == pytest.approx(100 * first_per_s, rel=0.5), "at the rate that the load begins with"
    assert -100 <= warm.warmup.due_s[0] <= warm.warmup.due_s[-1] < 0


def test_longer_load_begins_with_the_same_requests() -> None:
    short, long = (
        open_loop(STREAMS[3], Rate.constant(50.0), LENGTHS, Extent(None, duration_s, 0.0), (1, 0))
        for duration_s in (5.0, 20.0)
    )
    assert len(rows(short)) > 50
    assert rows(short) == rows(long)[: len(rows(short))]


def test_offered_rate_is_the_mean_over_all_stages() -> None:
    assert (drawn(1).offered_requests_per_s, on_ramp(1).offered_requests_per_s) == (50, 50)
    assert drawn(1).label == "50 requests/s"


def test_load_that_begins_with_nothing_is_not_warmed_up() -> None:
    rate = Rate.of([Stage(0.0, 10.0, 5.0)])
    assert len(open_loop(Stream(), rate, LENGTHS, Extent(None, 5.0, 10.0), (1, 0)).warmup) == 0


def test_closed_loop_has_no_times() -> None:
    schedule = closed_loop(8, LENGTHS, Extent(40, None, 0.0), (1, 0))
    assert schedule.measured.due_s is None
    assert schedule.measured.think_s is None
    assert (len(schedule.measured), len(schedule.warmup), schedule.concurrency) == (40, 0, 8)


def test_closed_loop_that_ends_by_time_has_more_than_it_can_send_in_little_room() -> None:
    short = closed_loop(500, LENGTHS, Extent(None, 0.1, 0.0), (1, 0))
    assert 1500 <= len(short.measured) < 10_000
    long = closed_loop(8, LENGTHS, Extent(None, 3600.0, 3600.0), (1, 0))
    assert len(long.measured) == len(long.warmup) == MOST_CLOSED_REQUESTS
    arrays = [tokens for part in (long.measured, long.warmup) for tokens in (part.input_tokens, part.output_tokens)]
    assert sum(tokens.nbytes for tokens in arrays) <= 32e6
    assert rows_of_lengths(short) == rows_of_lengths(long)[: len(short.measured)], "a longer load begins alike"
    alike = closed_loop(8, Apart(Lengths(512), Lengths(128)), Extent(None, 3600.0, 0.0), (1, 0)).measured
    assert alike.input_tokens.base is not None
    assert alike.input_tokens.strides == (0,), "one number stands for all"


def rows_of_lengths(schedule: Schedule) -> list[tuple[int, int]]:
    return list(zip(schedule.measured.input_tokens.tolist(), schedule.measured.output_tokens.tolist(), strict=True))


def test_users_think_as_long_as_asked_and_lengths_do_not_depend_on_it() -> None:
    think = ThinkTime(2.0, "exponential")
    schedule = closed_loop(8, LENGTHS, Extent(5000, None, 1.0), (1, 0), think)
    assert schedule.measured.think_s is not None
    assert schedule.warmup.think_s is not None
    assert stats.kstest(schedule.measured.think_s, stats.expon(scale=2.0).cdf).pvalue > 0.01
    assert len(schedule.warmup.think_s) == len(schedule.warmup)
    assert schedule.warmup.think_s[0] != schedule.measured.think_s[0]
    without = closed_loop(8, LENGTHS, Extent(5000, None, 0.0), (1, 0))
    assert rows_of_lengths(schedule) == rows_of_lengths(without)
    fitting = schedule.within(300)[0].measured
    assert fitting.think_s is schedule.measured.think_s


def test_trace_is_replayed_as_it_was() -> None:
    schedule = replay(np.array([5.0, 5.5, 7.0]), np.array([10, 20, 30]), np.array([1, 2, 3]), 10.0, (0,))
    assert rows(schedule) == [(0.0, 10, 1), (0.5, 20, 2), (2.0, 30, 3)]
    assert schedule.offered_requests_per_s == 1.0
    asked = set(zip(schedule.warmup.input_tokens.tolist(), schedule.warmup.output_tokens.tolist(), strict=True))
    assert asked <= {(10, 1), (20, 2), (30, 3)}
    assert len(schedule.warmup) > 0


@pytest.mark.parametrize("time_s", [[3.0], [3.0, 3.0]])
def test_trace_without_extent_has_a_rate(time_s: list[float]) -> None:
    ones = np.ones(len(time_s), dtype=np.int32)
    assert replay(np.array(time_s), ones, ones, 0.0, (0,)).offered_requests_per_s == len(time_s)


def test_requests_are_shortened_to_fit_a_context() -> None:
    schedule, shortened = drawn(3).within(300)
    total = schedule.measured.input_tokens + schedule.measured.output_tokens
    assert total.max() <= 300
    assert min(schedule.measured.input_tokens.min(), schedule.measured.output_tokens.min()) >= 1
    whole = drawn(3).measured
    assert shortened == np.count_nonzero(whole.input_tokens + whole.output_tokens > 300 * 0.98 - 12)
    assert drawn(3).within(None)[1] == 0


def test_what_is_kept_of_a_schedule() -> None:
    schedule = drawn(1, warmup_s=2.0)
    kept = schedule.saved
    assert kept is not None
    assert kept.timestamp_s is not None
    assert (kept.warmup, kept.timestamp_s.size) == (len(schedule.warmup), len(schedule.warmup) + 300)
    assert kept.timestamp_s[kept.warmup :].tolist() == [due for due, _, _ in rows(schedule)]
    assert kept.input_tokens[: kept.warmup].tolist() == schedule.warmup.input_tokens.tolist()
    by_count = closed_loop(2, LENGTHS, Extent(40, None, 5.0), (1, 0), ThinkTime(1.0)).saved
    assert by_count is not None
    assert (by_count.timestamp_s, by_count.warmup, by_count.input_tokens.size) == (None, 0, 40)
    assert closed_loop(2, LENGTHS, Extent(None, 5.0, 0.0), (1, 0)).saved is None
