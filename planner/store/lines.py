"""Files of JSON lines that grow while something runs."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planner.errors import EnvironmentLackingError
from planner.store.files import shown_path


@contextmanager
def writing_lines(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Gives a function that writes one line, which is in the file when it returns; begins with an empty file.

    Raises:
        EnvironmentLackingError: the file cannot be written.
    """

    def refuse(error: OSError) -> EnvironmentLackingError:
        return EnvironmentLackingError(f"{shown_path(path)}: cannot be written: {error.strerror or error}")

    try:
        file = path.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise refuse(error) from error
    with file:

        def write(line: Mapping[str, Any]) -> None:
            try:
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
            except OSError as error:
                raise refuse(error) from error

        yield write
