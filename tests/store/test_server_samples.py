"""The server's side of a load point, written and read again."""

from pathlib import Path

import pytest

from planner.errors import InputFileError
from planner.schema.telemetry import GpuState, ServerSample, ServerState
from planner.store.server_samples import read_samples, write_samples

SAMPLES = [
    ServerSample(time_s=-1.5, server=ServerState(running=0.0, output_tokens=1234.0)),
    ServerSample(time_s=0.25, gpus=[GpuState(index=0, power_w=300.0, throttled_by=[]), GpuState(index=1)]),
]


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert write_samples(tmp_path / "server-000.jsonl", SAMPLES)
    assert read_samples(tmp_path / "server-000.jsonl") == SAMPLES
    assert len((tmp_path / "server-000.jsonl").read_text().splitlines()) == 2


def test_nothing_seen_is_no_file(tmp_path: Path) -> None:
    assert not write_samples(tmp_path / "server-000.jsonl", [])
    assert not list(tmp_path.iterdir())


def test_every_mistake_is_told_with_its_line_and_field(tmp_path: Path) -> None:
    lines = ['{"time_s":1.0}', '{"time_s":"1"}', "{", '{"time_s":2.0,"gpus":[{"index":-1}]}']
    (tmp_path / "server-000.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputFileError) as caught:
        read_samples(tmp_path / "server-000.jsonl")
    assert [(problem.line, problem.field) for problem in caught.value.problems] == [
        (2, "time_s"),
        (3, ""),
        (4, "gpus.0.index"),
    ]
