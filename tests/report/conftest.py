"""Plans to report on, and a reader of the pages that trusts nothing."""

import functools
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from planner.report.html import render_html
from planner.schema.plan import Plan
from planner.workflows.plan import make_plan

SCENARIOS = Path(__file__).parents[2] / "scenarios"
VOID = {"meta", "img", "br", "source"}


class Page(HTMLParser):
    """A page's tags and tables; fails on tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.headings: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self._table: list[list[str]] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._table = self.tables[str(dict(attrs)["id"])] = []
        if tag == "tr":
            self._table.append([])
        if tag in ("td", "th"):
            self._table[-1].append("")
        if tag == "h2":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self._open):
            self._table[-1][-1] += data
        if "h2" in self._open:
            self.headings[-1] += data


@pytest.fixture
def page() -> Callable[[str], Page]:
    return Page


@pytest.fixture(scope="session")
def plan_of() -> Callable[[str], Plan]:
    """The plan of a shipped scenario, made once."""
    return functools.cache(lambda name: make_plan(SCENARIOS / f"{name}.yaml"))


@pytest.fixture(scope="session")
def html_of(plan_of: Callable[[str], Plan]) -> Callable[[str], str]:
    """The page of a shipped scenario, made once."""
    return functools.cache(lambda name: render_html(plan_of(name)))


HOSTILE = "<script>alert(1)</script> \"onerror='x ]]> & |*_` a\u202eb\u0007 [l](javascript:x)"


@pytest.fixture
def hostile_plan(tmp_path: Path) -> Plan:
    """Names, sources and requirements that try to break out of every format."""
    text = (SCENARIOS / "bursty-campaigns.yaml").read_text(encoding="utf-8")
    escaped = HOSTILE.replace('"', '\\"').replace("\u202e", "\\u202e").replace("\u0007", "\\a")
    for name in ("Shop assistant with campaigns", "rented 2×H100"):
        text = text.replace(f"name: {name}", f'name: "{name} {escaped}"')
    text = text.replace("GPT-5 mini", '"</svg><img src=x onerror=alert(1)>"')
    text = text.replace("https://platform.openai.com/docs/pricing, by genai-prices 0.2.3", f'"{escaped}"')
    path = tmp_path / "hostile.yaml"
    path.write_text(text, encoding="utf-8")
    return make_plan(path)
