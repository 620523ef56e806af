"""Requests as columns: exact, small, and in the order of the schedule."""

import sys

import numpy as np
import pytest

from planner.loadtest import sample as under_test
from planner.loadtest.sample import LONGEST_GAP_US, OTHERS, UNKNOWN, Sample
from planner.schema.benchmark import RequestRecord


def record(index: int, gaps_s: list[float] | None, **more: object) -> RequestRecord:
    return RequestRecord.model_validate(
        {"index": index, "due_s": index / 2, "sent_s": index / 2, "first_token_s": index + 1.0, "outcome": "ok"}
        | {"asked_input_tokens": 7, "asked_output_tokens": 8, "gaps_s": gaps_s, **more}
    )


def test_columns_are_in_the_order_of_the_schedule() -> None:
    sample = Sample.of(
        [
            record(2, [0.000001, 0.1], finished_s=3.5, input_tokens=70, output_tokens=3, cached_input_tokens=4),
            record(0, [], outcome="http_500", message="first", sent_s=None, first_token_s=None),
            record(1, [0.25], outcome="ok"),
            record(3, [1.0], outcome="http_500", message="second"),
        ]
    )
    columns = sample.columns()
    assert columns.due_s.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert columns.last_token_s[1:3] == pytest.approx([2.25, 3.100001])
    assert np.isnan(
        [columns.sent_s[0], columns.first_token_s[0], columns.last_token_s[0], columns.last_token_s[3]]
    ).all()
    assert columns.input_tokens.tolist() == [UNKNOWN, UNKNOWN, 70, UNKNOWN]
    assert (columns.output_tokens[2], columns.cached_input_tokens[2]) == (3, 4)
    assert columns.chunks.tolist() == [0, 2, 3, 0]
    assert [sample.kinds[kind] for kind in columns.outcome] == ["http_500", "ok", "ok", "http_500"]
    assert sample.messages == {"http_500": "first"}
    # Gaps stay in the order in which answers ended, and so do their counts.
    assert sample.gaps_us.tolist() == [1, 100_000, 250_000]
    assert sample.gaps_per_request.tolist() == [2, 0, 1, 0]


def test_answers_whose_gaps_nobody_kept_end_when_they_ended() -> None:
    sample = Sample.of([record(0, None, finished_s=4.0, output_tokens=9), record(1, [0.25], finished_s=9.0)])
    columns = sample.columns()
    assert columns.last_token_s.tolist() == [4.0, 2.25]
    assert columns.chunks.tolist() == [UNKNOWN, 2]
    assert sample.gaps_us.tolist() == [250_000]
    assert sample.gaps_per_request.tolist() == [0, 1]


def test_gaps_are_whole_microseconds_up_to_a_limit() -> None:
    gaps_s = np.random.default_rng(5).lognormal(-4, 2, 50_000).round(6)
    sample = Sample.of([record(i, part.tolist()) for i, part in enumerate(np.split(gaps_s, 100))])
    assert sample.gaps_us.tolist() == np.rint(gaps_s * 1e6).tolist()
    assert Sample.of([record(0, [5000.0])]).gaps_us.tolist() == [LONGEST_GAP_US]


def test_more_can_be_added_after_a_look() -> None:
    sample = Sample.of([record(0, [0.5])])
    assert len(sample.gaps_us) == len(sample.columns().due_s) == 1
    sample.add(record(1, [0.25] * 20_000))
    assert len(sample) == 2
    assert len(sample.gaps_us) == 20_001


def test_nothing_is_a_sample_too() -> None:
    sample = Sample.of([record(0, [0.5], is_warmup=True)])
    assert len(sample) == sample.gaps_us.size == sample.columns().due_s.size == 0


def test_names_of_other_models_are_few() -> None:
    sample = Sample.of([record(i, [], model=f"m{i}") for i in range(30)] + [record(30, [], model="m3")])
    assert sample.other_models["m3"] == 2
    assert sample.other_models[OTHERS] == 10
    assert sum(sample.other_models.values()) == 31


def test_a_request_is_small() -> None:
    sample = Sample()
    one = record(0, [0.02] * 99)
    for _ in range(5000):
        sample.add(one)
    held = sample._times, sample._counts, sample._gaps_us, sample._pending_s
    # 96 bytes and 99 gaps of 4, an eighth more where arrays grow, and the gaps not yet converted.
    assert sum(sys.getsizeof(part) for part in held) < 5000 * (96 + 4 * 99) * 1.125 + 9 * under_test._PENDING_GAPS
