"""Writing: whole or not at all, through links, into pipes, never over what a result is made from."""

import os
import stat
import threading
from pathlib import Path

import pytest

from planner.errors import EnvironmentLackingError, UsageError
from planner.store.files import refuse_to_overwrite, shown_path, write_text


def test_a_new_file_has_the_rights_that_the_user_gives_to_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.json", "new")
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o640


def test_a_file_that_is_there_keeps_its_rights_and_its_links(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to("target.json")
    write_text(link, "new")
    assert link.is_symlink()
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("new", 0o600)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "target.json"]


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "through")
    reader.join(timeout=10)
    assert read == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.json", "\udcff")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "old")]
    with pytest.raises(EnvironmentLackingError, match=r"gone/a\.json: cannot be written: No such file or directory"):
        write_text(tmp_path / "gone" / "a.json", "new")
    with pytest.raises(UsageError, match="is a folder; name a file to write"):
        write_text(tmp_path, "new")


def test_nothing_is_written_over_what_it_is_made_from(tmp_path: Path) -> None:
    scenario, link = tmp_path / "s.yaml", tmp_path / "link.yaml"
    scenario.write_text("a: 1")
    link.symlink_to(scenario)
    for destination in (scenario, link):
        with pytest.raises(UsageError, match="is the file that it would be made from"):
            refuse_to_overwrite(scenario, destination)
    refuse_to_overwrite(scenario, tmp_path / "other.yaml")
    refuse_to_overwrite(tmp_path / "gone.yaml", tmp_path / "gone.yaml")


def test_every_path_can_be_shown() -> None:
    assert shown_path(Path("é/日本.yaml")) == "é/日本.yaml"
    assert shown_path(Path(os.fsdecode(b"a\xff.yaml"))) == "a\\xff.yaml"
