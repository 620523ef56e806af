"""What was written reaches the disk about once a second, while others go on writing."""

import errno
import os
import threading

SYNC_EVERY_S = 1.0
"""What a power cut may cost; what the end of the process may cost is nothing, since the system has it already."""

_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})
"""Of file systems that do not sync, or do it with every write."""

_system_sync = getattr(os, "fdatasync", os.fsync)  # without the time of change, where the system knows the difference


class Syncer:
    """Syncs a file in a thread of its own: a disk may take its time, and nobody's latency must be the longer for it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_dirty = False
        self._error: OSError | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self._thread.start()

    def wrote(self) -> None:
        """There is something new in the file.

        Raises:
            OSError: of an earlier sync: the disk was full after all, say.
        """
        self._is_dirty = True
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Syncs what is left, before the file is closed.

        Raises:
            OSError: of this sync, or of an earlier one.
        """
        self._end.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        _sync(self._descriptor)

    def _run(self) -> None:
        while not self._end.wait(SYNC_EVERY_S):
            if self._is_dirty:
                self._is_dirty = False  # before: what is written meanwhile needs the next one
                try:
                    _sync(self._descriptor)
                except OSError as error:
                    self._error = error
                    return


def _sync(descriptor: int) -> None:
    try:
        _system_sync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
