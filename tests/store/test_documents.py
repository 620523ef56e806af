"""YAML and JSON: places of fields, every mistake of the syntax, and no traceback for any bytes."""

import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputFileError
from planner.store.documents import load_document


def refused(path: Path, content: str | bytes) -> list[str]:
    """Problems of a file as `line:column field: message`."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        problems = load_document(path).problems
    except InputFileError as error:
        problems = error.problems
    assert problems
    return [f"{p.line}:{p.column} {p.field}: {p.message}" for p in problems]


def test_values_keep_their_types(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: 1e3\nc: yes\nd: 2026-11-24\ne: 010\nf: 'x'\ng: true\nh:\ni: [1, {j: .5}]\nk: 12:30:45\n")
    assert load_document(path).data == {
        "a": 1, "b": 1000.0, "c": "yes", "d": datetime.date(2026, 11, 24), "e": 10, "f": "x", "g": True, "h": None,
        "i": [1, {"j": 0.5}], "k": "12:30:45",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_places_are_those_of_the_keys(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"a": 1,\n  "b": [{"c": 2},\n    {"c": 3}]}')
    document = load_document(path)
    assert document.place(("a",)) == (1, 2)
    assert document.place(("b", 1)) == (3, 5)
    assert document.place(("b", 1, "c")) == (3, 6)
    assert document.place(("b", 1, "gone", "deeper")) == (3, 5), "what is missing is told where its parent stands"


def test_json_and_yaml_are_the_same_document(tmp_path: Path) -> None:
    data = {"a": [1, 2.5, "ü", None, True], "b": {"c": -3e-7}}
    for name in ("x.json", "x.yaml"):
        path = tmp_path / name
        path.write_text(json.dumps(data), encoding="utf-8")
        assert load_document(path).data == data


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.yaml", "", "must be a mapping"),
        ("a.yaml", "- 1\n", "it is a list"),
        ("a.json", "3", "it is a value"),
        ("a.yaml", "a: [1\n", "2:1 : is not YAML: expected ',' or ']'"),
        ("a.yaml", "a: b: c\n", "1:5 : is not YAML"),
        ("a.yaml", "\tx: 1", "cannot start any token"),
        ("a.yaml", "a: 1\n---\nb: 2\n", "2:1 : is not YAML: but found another document"),
        ("a.json", '{"a": 1 2}', "1:9 : is not JSON"),
        ("a.yaml", b"a: 1\nb: \xff\n", "2:4 : is not UTF-8"),
        ("a.yaml", "a: 2026-13-45\n", "1:4 a: no day; allowed: YYYY-MM-DD; given: 2026-13-45"),
        ("a.yaml", "a: !!python/object:os.system 1\n", "tags are not allowed"),
        ("a.yaml", "<<: {a: 1}\n", "1:1 <<: merge keys are not allowed"),
        ("a.yaml", "1: 2\n", "keys must be plain names"),
        ("a.yaml", "a: " + "[" * 60 + "]" * 60, "more than 40 levels deep"),
        ("a.yaml", "[" * 5000, "nested too deeply"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", '{"a": ' * 60 + "1" + "}" * 60, "more than 40 levels deep"),
        ("a.json", '{"a": ' + "9" * 5000 + "}", "is not JSON"),
        ("a.yaml", "a: " + "9" * 5000, "1:4 a: cannot be read"),
        ("a.yaml", "#" * (2**20 + 1), "is larger than 1,048,576 bytes"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, content: str | bytes, expected: str) -> None:
    assert expected in "\n".join(refused(tmp_path / name, content))


@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_every_key_that_stands_twice_is_told(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path / name, '{"a": 1,\n "b": {"c": 1, "c": 2},\n "a": 3}') == [
        "2:16 b.c: stands twice; the first is in line 2",
        "3:2 a: stands twice; the first is in line 1",
    ]


def test_aliases_are_refused_before_they_unfold(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi"))  # noqa: B905
    assert any("anchors and aliases" in line for line in refused(tmp_path / "a.yaml", bomb))


def test_what_is_readable_is_read_beside_the_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 2026-02-30\nb: 2\nb: 3\nc: &x 4\nd: {<<: {e: 5}, f: 6}\n")
    document = load_document(path)
    assert document.data == {"a": None, "b": 2, "c": None, "d": {"f": 6}}
    assert [(p.line, p.field) for p in document.problems] == [(1, "a"), (3, "b"), (4, "c"), (5, "d.<<")]
    assert document.unread == {"a", "c"}, "the model has nothing to say of these"


def test_large_json_is_told_by_field_without_a_search_for_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    filler = ", ".join(f'"k{number}": {number}' for number in range(100_000))
    path.write_text(f'{{"a": {{"b": 1}}, {filler}}}')
    assert load_document(path).place(("a", "b")) == (0, 0)
    path.write_text(f'{{"a": {{"b": 1, "b": 2}}, {filler}}}')
    assert refused(path, path.read_bytes()) == ["0:0 b: stands twice in one mapping"]


def test_file_names_that_are_no_text_are_told_all_the_same() -> None:
    with pytest.raises(InputFileError, match=r"a\\xff\.yaml: no such file"):
        load_document(Path("a\udcff.yaml"))


@pytest.mark.parametrize(("name", "expected"), [("gone.yaml", "no such file"), ("", "is a folder")])
def test_files_that_are_not_there(tmp_path: Path, name: str, expected: str) -> None:
    with pytest.raises(InputFileError, match=expected) as caught:
        load_document(tmp_path / name)
    assert caught.value.problems[0].file == str(tmp_path / name)


yaml_like = st.text(alphabet="ab:-[]{}&*!<>|'\"#%@`?, \n\t1.e~\\\0\u2028é", max_size=60)


@given(content=st.one_of(st.binary(max_size=60), yaml_like.map(str.encode)))
def test_no_bytes_lead_to_a_traceback(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name in ("any.yaml", "any.json"):
        (folder / name).write_bytes(content)
        try:
            data = load_document(folder / name).data
        except InputFileError:
            continue
        assert isinstance(data, dict)
