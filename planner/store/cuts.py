"""Load points that were cut off, by kill or Ctrl-C: their requests are kept and counted, but in no figure."""

import re
from contextlib import suppress
from pathlib import Path

from planner.errors import UsageError
from planner.schema.benchmark import CutPoint
from planner.store.files import shown_path, writing

try:
    import fcntl
except ImportError:  # not on Windows, where two may measure into one run, and the second fails at its first file
    fcntl = None  # type: ignore[assignment]

_ANSWERS = re.compile(r"requests-\d{3,}\.cut-\d+\.jsonl")
_PIECE = 2**20


def requests_file(number: int) -> str:
    """The file for the answers of a load point, from 0."""
    return f"requests-{number:03}.jsonl"


def sent_file(answers: Path) -> Path:
    """Beside the answers of a load point under way, a byte for each of its requests that was sent.

    Those that nobody has answered when the process is killed are in no other place.
    """
    return answers.with_suffix(".sent")


def schedule_file(number: int) -> str:
    """The file for the schedule of a load point, from 0."""
    return f"schedule-{number:03}.csv"


def server_file(number: int) -> str:
    """The file for what was seen of the server during a load point, from 0."""
    return f"server-{number:03}.jsonl"


def claim(descriptor: int) -> bool:
    """Marks an open file as ours until it is closed or we end, however that be; False where it is another's."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def is_claimed(path: Path) -> bool:
    """Whether somebody has a file of answers open to write to it."""
    try:
        with path.open("rb") as file:
            return not claim(file.fileno())
    except OSError:
        return False


def answers_in(path: Path) -> int:
    """How many whole lines a file has; none where it is not there."""
    with suppress(OSError), path.open("rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(_PIECE), b""))
    return 0


def set_aside(folder: Path, number: int) -> None:
    """Gives way for a load point to be measured again: what there is of its answers gets another name.

    Can be cut off at any line, and done again.

    Raises:
        UsageError: somebody is measuring it.
        EnvironmentLackingError: the folder cannot be written.
    """
    answers = folder / requests_file(number)
    if is_claimed(answers):
        raise UsageError(f"--resume {shown_path(folder)}: is being measured by another process")
    with writing(folder):
        (folder / schedule_file(number)).unlink(missing_ok=True)  # it is drawn again, the same
        (folder / server_file(number)).unlink(missing_ok=True)  # of answers that are in no figure
        for part in folder.glob(".run.json.*.part"):
            part.unlink(missing_ok=True)
        if answers.exists():
            cut = _free_name(folder, number)
            if sent_file(answers).exists():
                sent_file(answers).replace(sent_file(cut))
            answers.replace(cut)


def cut_points(folder: Path) -> list[CutPoint]:
    """Every load point that was set aside, and how many requests were sent for it."""
    found = sorted(path for path in folder.iterdir() if _ANSWERS.fullmatch(path.name))
    return [
        CutPoint(requests_file=path.name, requests_sent=max(answers_in(path), _bytes_in(sent_file(path))))
        for path in found
    ]


def _free_name(folder: Path, number: int) -> Path:
    times = 1
    while (path := folder / f"requests-{number:03}.cut-{times}.jsonl").exists():
        times += 1
    return path


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
