"""Templates that other people wrote, rendered in bounded time and room.

A template of a few bytes can loop for hours or fill the memory. So what is allowed is little: output, conditions,
loops, filters that make nothing larger. Every part of a template that is gone through is paid for out of a budget, and
so is every character.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, Undefined, UndefinedError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

_MOST_CHARS = 2**22
"""Of one text."""
_MOST_RANGE = 10_000
_MOST_NUMBER = 10**15
_CHARS_PER_PART = 16
"""That a filter or a comparison goes through in the time of a part of a template."""
_STEPS, _JOINED, _PAID = "planner steps", "planner joined", "planner paid"
"""Filters of our own, under names that no template can write."""
_FILTERS = (
    *("abs", "capitalize", "d", "default", "e", "escape", "first", "float", "int", "last", "length", "count", "list"),
    *("lower", "reject", "rejectattr", "reverse", "round", "safe", "select", "selectattr", "sort", "string"),
    *("title", "trim", "truncate", "unique", "upper", "wordcount"),
)
_BY_SIGN = frozenset({"list", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique"})
"""Those that take a text apart into its signs, which are as dear as the entries of a list."""
_NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign, nodes.CondExpr),
    *(nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Keyword),
    *(nodes.Compare, nodes.Operand, nodes.BinExpr, nodes.UnaryExpr, nodes.Concat, nodes.List, nodes.Tuple),
)


class TemplateRefusedError(ValueError):
    """Why a template gives no text."""


class BudgetSpentError(TemplateRefusedError):
    """Nothing more can be made of any template."""


@dataclass
class Budget:
    """What is left of what all templates of a file may take together.

    Attributes:
        parts: of templates gone through, those within loops again and again.
        chars: of texts.
    """

    parts: int = 20_000_000
    chars: int = 2**28

    def spend(self, parts: int, chars: int = 0) -> None:
        """Pays for something.

        Raises:
            BudgetSpentError: too little is left.
        """
        self.parts -= parts
        self.chars -= chars
        if self.parts < 0:
            raise BudgetSpentError("goes through too many steps, with those before")
        if self.chars < 0:
            raise BudgetSpentError("makes too long a text, with those before")


class Templates:
    """Templates of one file, in the language that nunjucks and Jinja have in common.

    Example:
        >>> Templates().text("{% for name in names %}{{ name | upper }} {% endfor %}{{ 1 + 2 }}", {"names": "ab"})
        'A B 3'
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = Budget() if budget is None else budget
        self._environment = _Environment(self._budget)
        self._compiled: dict[str, tuple[Template, int]] = {}

    def text(self, source: str, variables: Mapping[str, Any]) -> str:
        """A template with its variables.

        Raises:
            TemplateRefusedError: it is none, uses a variable that is not there, or goes beyond the bounds.
        """
        if "{" not in source:
            self._budget.spend(1, len(source))
            return source
        try:
            template, parts = self._compiled.get(source) or self._compile(source)
            self._budget.spend(parts)
            made, size = [], 0
            for piece in template.generate(dict(variables)):
                self._budget.spend(1, len(piece))
                made.append(piece)
                size += len(piece)
                if size > _MOST_CHARS:
                    raise TemplateRefusedError(f"makes a text of more than {_MOST_CHARS:,} characters")
        except TemplateRefusedError:
            raise
        except UndefinedError as error:
            raise TemplateRefusedError(f"uses a variable that is not given: {error}") from error
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TemplateRefusedError(str(error) or type(error).__name__) from error
        except (RecursionError, MemoryError, SyntaxError) as error:
            raise TemplateRefusedError("is nested too deeply, or too large") from error
        return "".join(made)

    def _compile(self, source: str) -> tuple[Template, int]:
        environment = self._environment
        tree = environment.parse(source)
        parts = _parts(tree)
        self._budget.spend(parts)
        for node in tree.find_all(nodes.Node):
            _refuse(node)
        tree = _Bounded().visit(tree)
        found = Template.from_code(environment, environment.compile(tree), environment.make_globals(None))
        self._compiled[source] = found, parts
        return found, parts


def _parts(tree: nodes.Node) -> int:
    return 1 + sum(1 for _ in tree.find_all(nodes.Node))


