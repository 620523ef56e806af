"""The report as Markdown, and the answer for a terminal: the same figures as on the page."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner.report.markdown import escape_markdown, render_markdown
from planner.report.summary import summary
from planner.schema.plan import Plan

PlanOf = Callable[[str], Plan]
HtmlOf = Callable[[str], str]

SHIPPED = sorted(path.stem for path in (Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def tables(markdown: str) -> list[list[list[str]]]:
    """Tables of a text, as rows of cells."""
    found: list[list[list[str]]] = [[]]
    for line in markdown.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


@pytest.mark.parametrize("name", SHIPPED)
def test_markdown_holds_the_tables_of_the_page(name: str, plan_of: PlanOf, html_of: HtmlOf, page: Any) -> None:
    plan = plan_of(name)
    ours = tables(render_markdown(plan))
    theirs = list(page(html_of(name)).tables.values())
    assert len(ours) == len(theirs)
    for table, other in zip(ours, theirs, strict=True):
        head, rule, *rows = table
        assert set("".join(rule)) <= set("-: ")
        assert [len(row) for row in (head, rule, *rows)] == [len(other[0])] * (len(other) + 1)
        for row, cells in zip(rows, other[1:], strict=True):
            plain = [cell.replace("\\", "").replace("&gt;", ">").replace("&lt;", "<") for cell in row]
            assert plain[1:] == [" ".join(cell.split()) for cell in cells[1:]]


def test_hostile_names_stay_text_in_markdown(hostile_plan: Plan) -> None:
    text = render_markdown(hostile_plan)
    assert "<" not in text.replace("&lt;", "")
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "\u202e" not in text
    widths = {len(row) for table in tables(text) for row in table[1:2]}
    assert all(len(row) == len(table[0]) for table in tables(text) for row in table), widths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. first", "1\\. first"),
        ("- item", "\\- item"),
        ("# title", "\\# title"),
        ("a_b", "a_b"),
        ("_a_", "\\_a\\_"),
        ("~~x~~", "\\~\\~x\\~\\~"),
        ("two\nlines", "two lines"),
    ],
)
def test_signs_of_markdown_are_escaped(text: str, expected: str) -> None:
    assert escape_markdown(text) == expected


@pytest.mark.parametrize("name", SHIPPED)
def test_summary_tells_the_verdict_every_option_and_every_warning(name: str, plan_of: PlanOf) -> None:
    plan = plan_of(name)
    text = summary(plan)
    chosen = [line for line in text.splitlines() if line.startswith("* ")]
    assert [line[2:].startswith(str(plan.verdict.option)) for line in chosen] == [True] * (
        plan.verdict.option is not None
    )
    for option in plan.options:
        (line,) = (line for line in text.splitlines() if line[2:].startswith(f"{option.name}  "))
        assert f"${option.monthly_cost_usd.mean:,.0f}" in line or f"${option.monthly_cost_usd.mean:,.2f}" in line
        assert line.endswith("ruled out") == (not option.is_feasible)
    for line in (*plan.verdict.reasons, *plan.verdict.grade_because, *plan.warnings):
        assert f"- {line}\n" in text


def test_summary_is_free_of_control_characters(hostile_plan: Plan) -> None:
    assert not {"\u202e", "\u0007", "\x1b"} & set(summary(hostile_plan))
