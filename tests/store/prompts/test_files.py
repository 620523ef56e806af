"""Prompts of the user's own, in the forms that people have them in."""

import csv
import json
from pathlib import Path

import pytest

from planner.errors import InputFileError
from planner.store.prompts.files import read_prompts
from planner.store.prompts.own_prompt import OwnPrompt


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


def test_calls_of_tools_and_their_answers_are_messages_as_openai_has_them(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": '{"zone": "CET"}'}}
    messages = [
        asked("how late is it"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
        {"role": "assistant", "tool_calls": [{"id": "c2", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "noon"}]},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    (found,) = read(tmp_path, "p.jsonl", json.dumps({"messages": messages}))
    assert list(found.messages) == messages
    assert found.text == 'how late is it\n\nnow {"zone": "CET"}\n\nf x\n\nnoon\n\nnow {"zone": "CET"}'
    assert not found.is_plain
    assert found.after("before")[0]["content"] == "before\n\nhow late is it"
    assert OwnPrompt(tuple(messages[1:2])).after("before")[0]["content"] == "before"


def test_prompts_know_their_line_and_whether_they_are_nothing_but_text(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    lines = [{"prompt": "a"}, {"messages": [{"role": "user", "content": [{"type": "text", "text": "b"}, image]}]}]
    found = read(tmp_path, "p.jsonl", json.dumps(lines[0]) + "\n\n" + json.dumps(lines[1]))
    assert [(prompt.line, prompt.is_plain) for prompt in found] == [(1, True), (3, False)]
    found = read(tmp_path, "p.csv", 'prompt\n"a\nb"\nc\n')
    assert [prompt.line for prompt in found] == [2, 4]


def test_large_cells_of_csv_are_read_and_leave_the_limit_of_others_as_it_was(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    large = "word " * 40_000
    assert read(tmp_path, "p.csv", f"prompt\n{large}\n")[0].text == large
    assert csv.field_size_limit() == before
    with pytest.raises(InputFileError):
        read(tmp_path, "p.csv", f'prompt\n{large}\n"open\n')
    assert csv.field_size_limit() == before


def test_something_said_before_goes_into_the_first_message(tmp_path: Path) -> None:
    parts = OwnPrompt(({"role": "user", "content": [{"type": "text", "text": "b"}]},))
    assert parts.after("a")[0]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert OwnPrompt((asked("b"),)).after("") == [asked("b")]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": }\n[]\n{"prompt": ""}', (":2: is not JSON", ":3: needs", ":4: needs")),
        ("p.jsonl", '{"prompt": "a", "max_tokens": 0}', ("output_tokens must be a whole number",)),
        ("p.jsonl", '{"messages": [{"role": "user"}]}', ("messages[0]: needs content",)),
        ("p.jsonl", '{"messages": [{"role": "user", "content": [{"type": "text"}]}]}', ("content must be a text",)),
        ("p.jsonl", '{"messages": []}', ("each with role and content",)),
        ("p.jsonl", '{"messages": [{"role": "user", "content": ""}]}', (":1: messages say nothing",)),
        (
            "p.jsonl",
            '{"messages": [{"role": "assistant", "content": null}]}',
            ("with tool_calls may be null",),
        ),
        ("p.jsonl", '{"messages": [{"role": "tool", "content": "4"}]}', ("needs tool_call_id",)),
        ("p.jsonl", '{"messages": [{"role": "user", "content": "a", "tool_calls": []}]}', ("of an assistant",)),
        ("p.jsonl", '{"messages": [{"role": "assistant", "tool_calls": [{"id": 1}]}]}', ("each with a function",)),
        ("p.jsonl", "", ("holds no prompts",)),
        ("p.jsonl", '{"prompt": "a \\ud800"}', (":1: holds half of a character",)),
        ("p.jsonl", '{"messages": [{"role": "user", "content": ["a"]}]}', ("messages[0]: content must be",)),
        ("p.csv", "a,b\n1,2\n", ("needs a column prompt",)),
        ("p.csv", "prompt\na,b\n", (":2: has 2 fields; allowed: 1",)),
        ("p.csv", 'prompt\n"a\n', (":2: is not CSV",)),
        ("p.csv", '"prompt\n', (":1: is not CSV",)),
        (
            "p.csv",
            'prompt,output_tokens\nhello,abc\nworld,0\n"open,5\n',
            (":2: output_tokens", "given: abc", ":3: output_tokens", ":4: is not CSV: unexpected end"),
        ),
        ("p.csv", "prompt,Prompt\na,b\nc,d,e\n", (":1: has columns twice: prompt", ":3: has 3 fields")),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": "b", "temperature": NaN}\n', (":2: is not JSON: NaN",)),
        ("p.jsonl", '{"prompt": "a", "x": -Infinity}', (":1: is not JSON: -Infinity",)),
        (
            "p.jsonl",
            '{"messages": [{"role": "user", "content": "a", "x": 1e999}]}',
            (":1: holds a number that JSON has no word for",),
        ),
        ("p.yaml", "", ("must be a configuration of promptfoo", "it is empty")),
        ("p.json", '["a", {"prompt": "b"}]', ("must be a configuration of promptfoo", "(.jsonl)", "it is a list")),
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