def _refuse(node: nodes.Node) -> None:
    """Raises where a part of a template could make more of it than it shows."""
    if isinstance(node, nodes.Call):
        if not (isinstance(node.node, nodes.Name) and node.node.name == "range") or node.dyn_args or node.dyn_kwargs:
            raise TemplateRefusedError("calls something; only range() can be called")
    elif not isinstance(node, _NODES):
        raise TemplateRefusedError(f"has a {type(node).__name__.lower()}, which is not supported")
    elif isinstance(node, nodes.List | nodes.Tuple) and any(name.ctx == "load" for name in node.find_all(nodes.Name)):
        raise TemplateRefusedError("has a list of variables, which is not supported")
    elif isinstance(node, nodes.For) and node.recursive:
        raise TemplateRefusedError("has a recursive loop, which is not supported")


class _Bounded(NodeTransformer):
    """Has loops, joined texts and what looks through texts go through filters that count."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - so are visitors named
        weight = nodes.Const(_parts(node))
        self.generic_visit(node)
        node.iter = _filtered(_STEPS, node.iter, [weight])
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - likewise
        self.generic_visit(node)
        return _filtered(_JOINED, nodes.List(node.nodes), [])

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802 - likewise
        self.generic_visit(node)
        node.node = _filtered(_PAID, node.node, [])
        return node

    def visit_Operand(self, node: nodes.Operand) -> nodes.Node:  # noqa: N802 - likewise
        self.generic_visit(node)
        node.expr = _filtered(_PAID, node.expr, [])
        return node


def _filtered(name: str, node: nodes.Node, arguments: list[nodes.Expr]) -> nodes.Filter:
    return nodes.Filter(node, name, arguments, [], None, None)


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, budget: Budget) -> None:
        super().__init__(undefined=StrictUndefined, finalize=_shown, keep_trailing_newline=True)
        self._budget = budget
        own = {_STEPS: self._steps, _JOINED: self._joined, "join": self._joined}
        more: dict[str, Callable[..., Any]] = {
            _PAID: lambda value: value,
            "replace": _replaced,
            "dump": _json,
            "tojson": _json,
        }
        allowed: dict[str, Callable[..., Any]] = {name: self.filters[name] for name in _FILTERS} | more
        self.filters = {name: self._paid(each, name in _BY_SIGN) for name, each in allowed.items()} | own
        tests: dict[str, Any] = dict(self.tests)
        self.tests = {name: self._paid(each) for name, each in tests.items()}
        self.globals = {"range": _range}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Adds and multiplies what is not too large."""
        are_numbers = all(isinstance(side, int | float) and abs(side) <= _MOST_NUMBER for side in (left, right))
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            self._budget.spend(0, _bounded(len(left) + len(right)))
        elif not are_numbers or (operator == "**" and abs(right) > 10):
            raise TemplateRefusedError(f"{operator} is for numbers that are not too large; + for two texts as well")
        return super().call_binop(context, operator, left, right)

    def _paid(self, function: Callable[..., Any], is_by_sign: bool = False) -> Callable[..., Any]:
        """A filter or test that is paid for by how much it may go through."""
        chars_per_part = 1 if is_by_sign else _CHARS_PER_PART

        @wraps(function)
        def paid(*arguments: Any, **named: Any) -> Any:
            for each in arguments:
                self._budget.spend(_size(each, chars_per_part))
            return function(*arguments, **named)

        return paid

    def _steps(self, values: Iterable[Any], weight: int) -> Iterator[Any]:
        for value in values:
            self._budget.spend(weight)
            yield value

    def _joined(self, values: Iterable[Any], between: str = "") -> str:
        texts, size = [], 0
        for value in values:
            texts.append(str(_shown(value)))
            size = _bounded(size + len(texts[-1]) + len(between))
            self._budget.spend(1, len(texts[-1]) + len(between))
        return between.join(texts)


def _size(value: Any, chars_per_part: int) -> int:
    """Parts that going through a value is worth, with all that it holds."""
    if isinstance(value, str):
        return 1 + len(value) // chars_per_part
    if isinstance(value, range):
        return len(value)
    if isinstance(value, list | tuple | dict):
        held = value.values() if isinstance(value, dict) else value
        return 1 + sum(_size(each, chars_per_part) for each in held)
    return 1


def _replaced(text: Any, old: str, new: str) -> str:
    before = str(_shown(text))
    _bounded(len(before) + before.count(old) * len(new))
    return before.replace(old, new)


def _bounded(size: int) -> int:
    if size > _MOST_CHARS:
        raise TemplateRefusedError(f"makes a text of more than {_MOST_CHARS:,} characters")
    return size


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > _MOST_RANGE:
        raise TemplateRefusedError(f"range() goes beyond {_MOST_RANGE:,} numbers")
    return numbers


def _json(value: Any, indent: int = 0) -> str:
    return json.dumps(value, ensure_ascii=False, indent=min(indent, 8) or None)


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
    raise TemplateRefusedError("prints what is no value; a variable may have the name of something else")
