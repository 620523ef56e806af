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
_TAGS = (("{{", "}}"), ("{%", "%}"), ("{#", "#}"))


def is_template(value: Any) -> bool:
    """Whether a variable holds templates: a text with a whole tag, or anything with such a text.

    Half a tag is none, as in promptfoo: it stands in code and formulas.

    Example:
        >>> is_template("{{ a }}"), is_template(["{% if a %}"]), is_template("{{1, 2}"), is_template("}} {{")
        (True, True, False, False)
    """
    if isinstance(value, str):
        return any((begin := value.find(first)) >= 0 and value.find(last, begin) >= 0 for first, last in _TAGS)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(map(is_template, inner))


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
        return str(self._answered({"text": source}, variables)) if "{" in source else source

    def values(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Variables whose texts are templates, too, with the other ones in them.

        Raises:
            TemplateRefusedError: as for `text`, or they go round in a circle.

        Example:
            >>> with Templates() as templates:
            ...     templates.values({"name": "Ann", "ask": "Is {{ name | upper }} in?", "set": "{{1, 2}"})
            {'name': 'Ann', 'ask': 'Is ANN in?', 'set': '{{1, 2}'}
        """
        return dict(self._answered({}, variables)) if is_template(variables) else variables

    def _answered(self, wanted: Mapping[str, str], variables: Mapping[str, Any]) -> Any:
        process = self._process or self._start()
        try:
            print(json.dumps([wanted, variables]), file=process.stdin, flush=True)
            reply = json.loads(process.stdout.readline() if process.stdout is not None else "")
        except (OSError, ValueError) as error:
            told = f"takes too much room, or more than {self._limit_s:g} s with those before"
            raise TimeOverError(told) from error
        if "refused" in reply:
            raise TemplateRefusedError(reply["refused"])
        return reply["given"]

    def _start(self) -> "subprocess.Popen[str]":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "planner.store.prompts.rendering"],
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
