"""Renders templates, one JSON line in and one out: the other end of `templates.py`, in a process of its own."""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, Undefined, UndefinedError
from jinja2.sandbox import SandboxedEnvironment

MOST_CHARS = 2**22
"""Of one text."""
_MOST_BYTES = 2**30
"""Of memory."""


def main() -> None:
    """Answers until there is nothing more to read."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit, and a lower one may be set already
        import resource  # noqa: PLC0415 - likewise

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    environment = SandboxedEnvironment(undefined=StrictUndefined, finalize=_shown, keep_trailing_newline=True)
    environment.filters["dump"] = environment.filters["tojson"] = _json
    compiled = lru_cache(maxsize=256)(environment.from_string)
    for line in sys.stdin:
        source, variables = json.loads(line)
        try:
            reply = {"text": _rendered(compiled(source), variables)}
        except UndefinedError as error:
            reply = {"refused": f"uses a variable that is not given: {error}"}
        except (RecursionError, MemoryError, SyntaxError):
            reply = {"refused": "is nested too deeply, or too large"}
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            reply = {"refused": str(error) or type(error).__name__}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


def _rendered(template: Template, variables: dict[str, Any]) -> str:
    pieces, size = [], 0
    for piece in template.generate(variables):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_CHARS:
            raise ValueError(f"makes a text of more than {MOST_CHARS:,} characters")
    return "".join(pieces)


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _shown(value: Any) -> Any:
    """A value as nunjucks prints it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Undefined):
        return value
    if isinstance(value, list | tuple | range | Iterator):
        return ",".join(str(_shown(each)) for each in value)
    if isinstance(value, dict):
        return _json(value)
    raise ValueError("prints what is no value; a variable may have the name of something else")


if __name__ == "__main__":
    main()
