"""Configurations of promptfoo: what it would send, without running anything."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from planner.errors import InputFileError
from planner.store import promptfoo
from planner.store.prompt_files import read_prompts
from planner.store.prompts import OwnPrompt
from planner.store.templates import Templates


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
    text = 'prompts: ["{{a}} {{t}} {{n}} {{d}}|"]\ntests: [{vars: {a: "to {{b}}", b: be, t: true, n: ~, d: {k: 1}}}]\n'
    assert texts(read(tmp_path, text)) == ['to be true  {"k": 1}|']


def test_text_that_begins_as_json_does_is_still_text(tmp_path: Path) -> None:
    text = """prompts: ["[INST] {{q}} [/INST]", '["a", "{{q}}"]', "ask {{q}}.txt"]\ntests: [{vars: {q: x}}]\n"""
    assert texts(read(tmp_path, text)) == ["[INST] x [/INST]", '["a", "x"]', "ask x.txt"]


def config(prompts: Any = ("a",), tests: Any = ({"vars": {}},), **more: Any) -> str:
    return json.dumps({"prompts": prompts, "tests": tests, **more})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prompts: [a]\n", ("tests: must be a list",)),
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
        (config(tests="open.csv"), ("is not CSV",)),
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
