"""Configurations of promptfoo: what it would send, without running anything."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from planner.errors import InputFileError
from planner.store.prompts import promptfoo
from planner.store.prompts.files import read_prompts
from planner.store.prompts.own_prompt import OwnPrompt
from planner.store.prompts.templates import Templates


def read(folder: Path, text: str, **files: str) -> tuple[OwnPrompt, ...]:
    """A configuration beside files whose names end as their keywords do: a_txt is a.txt."""
    for name, content in files.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(content)
    (folder / "p.yaml").write_text(text)
    return read_prompts(folder / "p.yaml")


def texts(prompts: tuple[OwnPrompt, ...]) -> list[str]:
    return [prompt.text for prompt in prompts]


def test_every_prompt_goes_with_every_test(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
prompts:
  - "{{greeting}} {{name}}"
  - raw: '[{"role": "system", "content": "{{greeting}}"}, {"role": "user", "content": "{{name}}"}]'
    label: chat
defaultTest: {vars: {greeting: hello}}
tests:
  - vars: {name: Ann}
  - vars: {name: 'Bob "B"', greeting: bye}
    assert: [{type: contains, value: Bob}]
providers: [openai:gpt-5, {id: openai:chat:gpt-5, config: {temperature: 0}}, {"vertex:gemini": {}}]
""",
    )
    assert texts(found) == ["hello Ann", 'bye Bob "B"', "hello\n\nAnn", 'bye\n\nBob "B"']
    assert [message["role"] for message in found[3].messages] == ["system", "user"]
    assert [(prompt.line, prompt.entry) for prompt in found[:2]] == [
        (8, "prompts[0] with tests[0]"),
        (9, "prompts[0] with tests[1]"),
    ]


