"""Templates that other people wrote, rendered in a process of their own.

A template of a few bytes can loop for hours or fill the memory. So the process has a limit of memory, and is ended when
its time is over.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

_LIMIT_S = 20.0
"""For all templates of a file; a thousand ordinary ones take a tenth of a second."""


class TemplateRefusedError(ValueError):
    """Why a template gives no text."""


class TimeOverError(TemplateRefusedError):
    """Nothing more can be made of any template."""


class Templates:
    """Templates of one file, in the language that nunjucks and Jinja have in common; a context manager.

    Example:
        >>> with Templates() as templates:
        ...     templates.text("{% for name in names %}{{ name | upper }} {% endfor %}{{ 1 + 2 }}", {"names": "ab"})
        'A B 3'
    """

    def __init__(self, limit_s: float = _LIMIT_S) -> None:
        """Renders for so long at most [s]."""
        self._limit_s = limit_s
        self._process: subprocess.Popen[str] | None = None
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def text(self, source: str, variables: Mapping[str, Any]) -> str:
        """A template with its variables.

        Raises:
            TemplateRefusedError: it is none, uses a variable that is not there, or takes too much time or room.
        """
        if "{" not in source:
            return source
        process = self._process or self._start()
        try:
            print(json.dumps([source, variables]), file=process.stdin, flush=True)
            reply = json.loads(process.stdout.readline() if process.stdout is not None else "")
        except (OSError, ValueError) as error:
            told = f"takes too much room, or more than {self._limit_s:g} s with those before"
            raise TimeOverError(told) from error
        if "refused" in reply:
            raise TemplateRefusedError(reply["refused"])
        return str(reply["text"])

    def _start(self) -> "subprocess.Popen[str]":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "planner.store.rendering"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self._timer = threading.Timer(self._limit_s, self._process.kill)
        self._timer.daemon = True
        self._timer.start()
        return self._process
