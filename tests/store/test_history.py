"""Traffic histories: what is counted, what is told, what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputFileError
from planner.store.history import read_history


def written(tmp_path: Path, text: str, name: str = "h.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InputFileError) as caught:
        read_history(written(tmp_path, text))
    return [f"{p.line} {p.field}: {p.message}" for p in caught.value.problems]


def test_a_trace_of_two_hours_and_a_bit(tmp_path: Path) -> None:
    # One request every 10 s for 2 h 12 min: the last 12 minutes belong to the second hour.
    times = np.arange(792) * 10.0
    lines = "".join(f"{t},100,{20 + 2 * (t >= 3600)}\n" for t in times)
    history = read_history(written(tmp_path, "timestamp,input_tokens,output_tokens\n" + lines))
    assert history.is_trace
    assert history.rows == 792
    assert history.hours.tolist() == [1.0, 1.2]
    assert history.requests_per_hour.tolist() == [360.0, 360.0]
    assert history.requests_per_month == pytest.approx(360 * 730.5)
    assert history.output_tokens.mean() == pytest.approx((360 * 20 + 432 * 22) / 792)
    assert history.notes == (
        "792 requests over 2.2 hours",
        "2.2 hours show neither a day nor a week: the busiest hour is not known",
    )


def test_the_order_of_a_trace_is_irrelevant_and_told(tmp_path: Path) -> None:
    rows = [f"{t * 7.5},{100 + t},{t}" for t in range(2000)]
    head = "timestamp,input_tokens,output_tokens\n"
    straight = read_history(written(tmp_path, head + "\n".join(rows)))
    mixed = read_history(written(tmp_path, head + "\n".join(rows[1::2] + rows[::2])))
    assert mixed.requests_per_hour.tolist() == straight.requests_per_hour.tolist()
    assert mixed.input_tokens.tolist() == straight.input_tokens.tolist()
    assert "1 row is earlier than the row before; sorted" in mixed.notes


def test_a_trace_tells_twins_and_empty_hours(tmp_path: Path) -> None:
    text = "timestamp,input_tokens,output_tokens\n0,5,5\n0,5,5\n1,5,5\n10800,5,5\n14000,6,6\n"
    history = read_history(written(tmp_path, text))
    assert "1 row is equal to another; kept, since two requests can be alike" in history.notes
    assert "3 of 5 hours without a request; taken as hours without demand" in history.notes
    assert float(history.requests_per_hour @ history.hours) == pytest.approx(5)


def test_counts_per_hour_with_gaps_twins_and_disorder(tmp_path: Path) -> None:
    text = "timestamp,requests\n0,10\n3600,20\n10800,30\n7200,5\n7200,5\n18000,1\n"
    history = read_history(written(tmp_path, text))
    assert history.requests_per_hour.tolist() == [10, 20, 5, 30, 1]
    assert history.requests_per_month == pytest.approx(66 / 5 * 730.5), "the gap is missing data, not zero demand"
    assert history.notes[1:4] == (
        "1 row is earlier than the row before; sorted",
        "1 row is equal to another; dropped",
        "1 of 6 intervals are missing; left out, not taken as zero",
    )


def test_counts_of_other_intervals_with_tokens_and_iso_times(tmp_path: Path) -> None:
    text = (
        "timestamp,requests,input_tokens,output_tokens\n"
        "2026-11-24T10:00:00Z,10,1000,100\n2026-11-24T12:10:00+02:00,30,5000,140\n"
    )
    history = read_history(written(tmp_path, text))
    assert history.requests_per_hour.tolist() == [60, 180]
    assert (history.input_tokens.tolist(), history.output_tokens.tolist()) == ([150], [6])


def test_counts_by_task_are_added_up(tmp_path: Path) -> None:
    history = read_history(written(tmp_path, "timestamp,requests,task\n0,10,a\n0,20,b\n3600,20,a\n"))
    assert history.requests_per_hour.tolist() == [30, 20]
    assert "counts of several rows per interval added up over task" in history.notes


@pytest.mark.parametrize(
    "text",
    [
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n",
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,374,44,418,x\n9.3145,GPT-4,396,109,505,x\n",
    ],
    ids=["Azure", "BurstGPT"],
)  # fmt: skip
def test_published_formats_are_recognised(tmp_path: Path, text: str) -> None:
    history = read_history(written(tmp_path, text))
    assert history.input_tokens.tolist() == [374, 396]
    assert history.hours.sum() * 3600 == pytest.approx(2 * 4.3145, abs=1e-3)


def test_packed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "h.csv.gz"
    path.write_bytes(gzip.compress(b"timestamp,requests\n0,10\n3600,20\n"))
    assert read_history(path).requests_per_hour.tolist() == [10, 20]
    path.write_bytes(b"not packed")
    # Packed is packed, whatever the name.
    (tmp_path / "h.csv").write_bytes(gzip.compress(b"timestamp,requests\n0,10\n3600,20\n"))
    assert read_history(tmp_path / "h.csv").requests_per_hour.tolist() == [10, 20]
    path.write_bytes(gzip.compress(b"timestamp,requests\n0,10\n" * 100)[:-20])
    with pytest.raises(InputFileError, match="is damaged or cut off gzip"):
        read_history(path)
    path.write_bytes(b"not packed")
    with pytest.raises(InputFileError, match="is not gzip, whatever its name says"):
        read_history(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("timestamp,requests\n", "holds no rows"),
        ("a,b\n1,2\n", "timestamp: the column is missing"),
        ("timestamp,input_tokens\n1,2\n", "needs the columns timestamp, input_tokens, output_tokens; or"),
        ("timestamp,requests,Timestamp\n1,2,3\n", "two columns have this meaning"),
        ("timestamp,requests\n1,2\n4,5,6\n", "3 : has 3 fields; allowed: 2"),
        ("timestamp,requests\n1,2,3\n4,5,6\n", "2 : has more fields than the 2 of line 1"),
        ("timestamp,requests\n0,0\n3600,0\n", "holds no request at all"),
        ("timestamp,requests\n0,5\n", "at least two intervals"),
        ("timestamp,input_tokens,output_tokens\n5,1,1\n5,1,1\n", "two requests at different times"),
        ("timestamp,requests\n0,1\n3600,1\n7200,1\n9000,1\n", "5 timestamp: is off the interval of 3600 s"),
        ("timestamp,requests\n0,1\n3600,1\n3600,2\n", "4 timestamp: stands twice with different counts"),
        ("timestamp,requests\n2026-11-24T10:00:00,1\n2026-11-24T11:00:00,1\n", "ISO 8601 with a zone"),
        ("timestamp,input_tokens,cached_input_tokens,output_tokens\n0,5,6,1\n1,5,5,1\n", "2 cached_input_tokens: is"),
        ("timestamp,requests\n0,1\n1e-9,1\n2e-9,1\n", "less than 1 s apart"),
        ("timestamp,requests\n1764000000000,1\n1764003600000,1\n", "must be seconds, not parts of seconds"),
        ("timestamp,requests\n0,1\n1764003600,1\n", "3 timestamp: is 55.9 years after the first; 20 years are"),
        ("timestamp,input_tokens,output_tokens\n0,1e308,1\n5,1,1\n", "2 input_tokens: must be a number from 0 to"),
        ('{"timestamp": 0, "input_length": 5}\n', "holds JSON, which is not in this version"),
        ('timestamp,requests,task\n0,1,"a\nb"\n3600,x,"c"\n', "4 requests: must be a number"),
        ('timestamp,requests,task\n0,1,"a\n', "is not CSV"),
        ("timestamp,requests\n0,1\n3600,\u00e9\n", "3 requests: must be a number from 0 to 1e+12; given: 'é'"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in "\n".join(refused(tmp_path, text))


def test_text_that_is_not_utf8_is_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    path.write_bytes(b"timestamp,requests\n0,1\n3600,\xe9\n")
    with pytest.raises(InputFileError, match=r"h\.csv:3: is not UTF-8 text"):
        read_history(path)
    path.write_bytes("timestamp,requests\n0,1\n".encode("utf-16"))
    with pytest.raises(InputFileError, match="is UTF-16; save it as UTF-8"):
        read_history(path)


def test_rows_are_read_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{second},{second % 7},{second % 5}" for second in range(1000)]
    path = written(tmp_path, "timestamp,input_tokens,output_tokens\n" + "\n".join(rows) + "\n")
    whole = read_history(path)
    monkeypatch.setattr("planner.store.tables._ROWS_AT_ONCE", 7)
    told: list[float] = []
    parts = read_history(path, told.append)
    assert parts.input_tokens.tolist() == whole.input_tokens.tolist() == [second % 7 for second in range(1000)]
    assert (len(told), told[-1]) == (143, pytest.approx(1.0, abs=0.01))
    path.write_text(path.read_text().replace("\n900,", "\n900x,"))
    with pytest.raises(InputFileError, match=r"h\.csv:902: timestamp: "):
        read_history(path)


def test_bad_rows_are_told_by_line_and_the_rest_counted(tmp_path: Path) -> None:
    found = refused(tmp_path, "timestamp,requests\n0,1\nx,-2\n7200,nan\n10800,inf\n\n14400,\n")
    assert [line.split(":")[0] for line in found] == [
        "3 requests",
        "3 timestamp",
        "4 requests",
        "5 requests",
        "7 requests",
    ]
    many = refused(tmp_path, "timestamp,requests\n" + "0,x\n" * 100)
    assert len(many) == 21
    assert many[-1].endswith("must be a number from 0 to 1e+12; and so in 80 rows from here on")
