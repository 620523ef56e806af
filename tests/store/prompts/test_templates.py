"""Templates of other people: the language that prompts use, and nothing that never ends or fills the memory."""

from typing import Any

import pytest

from planner.store.prompts.templates import TemplateRefusedError, Templates, TimeOverError


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
        ("{{ map }} {{ map.k }} {{ map | dump }}", '{"k":[1]} 1 {"k":[1]}'),
        ("{% raw %}{{ a }}{% endraw %}{# note #}\n", "{{ a }}\n"),
        ("{{ range(3) | join(',') }} {{ range(2) }} {{ list | reverse }}", "0,1,2 0,1 y,x"),
        ("{% set x = [a, a] %}{{ x }}{% macro f(y) %}<{{ y }}>{% endmacro %}{{ f(n) }}", "word,word<3>"),
    ],
)
def test_what_prompts_use_is_rendered(source: str, expected: str) -> None:
    with Templates() as templates:
        assert templates.text(source, {"a": "word", "n": 3, "list": ["x", "y"], "map": {"k": [1]}}) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [  # as console.log(String(x)) prints them in Node.js
        (1.0, "1"),
        (-0.0, "0"),
        (2.50, "2.5"),
        (100, "100"),
        (0.00001, "0.00001"),
        (1e-7, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (1e16, "10000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (-1.25e300, "-1.25e+300"),
        (12345678901234567890, "12345678901234567000"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_numbers_are_printed_as_javascript_does(number: float, expected: str) -> None:
    with Templates() as templates:
        assert templates.text("{{ n }}", {"n": number}) == expected
        assert templates.text("{{ n }}", {"n": [number, 1]}) == f"{expected},1"


def test_quotients_that_are_whole_have_no_fraction() -> None:
    with Templates() as templates:
        assert templates.text("{{ 4 / 2 }} {{ 5 / 2 }}", {}) == "2 2.5"


def test_variables_are_templates_with_the_others_in_them_each_rendered_once() -> None:
    given = {
        "a": "{{ b | upper }}!",
        "b": "<{{ c.d }}{{ n }}>",
        "c": {"d": "{{ e }}", "list": ["{{ n }}", 3]},
        "e": "deep",
        "f": "{{ true }} {{ e }} {{n}}{{ l }} {{c.d}}",
        "g": "{{e}} {{ n}} {{l}} {{ x }}",
        "l": [1, "{{ e }}"],
        "x": None,
        "n": 7,
        "raw": "{% raw %}{{ a }}{% endraw %}",
        "half": "{{1, 2} and {%",
        "safe": "{{ gone | default('none') }}",
    }
    with Templates() as templates:
        assert templates.values(given) == {
            **given,
            "a": "<DEEP7>!",
            "b": "<deep7>",
            "c": {"d": "deep", "list": ["7", 3]},
            "f": "true deep 71,deep deep",
            "g": "deep 7 1,deep ",
            "l": [1, "deep"],
            "raw": "{{ a }}",
            "safe": "none",
        }


def test_variables_without_templates_are_as_they_are_and_no_process_is_started() -> None:
    given = {"a": "plain {x}", "b": ["}} {{", 1, None], "c": {"d": True}}
    with Templates() as templates:
        assert templates.values(given) is given
        assert templates._process is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": "{{ b }}"}, "uses a variable that is not given: 'b' is undefined in vars.a"),
        ({"a": ["{{ b.c }}"], "b": {}}, "has no attribute 'c' in vars.a"),
        ({"a": "{{ b }}", "b": "{{ a }}"}, "vars.a stands within itself"),
        ({"a": "x {{ a }}"}, "vars.a stands within itself"),
        ({"a": "{{ 1/0 }}"}, "vars.a: division by zero"),
        ({"a": "{{ b }} {% if %}", "b": 1}, "vars.a: Expected an expression"),
        (
            {str(n): f"{{{{ v{n + 1} }}}}" * 2 for n in range(1)}
            | {f"v{n}": f"{{{{ v{n + 1} }}}}" * 4 for n in range(1, 30)}
            | {"v30": "ab"},
            "text of more than",
        ),
        ({f"v{n}": f"{{{{ v{n + 1} }}}}" for n in range(5_000)} | {"v5000": 1}, "nested too deeply"),
    ],
)
def test_variables_that_cannot_be_rendered_are_refused(given: dict[str, Any], expected: str) -> None:
    with Templates() as templates:
        with pytest.raises(TemplateRefusedError, match=expected):
            templates.values(given)
        assert templates.text("{{ a }}", {"a": "b"}) == "b"


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
