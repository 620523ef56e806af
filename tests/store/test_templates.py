"""Templates of other people: the language that prompts use, and nothing that never ends or fills the memory."""

from typing import Any

import pytest

from planner.store.templates import Budget, TemplateRefusedError, Templates


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ a }}, {{ a | upper }}, {{ a[0] }}{{ a[1:] }}", "word, WORD, word"),
        ("{% if n > 2 and a in ['word'] %}yes{% else %}no{% endif %}", "yes"),
        ("{% for each in list %}{{ loop.index }}{{ each }}{% endfor %}", "1x2y"),
        ("{% for key, value in [['k', 1]] %}{{ key }}={{ value }}{% endfor %}", "k=1"),
        ("{{ list | join('; ') }} {{ a | replace('w', 'sw') }} {{ list | length }}", "x; y sword 2"),
        ("{{ gone | default('-') }}{{ '' if gone is defined else 'none' }}", "-none"),
        ("{% set b = a ~ n %}{{ b }} {{ n * 2 + 1 }} {{ n ** 2 }} {{ a + '!' }}", "word3 7 9 word!"),
        ("{{ map }} {{ map.k }} {{ map | dump }}", '{"k": [1]} 1 {"k": [1]}'),
        ("{% raw %}{{ a }}{% endraw %}{# note #}\n", "{{ a }}\n"),
        ("{{ range(3) | join(',') }} {{ range(2) }} {{ list | reverse }}", "0,1,2 0,1 y,x"),
    ],
)
def test_what_prompts_use_is_rendered(source: str, expected: str) -> None:
    assert Templates().text(source, {"a": "word", "n": 3, "list": ["x", "y"], "map": {"k": [1]}}) == expected


DOUBLED = "{% set x = x ~ x %}" * 60
GROWN: dict[str, Any] = {"long": "b" * 1_000_000, "list": ["a"] * 100_000, "deep": [[["a"] * 100_000]]}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}" + "{% endfor %}" * 3,
            "steps",
        ),
        ("{% for a in range(9999) %}{% if 'z' in long %}{% endif %}{% endfor %}", "steps"),
        ("{% for a in range(9999) %}{% if long[1:] == long %}{% endif %}{% endfor %}", "steps"),
        ("{% for a in range(9999) %}{% if deep == deep | list or deep | string %}{% endif %}{% endfor %}", "steps"),
        ("{% for a in range(10000) %}{{ long }}{% endfor %}", "text of more than"),
        ("{{ range(1000000000) | list }}", "goes beyond 10,000"),
        ("{% set x = 'aa' %}" + DOUBLED, "text of more than"),
        ("{% set x = 'aa' %}" + DOUBLED.replace("~", "+"), "text of more than"),
        ("{% set x = ['a'] %}{% set x = [x, x] %}", "list of variables"),
        ("{% set x = namespace(y='a') %}{% set x.y = x.y ~ x.y %}", "only range() can be called"),
        ("{% set x %}a{% endset %}", "is not supported"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "is not supported"),
        ("{% for a in list recursive %}{{ loop(list) }}{% endfor %}", "recursive"),
        ("{% include 'x' %}", "is not supported"),
        ("{{ 'a' * 1000000000 }}", "for numbers"),
        ("{{ 10 ** 1000000000 }}", "for numbers"),
        ("{{ '%1000000000d' % 1 }}", "for numbers"),
        ("{{ '{:1000000000}'.format(1) }}", "only range() can be called"),
        ("{{ 'a' | center(1000000000) }}", "center"),
        ("{{ list | join(long) }}", "text of more than"),
        ("{{ long | replace('b', long) }}", "text of more than"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "nested too deeply"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ nothing }}", "not given: 'nothing' is undefined"),
        ("{{ range }}", "prints what is no value"),
        ("{{ self }}", "prints what is no value"),
        ("{% if nothing %}{% endif %}", "'nothing' is undefined"),
        ("{{ 1/0 }}", "division by zero"),
        ("{{ a %}", "unexpected"),
    ],
)
def test_what_never_ends_or_grows_is_refused(source: str, expected: str) -> None:
    with pytest.raises(TemplateRefusedError, match=expected.replace("(", r"\(").replace(")", r"\)")):
        Templates().text(source, GROWN)


def render_often(templates: Templates, times: int, value: str) -> None:
    for _ in range(times):
        assert templates.text("{{ a }}", {"a": value}) == value


@pytest.mark.parametrize(
    ("budget", "expected"), [(Budget(100, 1_000_000), "steps"), (Budget(10_000, 1_000), "too long")]
)
def test_all_templates_of_a_file_have_one_budget(budget: Budget, expected: str) -> None:
    templates = Templates(budget)
    render_often(templates, 9, "b" * 100)
    with pytest.raises(TemplateRefusedError, match=expected):
        render_often(templates, 30, "b" * 100)
