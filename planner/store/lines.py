"""Files of JSON lines that grow while something runs."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planner.store.files import writing


@contextmanager
def writing_lines(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Gives a function that writes one line, which is in the file when it returns; begins with an empty file.

    Raises:
        EnvironmentLackingError: the file cannot be written.
    """
    with writing(path):
        file = path.open("w", encoding="utf-8", buffering=1)
    with file:

        def write(line: Mapping[str, Any]) -> None:
            with writing(path):
                file.write(json.dumps(line, separators=(",", ":")) + "\n")

        yield write
