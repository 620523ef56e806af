"""Writing results: whole or not at all."""

import os
import tempfile
from pathlib import Path

from planner.errors import EnvironmentLackingError


def write_text(path: Path, text: str) -> None:
    """Writes a file beside its place and moves it there, so that no reader sees half of it.

    Raises:
        EnvironmentLackingError: the folder is missing or may not be written, or the disk is full.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False, suffix=".part") as file:
            temporary = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise EnvironmentLackingError(f"{path}: cannot be written: {error.strerror or error}") from error
