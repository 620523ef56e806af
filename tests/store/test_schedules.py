"""Schedules on disk: what is written is read, and what is no schedule is refused by line and field."""

from pathlib import Path

import numpy as np
import pytest

from planner.errors import EnvironmentLackingError, InputFileError
from planner.store.schedules import SavedSchedule, is_schedule, read_schedule, write_schedule
from planner.store.tables import read_rows

HEADER = "timestamp,input_tokens,output_tokens,is_warmup\n"


def tokens(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def mistakes(tmp_path: Path, text: str) -> list[tuple[int, str, str]]:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(InputFileError) as caught:
        read_schedule(tmp_path / "s.csv")
    return [(problem.line, problem.field, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize("column", ["timestamp_s", "think_s", None])
def test_what_is_written_is_read(tmp_path: Path, column: str | None) -> None:
    rng = np.random.default_rng(1)
    time_s = np.sort(rng.uniform(0, 1e5, 20_000))
    times = {"timestamp_s": None, "think_s": None} | ({column: time_s} if column else {})
    prompts, answers = (rng.integers(1, 10**9, 20_000, dtype=np.int32) for _ in range(2))
    path = tmp_path / "schedule-000.csv"
    write_schedule(path, SavedSchedule(**times, input_tokens=prompts, output_tokens=answers, warmup=70))
    read = read_schedule(path)
    assert is_schedule(path)
    assert (read.input_tokens.tolist(), read.output_tokens.tolist()) == (prompts.tolist(), answers.tolist())
    assert read.warmup == 70
    for name, value in times.items():
        back = getattr(read, name)
        assert (back is None) == (value is None)
        assert value is None or np.abs(back - value).max() <= 0.5e-6 + 1e-11


def test_schedule_of_an_open_loop_is_a_trace(tmp_path: Path) -> None:
    write_schedule(tmp_path / "s.csv", SavedSchedule(np.array([-1.0, 0.25]), None, tokens(5, 6), tokens(7, 8), 1))
    assert (tmp_path / "s.csv").read_text() == HEADER + "-1.000000,5,7,1\n0.250000,6,8,0\n"
    table = read_rows(tmp_path / "s.csv").table
    assert table["timestamp"].tolist() == [-1.0, 0.25]
    assert table["output_tokens"].tolist() == [7, 8]


def test_every_mistake_has_its_line_and_field(tmp_path: Path) -> None:
    bad = ["1,0,5,0", "0.5,5,5,0", "x,5,1.5,2", "nan,5,5", "9,5,5,1", "9,٣,5,0", "9,99999999999,5,0"]
    told = mistakes(tmp_path, HEADER + "".join(f"{line}\n" for line in bad) + "9,5,5,0")
    assert [(line, field) for line, field, _ in told] == [
        (2, "input_tokens"),
        (3, "timestamp"),
        (4, "is_warmup"),
        (4, "output_tokens"),
        (4, "timestamp"),
        (5, ""),
        (6, "is_warmup"),
        (7, "input_tokens"),
        (8, "input_tokens"),
        (9, ""),
    ]
    messages = {(line, field): message for line, field, message in told}
    assert messages[2, "input_tokens"] == "must be a whole number from 1 to 1,000,000,000; given: '0'"
    assert messages[3, "timestamp"] == "must be at least that of the row before; given: '0.5'"
    assert messages[4, "timestamp"] == "must be a number of seconds; given: 'x'"
    assert messages[5, ""] == "has 3 fields; allowed: 4"
    assert messages[9, ""] == "is cut off, or too long"


def test_reading_ends_where_everything_is_wrong(tmp_path: Path) -> None:
    told = mistakes(tmp_path, HEADER + "1,1,1,9\n" * 1000)
    assert len(told) == 21
    assert told[-1][2] == "must be 0 or 1; given: '9'" or told[-1][2].startswith("reading ends here")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "is no header of a schedule"),
        ("timestamp,input_tokens,output_tokens\n1,2,3\n", 1, "is no header of a schedule"),
        (HEADER, 0, "holds no requests"),
        ("think_s,input_tokens,output_tokens,is_warmup\n-1,2,3,0\n", 2, "must be at least 0; given: '-1'"),
        (HEADER + "1" * 1000 + ",1,1,0\n", 2, "is cut off, or too long"),
    ],
)
def test_what_is_no_schedule_is_refused(tmp_path: Path, text: str, line: int, message: str) -> None:
    (told,) = mistakes(tmp_path, text)
    assert told[0] == line
    assert told[2].startswith(message)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        assert not is_schedule(path)
        with pytest.raises(InputFileError, match="cannot be read"):
            read_schedule(path)
    schedule = SavedSchedule(None, None, tokens(1), tokens(1))
    write_schedule(tmp_path / "s.csv", schedule)
    for path in (tmp_path / "s.csv", tmp_path / "none" / "s.csv"):
        with pytest.raises(EnvironmentLackingError, match="cannot be written"):
            write_schedule(path, schedule)
