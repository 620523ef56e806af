"""Renders templates, one JSON line in and one out: the other end of `templates.py`, in a process of its own."""

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, Undefined, UndefinedError, meta
from jinja2.sandbox import SandboxedEnvironment

from planner.store.prompts.templates import is_template

MOST_CHARS = 2**22
"""Of one text."""
_MOST_BYTES = 2**30
"""Of memory."""
_MOST_EXACT = 2**53
"""Whole numbers up to this are exact as floats."""

_PLAIN_TAG = re.compile(r"\{\{\s*(?!(?:true|false|none|not)\s*\})([a-zA-Z_]\w*)\s*\}\}", re.IGNORECASE | re.ASCII)
_BRACE = re.compile(r"[{}]")


def main() -> None:
    """Answers until there is nothing more to read."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit, and a lower one may be set already
        import resource  # noqa: PLC0415 - likewise

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    environment = SandboxedEnvironment(undefined=StrictUndefined, finalize=_shown, keep_trailing_newline=True)
    environment.filters["dump"] = environment.filters["tojson"] = _json
    compiled = lru_cache(maxsize=256)(environment.from_string)
    named = lru_cache(maxsize=256)(lambda source: meta.find_undeclared_variables(environment.parse(source)))
    for line in sys.stdin:
        wanted, variables = json.loads(line)
        reply: dict[str, Any]
        try:
            if "text" in wanted:
                reply = {"given": _rendered(compiled(wanted["text"]), variables)}
            else:
                values = _Values(compiled, named, variables)
                reply = {"given": {name: values.of(name) for name in variables}}
        except UndefinedError as error:
            reply = {"refused": f"uses a variable that is not given: {error}"}
        except (RecursionError, MemoryError, SyntaxError):
            reply = {"refused": "is nested too deeply, or too large"}
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            reply = {"refused": str(error) or type(error).__name__}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


class _Values:
    """Variables, each rendered once, behind those that it names."""

    def __init__(
        self, compiled: Callable[[str], Template], named: Callable[[str], set[str]], variables: dict[str, Any]
    ) -> None:
        self._compiled = compiled
        self._named = named
        self._variables = variables
        self._done: dict[str, Any] = {}
        self._under_way: set[str] = set()

    def of(self, name: str) -> Any:
        """One of them."""
        if name not in self._done:
            if name in self._under_way:
                raise ValueError(f"vars.{name} stands within itself")
            self._under_way.add(name)
            self._done[name] = self._value(name, self._variables[name])
        return self._done[name]

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(name, each) for each in value]
        if isinstance(value, dict):
            return {key: self._value(name, each) for key, each in value.items()}
        if not isinstance(value, str) or not is_template(value):
            return value
        if set(_PLAIN_TAG.findall(value)) <= self._variables.keys() and not _BRACE.search(_PLAIN_TAG.sub("", value)):
            # Many times as fast as a template of its own, and most are like this.
            return _joined(self._plain_pieces(value))
        try:
            names = self._named(value)
        except TemplateError as error:
            raise ValueError(f"vars.{name}: {error}") from error
        others = {each: self.of(each) for each in sorted(names & self._variables.keys())}
        try:
            return _rendered(self._compiled(value), others)
        except UndefinedError as error:
            raise UndefinedError(f"{error} in vars.{name}") from error
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise ValueError(f"vars.{name}: {error}") from error

    def _plain_pieces(self, value: str) -> Iterator[str]:
        end = 0
        for tag in _PLAIN_TAG.finditer(value):
            yield value[end : tag.start()]
            yield str(_shown(self.of(tag[1])))
            end = tag.end()
        yield value[end:]


def _rendered(template: Template, variables: dict[str, Any]) -> str:
    return _joined(template.generate(variables))


def _joined(texts: Iterable[str]) -> str:
    pieces, size = [], 0
    for piece in texts:
        pieces.append(piece)
        size += len(piece)
        if size > MOST_CHARS:
            raise ValueError(f"makes a text of more than {MOST_CHARS:,} characters")
    return "".join(pieces)


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=(",", ":") if indent is None else None)


def _number(value: float) -> str:
    """A number as JavaScript prints it, whose numbers are all floats (ECMAScript 2024, Number::toString)."""
    if isinstance(value, int) and abs(value) <= _MOST_EXACT:
        return str(value)
    number = float(value)
    if math.isinf(number) or math.isnan(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        return format(Decimal(repr(number)), "f").removesuffix(".0").removeprefix("-" if number == 0 else "")
    digits, _, power = repr(number).partition("e")
    return f"{digits.removesuffix('.0')}e{int(power):+d}"


def _shown(value: Any) -> Any:
    """A value as nunjucks prints it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str | Undefined):
        return value
    if isinstance(value, list | tuple | range | Iterator):
        return ",".join(str(_shown(each)) for each in value)
    if isinstance(value, dict):
        return _json(value)
    raise ValueError("prints what is no value; a variable may have the name of something else")


if __name__ == "__main__":
    main()