def test_lists_of_texts_stand_for_a_test_each_in_all_combinations(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
prompts: "{{a}}{{b}}{{c}}"
tests:
  - vars: {a: [x, y], b: ["1", "2", "3"], c: "!"}
  - vars: {a: [7, 8], b: "", c: ""}
  - vars: {a: [x, y], b: "", c: ""}
    options: {disableVarExpansion: true, prefix: "<", suffix: ">"}
""",
    )
    assert texts(found) == ["x1!", "x2!", "x3!", "y1!", "y2!", "y3!", "7,8", "<x,y>"]


def test_prompts_and_variables_come_out_of_files_and_tests_out_of_csv(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "up.md").write_text("up {{name}}\n")
    chat = [{"role": "system", "content": "be {{how}}"}, {"role": "user", "content": "{{name}}"}]
    config = tmp_path / "config"
    config.mkdir()
    found = read(
        config,
        """
prompts: [file://two.txt, chat.json, "file://../other/up.md", {id: file://lines.jsonl}]
tests: t.csv
defaultTest: {vars: {how: file://how.txt}}
""",
        two_txt="one {{name}}\n---\ntwo {{name}}\n",
        chat_json=json.dumps(chat),
        lines_jsonl=json.dumps(chat[1:]) + "\n",
        how_txt="kind\n",
        t_csv='name,__expected,__expected2\n"Ann\nB",contains:x,\nCy,,\n',
    )
    assert texts(found)[:4] == ["one Ann\nB", "one Cy", "two Ann\nB", "two Cy"]
    assert [dict(message) for message in found[4].messages] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "Ann\nB"},
    ]
    assert texts(found)[6:9] == ["up Ann\nB", "up Cy", "Ann\nB"]
    assert [(Path(prompt.file).name, prompt.line) for prompt in found[:2]] == [("t.csv", 2), ("t.csv", 4)]


def test_tests_of_csv_stand_beside_others_in_a_list(tmp_path: Path) -> None:
    text = 'prompts: ["{{q}}"]\ntests: ["file://t.csv", {vars: {q: last}}]\n'
    assert texts(read(tmp_path, text, t_csv="q,__prefix\nfirst,at \n")) == ["at first", "last"]


def test_variables_within_variables_and_values_as_nunjucks_prints_them(tmp_path: Path) -> None:
    text = """
prompts: ["{{a}} {{t}} {{n}} {{d}}|{{x}} {{ y ~ x }} {{z}}", '[{"role": "user", "content": "{{a}}"}]']
tests: [{vars: {a: "to {{b | upper}}", b: "b{{ c }}", c: e, t: true, n: ~, d: {k: 2.0}, x: 1.0, y: n, z: [0.5, 3.0]}}]
"""
    assert texts(read(tmp_path, text)) == ['to BE true  {"k":2}|1 n1 0.5,3', "to BE"]


def test_variables_of_csv_and_of_files_are_templates_too(tmp_path: Path) -> None:
    text = "prompts: '{{q}}'\ntests: t.csv\ndefaultTest: {vars: {who: file://who.txt}}\n"
    rows = "q,name\nIs {{who}} in?,Ann\n{{1} % {%,Bob\n"
    assert texts(read(tmp_path, text, who_txt="{{name}}!\n", t_csv=rows)) == ["Is Ann! in?", "{{1} % {%"]


@pytest.mark.parametrize("tests", ["", "tests:\n", "tests: []\n"])
def test_without_tests_each_prompt_is_asked_once_with_the_default_variables(tmp_path: Path, tests: str) -> None:
    found = read(tmp_path, "prompts:\n  - one\n  - two {{a}}\ndefaultTest: {vars: {a: [x, y]}}\n" + tests)
    assert texts(found) == ["one", "one", "two x", "two y"]
    found = read(tmp_path, "prompts:\n  - one\n  - two\n" + tests)
    assert [(prompt.text, prompt.line, prompt.entry) for prompt in found] == [
        ("one", 2, "prompts[0]"),
        ("two", 3, "prompts[1]"),
    ]


def test_names_that_no_file_can_have_are_texts_or_refused(tmp_path: Path) -> None:
    asked = "Please " + "word " * 80
    prompts = [f"{asked}config.yaml", f"{asked}main.py", "x" * 300 + " y.md", "a \0 b.txt"]
    assert texts(read(tmp_path, config(prompts))) == prompts
    for wrong in (
        config([f"file://{'x' * 300}.xyz"]),
        config([f"file://{'x' * 300}.txt"]),
        config(["file://a\0b.xyz"]),
        config(tests=f"{'x' * 300}.xml"),
        config(tests=f"{'x' * 300}.csv"),
        config(tests=[{"vars": {"a": f"file://{'x' * 300}.xml"}}]),
    ):
        with pytest.raises(InputFileError, match=r"of a kind that is not read|cannot be read"):
            read(tmp_path, wrong)


def test_text_that_begins_as_json_does_is_still_text(tmp_path: Path) -> None:
    text = """prompts: ["[INST] {{q}} [/INST]", '["a", "{{q}}"]', "ask {{q}}.txt"]\ntests: [{vars: {q: x}}]\n"""
    assert texts(read(tmp_path, text)) == ["[INST] x [/INST]", '["a", "x"]', "ask x.txt"]


def config(prompts: Any = ("a",), tests: Any = ({"vars": {}},), **more: Any) -> str:
    return json.dumps({"prompts": prompts, "tests": tests, **more})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prompts: [a]\ntests: 3\n", ("tests: must be a list", "without it each prompt is asked once")),
        ("prompts: [a, '{{b}}']\n", ("prompts[1]: uses a variable that is not given: 'b' is undefined",)),
        ("", ("must be a configuration of promptfoo", "it is empty")),
        ('["a", "b"]', ("must be a configuration of promptfoo", "JSON lines", "it is a list")),
        (
            config(["{{a}} {{c}}"], [{"vars": {"a": "{{b}}"}}, {"vars": {"a": 1}}]),
            ("tests[0]: uses a variable that is not given: 'b' is undefined in vars.a", "'c' is undefined"),
        ),
        (
            config(defaultTest={"vars": {"a": "{{a}}"}}, tests=None),
            (":1:", "defaultTest: vars.a stands within itself"),
        ),
        (config(tests="v.csv"), ("v.csv:3: ", "'b' is undefined in vars.a")),
        (config(['[{"role": "user", "content": "a", "x": 1e999}]']), ("a number that JSON has no word for",)),
        (config(["file://nan.json"]), ("must hold the messages of a chat in JSON",)),
        (config([]), ("prompts: must be a list", "or a text")),
        (config(["{{a", "{{ 1/0 }}"]), ("prompts[0] with tests[0]", "prompts[1] with tests[0]: division by zero")),
        (
            config(["{{name}} {{b}}"], [{"vars": {"name": 1}}, {"vars": {"b": 1}}]),
            ("prompts[0] with tests[0]", "'b' is undefined", "prompts[0] with tests[1]", "'name' is undefined"),
        ),
        (config(["{{a.b}}"], [{"vars": {"a": {"c": 1}}}]), ("has no attribute 'b'",)),
        (config(['[{"role": "user", "content": null}]']), ("messages[0]: needs content",)),
        (config(["\ud800"]), ("half of a character",)),
        (config(["file://none.txt"]), ("none.txt: no such file",)),
        (config(["file://folder"]), ("folder: is a folder",)),
        (config(["file://folder/*.txt"]), ("is a pattern",)),
        (config(["file://make.py:ask"]), ("is a program", "allowed: .txt")),
        (config(["make.js"]), ("is a program",)),
        (config(["exec:make"]), ("would be fetched or run",)),
        (config(["langfuse://a:1"]), ("would be fetched or run",)),
        (config(["file://p.yaml"]), ("of a kind that is not read",)),
        (config(["file://bad.json"]), ("must hold the messages of a chat",)),
        (config(["file://odd.json"]), ("messages must be a list of messages",)),
        (config(['[{"role": "user"}]'], [{"vars": {}, "options": {"prefix": "<"}}]), ("a prefix or suffix goes with",)),
        (config([3]), ("must be a text, or an entry with raw",)),
        (config(tests="file://none.csv"), ("none.csv: no such file",)),
        (config(tests="file://folder"), ("folder: is a folder",)),
        (config(tests="file://make.py"), ("tests: file://make.py is a program", "allowed: .csv")),
        (config(tests="huggingface://datasets/x"), ("would be fetched",)),
        (config(tests="https://docs.google.com/x"), ("would be fetched",)),
        (config(tests=["file://t.yaml"]), ("of a kind that is not read",)),
        (config(tests=[{"path": "file://make.py"}]), ("made by a program",)),
        (config(tests=[{"vars": "file://v.yaml"}]), ("must be mappings; files are not read",)),
        (config(tests=[{"vars": {"a": "file://v.py"}}]), ("vars.a: file://v.py is a program",)),
        (config(tests=[{"vars": {}, "options": {"transformVars": "x"}}]), ("transformVars is not supported",)),
        (config(tests="long.csv"), ("long.csv:2: has 2 fields; allowed: 1",)),
        (config(tests="twice.csv"), ("has columns twice: a",)),
        (config(tests="open.csv"), ("open.csv:2: is not CSV",)),
        (
            config(tests="all.csv"),
            ("all.csv:1: has columns twice: a", "all.csv:2: has 3 fields; allowed: 2", "all.csv:3: is not CSV"),
        ),
        (config(defaultTest="file://d.yaml"), ("defaultTest: must be a mapping",)),
        (config(scenarios=[{}]), ("scenarios: is not supported",)),
        (config(providers=["file://own.py"]), ("providers[0]: a provider that is a program",)),
        (config(providers=[{"id": "python:own.py"}]), ("a provider that is a program",)),
        (config(providers=["openai:x", {"own.js": {}}]), ("providers[1]: a provider that is a program",)),
        (config(providers="own.mjs:call"), ("providers: a provider that is a program",)),
        (
            config(tests=[{"vars": {str(number): ["x"] * 100 for number in range(9)}}]),
            ("stands for 1,000,000,000,000,000,000 tests",),
        ),
    ],
)
def test_mistakes_and_what_is_not_supported_are_told(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    (tmp_path / "folder").mkdir()
    beside = {
        "bad_json": "no",
        "odd_json": "{}",
        "long_csv": "a\nb,c\n",
        "twice_csv": "a,a\n",
        "open_csv": 'a\n"b\n',
        "all_csv": 'a,a\n1,2,3\n"b\n',
        "v_csv": "a\n1\n{{b}}\n",
        "nan_json": '[{"role": "user", "content": "a", "x": NaN}]',
    }
    with pytest.raises(InputFileError) as caught:
        read(tmp_path, text, **beside)
    assert all(part in str(caught.value) for part in expected), str(caught.value)


def test_all_mistakes_are_told_at_once_up_to_a_number(tmp_path: Path) -> None:
    with pytest.raises(InputFileError) as caught:
        read(tmp_path, config(["{{a}}"], [{"vars": {}}] * 200))
    assert len(caught.value.problems) == 51
    assert "reading ends here" in str(caught.value)


def test_templates_that_go_on_and_on_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promptfoo, "Templates", partial(Templates, limit_s=0.5))
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(InputFileError) as caught:
        read(tmp_path, config([endless] * 3, [{"vars": {}}] * 3_000))
    (problem,) = caught.value.problems
    assert "takes too much room, or more than 0.5 s with those before" in problem.message
