"""Templates of other people: the language that prompts use, and nothing that never ends or fills the memory."""

import pytest

from planner.store.templates import TemplateRefusedError, Templates, TimeOverError


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
        ("{% set x = [a, a] %}{{ x }}{% macro f(y) %}<{{ y }}>{% endmacro %}{{ f(n) }}", "word,word<3>"),
    ],
)
def test_what_prompts_use_is_rendered(source: str, expected: str) -> None:
    with Templates() as templates:
        assert templates.text(source, {"a": "word", "n": 3, "list": ["x", "y"], "map": {"k": [1]}}) == expected


DOUBLED = "{% set x = x ~ x %}" * 60


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% for a in range(10000) %}{{ long }}{% endfor %}", "text of more than"),
        ("{{ range(1000000000) | list }}", "Range too big"),
        ("{% set x = 'aa' %}" + DOUBLED, "too large"),
        ("{{ 'a' * 100000000000 }}", "too large"),
        ("{{ 'a' | center(100000000000) }}", "too large"),
        ("{{ '{:100000000000}'.format(1) }}", "too large"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "nested too deeply"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% include 'x' %}", "no loader"),
        ("{{ nothing }}", "not given: 'nothing' is undefined"),
        ("{{ range }}", "prints what is no value"),
        ("{% if nothing %}{% endif %}", "'nothing' is undefined"),
        ("{{ 1/0 }}", "division by zero"),
        ("{{ a %}", "unexpected"),
    ],
)
def test_what_cannot_be_rendered_is_refused_and_others_are_rendered_after_it(source: str, expected: str) -> None:
    with Templates() as templates:
        with pytest.raises(TemplateRefusedError, match=expected):
            templates.text(source, {"long": "b" * 1_000_000})
        assert templates.text("{{ long }}", {"long": "b"}) == "b"


def test_what_never_ends_is_ended_and_nothing_comes_after_it() -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}" + "{% endfor %}" * 2
    with Templates(limit_s=0.5) as templates:
        with pytest.raises(TimeOverError, match="s with those before"):
            templates.text(endless, {})
        with pytest.raises(TimeOverError):
            templates.text("{{ a }}", {"a": "b"})
        assert templates.text("a", {}) == "a"


def test_no_process_is_started_for_plain_text_and_none_is_left() -> None:
    with Templates() as templates:
        assert templates.text("plain", {}) == "plain"
        assert templates._process is None
        assert templates.text("{{ a }}", {"a": 1}) == "1"
        process = templates._process
        assert process is not None
    assert process.returncode is not None
