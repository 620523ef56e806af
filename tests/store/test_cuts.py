"""Load points that were cut off: set aside, counted, and never while somebody writes them."""

from contextlib import suppress
from pathlib import Path

import pytest

from planner.errors import UsageError
from planner.schema.benchmark import CutPoint, RequestRecord
from planner.store.cuts import answers_in, cut_points, is_claimed, set_aside
from planner.store.runs import RunDirectory

RECORD = RequestRecord(index=0, due_s=0.5, sent_s=0.5, asked_input_tokens=1, asked_output_tokens=2, outcome="ok")


def test_lines_are_counted_and_half_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"a": 1}\n{"b": 2}\n{"c')
    assert (answers_in(tmp_path / "file"), answers_in(tmp_path / "gone")) == (2, 0)


def test_every_cut_is_kept_with_the_requests_that_nobody_had_answered(tmp_path: Path) -> None:
    names = []
    for lines, sent in (("x\n" * 5 + "y", b"." * 8), ("x\n" * 3, b".."), ("", b"")):
        (tmp_path / "requests-002.jsonl").write_text(lines)
        (tmp_path / "requests-002.sent").write_bytes(sent)
        (tmp_path / "schedule-002.csv").write_text("half a")
        (tmp_path / "server-002.jsonl").write_text("of answers that are in no figure")
        set_aside(tmp_path, 2)
        names.append({path.name for path in tmp_path.iterdir() if path.suffix != ".sent"})
    set_aside(tmp_path, 2)  # again, as when it was killed in between: there is nothing left to do
    assert names[0] == {"requests-002.cut-1.jsonl"}
    assert cut_points(tmp_path) == [
        CutPoint(requests_file="requests-002.cut-1.jsonl", requests_sent=8),
        CutPoint(requests_file="requests-002.cut-2.jsonl", requests_sent=3),
        CutPoint(requests_file="requests-002.cut-3.jsonl", requests_sent=0),
    ]


def test_number_that_was_sent_outlives_a_kill_between_two_names(tmp_path: Path) -> None:
    # The number has its new name already, the answers do not.
    (tmp_path / "requests-000.cut-1.sent").write_text("." * 9)
    (tmp_path / "requests-000.jsonl").write_text("x\n")
    set_aside(tmp_path, 0)
    assert cut_points(tmp_path) == [CutPoint(requests_file="requests-000.cut-1.jsonl", requests_sent=9)]


def test_file_that_is_being_written_is_not_set_aside(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    path = directory.path / "requests-000.jsonl"
    with directory.requests("requests-000.jsonl") as file:
        file.count_sent()
        assert (directory.path / "requests-000.sent").read_text() == ".", "it is not in our memory alone"
        assert is_claimed(path)
        with pytest.raises(UsageError, match="is being measured by another process"):
            set_aside(directory.path, 0)
        file.append(RECORD)
    assert not is_claimed(path)
    assert [each.name for each in directory.path.iterdir()] == ["requests-000.jsonl"], "the number is in run.json now"


def test_number_that_was_sent_stays_where_writing_failed(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    with suppress(ZeroDivisionError), directory.requests("requests-000.jsonl") as file:
        file.count_sent()
        file.count_sent()
        raise ZeroDivisionError
    set_aside(directory.path, 0)
    assert [cut.requests_sent for cut in cut_points(directory.path)] == [2]
