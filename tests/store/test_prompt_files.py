"""Prompts of the user's own, in the forms that people have them in."""

import json
from pathlib import Path

import pytest

from planner.errors import InputFileError
from planner.store.prompt_files import OwnPrompt, read_prompts


def asked(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def read(folder: Path, name: str, text: str) -> tuple[OwnPrompt, ...]:
    (folder / name).write_text(text)
    return read_prompts(folder / name)


def test_json_lines_of_texts_messages_and_batch_requests(tmp_path: Path) -> None:
    system = {"role": "system", "content": "short"}
    lines = [
        {"prompt": "one"},
        {"question": "two", "system": "short", "output_tokens": 7},
        {"messages": [system, asked("three")], "max_tokens": 9},
        {"custom_id": "a", "method": "POST", "body": {"model": "x", "messages": [asked("four")]}},
    ]
    found = read(tmp_path, "p.jsonl", "\n\n".join(map(json.dumps, lines)))
    assert found == (
        OwnPrompt((asked("one"),)),
        OwnPrompt((system, asked("two")), 7),
        OwnPrompt((system, asked("three")), 9),
        OwnPrompt((asked("four"),)),
    )
    assert found[2].text == "short\n\nthree"


def test_csv_with_quotes_line_breaks_and_limits(tmp_path: Path) -> None:
    text = 'id,Prompt,output_tokens,system\n1,"a, b\nc",5,\n\n2,d,,be brief\n'
    assert read(tmp_path, "p.csv", text) == (
        OwnPrompt((asked("a, b\nc"),), 5),
        OwnPrompt(({"role": "system", "content": "be brief"}, asked("d"))),
    )


def test_promptfoo_gives_every_prompt_with_every_test(tmp_path: Path) -> None:
    text = """
prompts:
  - "{{greeting}} {{name}}"
  - '[{"role": "system", "content": "{{greeting}}"}, {"role": "user", "content": "{{name}}"}]'
defaultTest: {vars: {greeting: hello}}
tests:
  - vars: {name: Ann}
  - vars: {name: Bob, greeting: bye}
    assert: [{type: contains, value: Bob}]
providers: [openai:gpt-5]
"""
    found = read(tmp_path, "p.yaml", text)
    assert [prompt.text for prompt in found] == ["hello Ann", "bye Bob", "hello\n\nAnn", "bye\n\nBob"]
    assert [message["role"] for message in found[2].messages] == ["system", "user"]


def test_something_said_before_goes_into_the_first_message(tmp_path: Path) -> None:
    parts = OwnPrompt(({"role": "user", "content": [{"type": "text", "text": "b"}]},))
    assert parts.after("a")[0]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert OwnPrompt((asked("b"),)).after("") == [asked("b")]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": }\n[]\n{"prompt": ""}', (":2: is not JSON", ":3: needs", ":4: needs")),
        ("p.jsonl", '{"prompt": "a", "max_tokens": 0}', ("output_tokens must be a whole number",)),
        ("p.jsonl", '{"messages": [{"role": "user"}]}', ("each with role and content",)),
        ("p.jsonl", "", ("holds no prompts",)),
        ("p.jsonl", '{"prompt": "a \\ud800"}', (":1: holds half of a character",)),
        ("p.jsonl", '{"messages": [{"role": "user", "content": ["a"]}]}', ("each with role and content",)),
        ("p.csv", "a,b\n1,2\n", ("needs a column prompt",)),
        ("p.csv", "prompt\na,b\n", (":2: has 2 fields; allowed: 1",)),
        ("p.csv", 'prompt\n"a\n', ("is not CSV",)),
        ("p.yaml", "prompts: [a]\n", ("tests: must be a list",)),
        ("p.yaml", 'prompts: ["file://x.txt", "{{a"]\ntests: [{vars: {a: 1}}]\n', ("other files", "is no template")),
        ("p.yaml", 'prompts: ["{{ 1/0 }}"]\ntests: [{vars: {}}]\n', ("is no template for tests[0]",)),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, name: str, text: str, told: tuple[str, ...]) -> None:
    with pytest.raises(InputFileError) as caught:
        read(tmp_path, name, text)
    assert all(part in str(caught.value) for part in told), str(caught.value)


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_bytes(b'{"prompt": "a"}\n\xff\n')
    with pytest.raises(InputFileError, match=":2: is not UTF-8"):
        read_prompts(tmp_path / "p.jsonl")
