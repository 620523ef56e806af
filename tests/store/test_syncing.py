"""What was written is synced now and then, by somebody else than who writes."""

import errno
import os
import threading
from pathlib import Path

import pytest

from planner.store import syncing
from planner.store.syncing import Syncer


class Disk:
    """Stands in for the system's own sync, and knows who called it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_with: int | None = None) -> None:
        self.callers: list[str] = []
        self.was_called = threading.Event()
        self._fails_with = fails_with
        monkeypatch.setattr(syncing, "_system_sync", self.sync)
        monkeypatch.setattr(syncing, "SYNC_EVERY_S", 0.01)

    def sync(self, descriptor: int) -> None:
        os.fstat(descriptor)  # it must be open still
        self.callers.append(threading.current_thread().name)
        self.was_called.set()
        if self._fails_with is not None:
            raise OSError(self._fails_with, os.strerror(self._fails_with))


def test_it_syncs_in_a_thread_what_is_new_and_at_the_end_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    with (tmp_path / "file").open("w") as file:
        syncer = Syncer(file.fileno())
        assert not disk.was_called.wait(0.1), "nothing was written"
        syncer.wrote()
        assert disk.was_called.wait(10)
        disk.was_called.clear()
        assert not disk.was_called.wait(0.1), "nothing was written since"
        syncer.close()
    assert disk.callers == ["sync", threading.current_thread().name]


def test_disk_that_fails_is_told_to_who_writes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, errno.EIO)
    with (tmp_path / "file").open("w") as file:
        syncer = Syncer(file.fileno())
        syncer.wrote()
        assert disk.was_called.wait(10)
        syncer._thread.join()
        with pytest.raises(OSError, match="Input/output error"):
            syncer.wrote()
        with pytest.raises(OSError, match="Input/output error"):
            syncer.close()


def test_file_system_that_cannot_sync_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, errno.EINVAL)
    with (tmp_path / "file").open("w") as file:
        syncer = Syncer(file.fileno())
        syncer.wrote()
        syncer.close()
    assert disk.callers
