"""Files of JSON lines."""

from pathlib import Path

import pytest

from planner.errors import EnvironmentLackingError
from planner.store.lines import writing_lines


def test_lines_are_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("of before\n")
    with writing_lines(path) as write:
        write({"a": 1})
        assert path.read_text() == '{"a":1}\n'
        write({"b": [0.5]})
    assert path.read_text() == '{"a":1}\n{"b":[0.5]}\n'
    with pytest.raises(EnvironmentLackingError, match="Is a directory"), writing_lines(tmp_path):
        pass
