"""Writing results: whole or not at all; and how a file's name is told."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

from planner.errors import EnvironmentLackingError, UsageError


def write_text(path: Path, text: str) -> None:
    """Writes a file beside its place and moves it there, so that no reader sees half of it.

    A link stays, and the file that it points to is replaced; what is no regular file, such as a pipe, is written to.

    Raises:
        UsageError: the path is a folder.
        EnvironmentLackingError: the folder is missing or may not be written, or the disk is full.
    """
    if path.is_dir():
        raise UsageError(f"{shown_path(path)}: is a folder; name a file to write")
    with writing(path):
        target = path.resolve()
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
        else:
            _replace(target, text)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tells what keeps a file or folder from being written as something that is lacking.

    Raises:
        EnvironmentLackingError: the disk is full, say.
    """
    try:
        yield
    except OSError as error:
        raise EnvironmentLackingError(f"{shown_path(path)}: cannot be written: {error.strerror or error}") from error


def free_path(path: Path) -> Path:
    """The path, or where something is there already, one with a number.

    Example:
        >>> free_path(getfixture("tmp_path") / "vllm.log").name
        'vllm.log'
    """
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return next(each for each in chain([path], numbered) if not each.exists())


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, in hexadecimal.

    Raises:
        EnvironmentLackingError: it cannot be read any more.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EnvironmentLackingError(f"{shown_path(path)}: cannot be read: {error.strerror or error}") from error


def refuse_to_overwrite(source: Path, destination: Path, option: str = "-o") -> None:
    """Raises where a result would be written over what it is made from.

    Raises:
        UsageError: both are the same file.
    """
    with contextlib.suppress(OSError, ValueError):
        if destination.samefile(source):
            raise UsageError(f"{option} {shown_path(destination)}: is the file that it would be made from")


def shown_path(path: Path) -> str:
    r"""A path as text that every file and terminal can hold, whatever bytes its name is made of.

    Example:
        >>> print(shown_path(Path("a\udcff.yaml")))
        a\xff.yaml
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def sync_folder(path: Path) -> None:
    """Has the names in a folder reach the disk, where the system can do that: a file that has no name is lost."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(target: Path, text: str) -> None:
    temporary = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
        sync_folder(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
