"""The HTML report: its order, its links, its figures, and that nothing gets in or out."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from planner.report.html import render_html
from planner.schema.plan import Plan
from planner.workflows.plan import make_plan

PlanOf = Callable[[str], Plan]
HtmlOf = Callable[[str], str]

SHIPPED = sorted(path.stem for path in (Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def number(text: str) -> float:
    """The amount that a cell shows."""
    return float(text.replace("$", "").replace(",", "").replace("−", "-").replace("–", "0"))


@pytest.mark.parametrize("name", SHIPPED)
def test_page_is_whole_and_asks_for_nothing(name: str, html_of: HtmlOf, page: Any) -> None:
    html = html_of(name)
    seen = page(html)
    assert html.startswith("<!doctype html>")
    assert "default-src 'none'" in html
    assert not {"script", "link", "iframe", "object", "form", "base"} & {tag for tag, _ in seen.tags}
    for tag, attributes in seen.tags:
        for key, value in attributes.items():
            assert not key.startswith("on")
            if key in ("src", "srcset"):
                assert str(value).startswith("data:image/svg+xml;base64,"), tag
            if key == "href":
                assert str(value).startswith("#")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_link_leads_somewhere(name: str, html_of: HtmlOf, page: Any) -> None:
    tags = page(html_of(name)).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert len(ids) == len(set(ids))
    assert len(links) > 5
    assert {link[1:] for link in links} <= set(ids)


def test_the_answer_comes_first(html_of: HtmlOf, page: Any) -> None:
    assert page(html_of("bursty-campaigns")).headings == [
        "HYBRID", "What this leaves out", "Warnings", "Requirements before cost", "Options", "Cost against volume",
        "Cash flows", "What would change the answer", "Assumptions", "How to make this report again",
    ]  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_option_figures_are_those_of_the_plan(name: str, plan_of: PlanOf, html_of: HtmlOf, page: Any) -> None:
    plan = plan_of(name)
    head, *rows = page(html_of(name)).tables["options"]
    assert all(len(row) == len(head) for row in rows), "identical columns for every option"
    rows = [row for row in rows if not row[0].startswith("What is paid today")]
    assert len(rows) == len(plan.options)
    for row, option in zip(rows, plan.options, strict=True):
        assert row[0].startswith(option.name)
        assert ("chosen" in row[0]) == (option.name == plan.verdict.option)
        assert row[2].startswith("yes") == option.is_feasible
        assert number(row[5]) == pytest.approx(option.monthly_cost_usd.mean, rel=5e-4)
        assert number(row[6]) == pytest.approx(option.npv_cost_usd.mean, rel=5e-4)
        assert number(row[7]) == pytest.approx(option.cost_per_success_usd.mean * 1000, rel=5e-3)
        assert number(row[8]) == pytest.approx(option.cost_per_mtok_usd, rel=5e-3)


@pytest.mark.parametrize("name", SHIPPED)
def test_cash_flows_add_up_to_the_cent(name: str, plan_of: PlanOf, html_of: HtmlOf, page: Any) -> None:
    plan = plan_of(name)
    tables = page(html_of(name)).tables
    statements = {key: table for key, table in tables.items() if key.startswith("cash-") and "-months" not in key}
    assert len(statements) == len(plan.options)
    for position, option in enumerate(plan.options, 1):
        (table,) = (table for key, table in statements.items() if key.startswith(f"cash-{position}-"))
        *lines, total, present = table[1:]
        for column in range(1, len(total)):
            assert round(sum(number(line[column]) for line in lines), 2) == number(total[column])
        for row in table[1:]:
            assert round(sum(number(cell) for cell in row[1:-1]), 2) == number(row[-1])
        # What is shown is rounded, so that sums may be off by half a cent for each figure in them.
        assert number(present[-1]) == pytest.approx(option.npv_cost_usd.mean, abs=0.005 * len(present))
        nominal = sum(row.total_usd for row in option.cash_flow)
        assert number(total[-1]) == pytest.approx(nominal, abs=0.005 * len(lines) * len(total))
        assert number(total[1]) == pytest.approx(option.cash_flow[0].total_usd, abs=0.005 * len(lines))
        first_year = sum(row.total_usd for row in option.cash_flow if 1 <= row.month <= 12)
        assert number(total[2]) == pytest.approx(first_year, abs=0.005 * len(lines))


@pytest.mark.parametrize("name", SHIPPED)
def test_the_headline_follows_from_the_months(name: str, plan_of: PlanOf, html_of: HtmlOf, page: Any) -> None:
    """As a spreadsheet does it: the months of the page, discounted, are the present value of the answer."""
    plan = plan_of(name)
    tables = page(html_of(name)).tables
    by_month = [table for key, table in tables.items() if key.endswith("-months")]
    assert 1 <= len(by_month) <= 3
    growth = 1 + plan.scenario.discount_rate_fraction_per_year
    present_values = []
    for head, *months, total in by_month:
        assert len(months) == plan.scenario.horizon_months + 1
        for row in (*months, total):
            assert round(sum(number(cell) for cell in row[1:-2]), 2) == number(row[-2])
        for column in range(1, len(head)):
            assert round(sum(number(row[column]) for row in months), 2) == number(total[column])
        present_values.append(sum(number(row[-2]) * growth ** (-int(row[0]) / 12) for row in months))
    expected = [option.npv_cost_usd.mean for option in plan.options]
    for value in present_values:
        assert min(abs(value - each) for each in expected) < 0.02 * plan.scenario.horizon_months


@pytest.mark.parametrize("name", ["steady-high-volume", "toss-up"])
def test_switch_points_are_those_of_the_plan_the_nearest_first(
    name: str, plan_of: PlanOf, html_of: HtmlOf, page: Any
) -> None:
    head, *rows = page(html_of(name)).tables["flips"]
    assert head == ["Input", "The answer would be", "From", "Change", "Now"]
    plan = plan_of(name)
    words = {"api": "API", "host": "HOST", "hybrid": "HYBRID", "abstain": "NOT ENOUGH EVIDENCE"}
    flips = [flip for flip in plan.flips if flip.input == "traffic.requests_per_month"]
    volumes = sorted((flip.flips_at, words[flip.to]) for flip in flips)
    shown = sorted((number(row[2]), row[1]) for row in rows if row[0] == "Requests in month 1")
    assert shown == [(pytest.approx(at, rel=1e-5), to) for at, to in volumes]
    assert len(rows) == len(plan.flips)
    distances = [abs(number(row[3].removesuffix("%"))) for row in rows]
    assert distances == sorted(distances)


def test_every_assumption_is_in_the_register_once(plan_of: PlanOf, html_of: HtmlOf, page: Any) -> None:
    plan = plan_of("steady-high-volume")
    tables = page(html_of("steady-high-volume")).tables
    for basis in ("list", "assumed", "default"):
        rows = tables[f"basis-{basis}"][1:]
        assert [row[0] for row in rows] == [row.id for row in plan.assumptions if row.basis == basis]
        assert {row[2] for row in rows} == {basis}, "what is assumed never stands beside what is published"
    assert sum(len(tables[key]) - 1 for key in tables if key.startswith("basis-")) == len(plan.assumptions)


def test_a_probability_is_shown_only_where_doubt_is_stated(plan_of: PlanOf, html_of: HtmlOf, page: Any) -> None:
    plan = plan_of("steady-high-volume")
    assert "Probability of being cheapest" not in page(html_of("steady-high-volume")).text
    options = [
        option.model_copy(
            update={"npv_cost_usd": option.npv_cost_usd.model_copy(update={"p10": 0.8 * option.npv_cost_usd.mean})}
        )
        for option in plan.options
    ]
    verdict = plan.verdict.model_copy(update={"probability_best": 0.87})
    doubtful = page(render_html(plan.model_copy(update={"options": options, "verdict": verdict})))
    assert "Probability of being cheapest87%" in doubtful.text.replace("\n", "")
    assert "Doubt" in doubtful.headings
    assert "doubt" in doubtful.tables


def test_hostile_names_stay_text(hostile_plan: Plan, page: Any) -> None:
    html = render_html(hostile_plan)
    seen = page(html)
    assert "<script>alert(1)</script>" in seen.text, "shown as it was written"
    assert "\u202e" not in html
    assert "\u0007" not in html
    assert [tag for tag, _ in seen.tags].count("img") == 1
    assert "script" not in {tag for tag, _ in seen.tags}
    for svg in re.findall(r"base64,([A-Za-z0-9+/=]+)", html):
        picture = ElementTree.fromstring(base64.b64decode(svg))  # noqa: S314 - our own
        kinds = {element.tag.rpartition("}")[2] for element in picture.iter()}
        assert not kinds & {"script", "foreignObject", "image", "a"}
        assert not [key for element in picture.iter() for key in element.attrib if key.startswith("on")]
        assert any("</svg><img" in (element.text or "") for element in picture.iter())


def test_the_chart_shows_every_option_and_where_you_are(plan_of: PlanOf, html_of: HtmlOf, page: Any) -> None:
    plan = plan_of("bursty-campaigns")
    pictures = re.findall(r"base64,([A-Za-z0-9+/=]+)", html_of("bursty-campaigns"))
    assert len(pictures) == 2, "one for wide pages and one for narrow"
    for picture in pictures:
        texts = {element.text for element in ElementTree.fromstring(base64.b64decode(picture)).iter()}  # noqa: S314
        assert {option.name for option in plan.options} <= texts
        assert "you are here: 60.0 million/month" in texts
        assert "requests per month" in texts


def test_the_same_plan_gives_the_same_bytes(plan_of: PlanOf, html_of: HtmlOf) -> None:
    assert render_html(plan_of("toss-up")) == html_of("toss-up")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("requests_per_month: 45000000", "requests_per_month: 0"), "undefined"),
        (("currency: USD", "currency: EUR"), "EUR 31,088"),
        (("horizon_months: 36", "horizon_months: 1"), "Year 1"),
        (("requests_per_month: 45000000", "requests_per_month: 1"), "1 requests/month"),
    ],
)  # fmt: skip
def test_edges_are_told_in_words(
    tmp_path: Path, repository: Path, page: Any, change: tuple[str, str], expected: str
) -> None:
    text = (repository / "scenarios" / "steady-high-volume.yaml").read_text(encoding="utf-8")
    path = tmp_path / "s.yaml"
    path.write_text(text.replace(*change), encoding="utf-8")
    seen = page(render_html(make_plan(path)))
    assert expected in seen.text
    assert "nan" not in seen.text.lower().replace("finance", "").split()
    assert "inf" not in seen.text.split()


@pytest.mark.parametrize("keep", ["hosting", "api"])
def test_one_side_alone_is_a_report_too(tmp_path: Path, repository: Path, page: Any, keep: str) -> None:
    text = (repository / "scenarios" / "steady-high-volume.yaml").read_text(encoding="utf-8")
    before, hosting_and_after = text.split("hosting:\n")
    hosting, api_and_after = hosting_and_after.split("api:\n")
    api = api_and_after.split("current:")[0]
    path = tmp_path / "s.yaml"
    path.write_text(before + (f"hosting:\n{hosting}" if keep == "hosting" else f"api:\n{api}"), encoding="utf-8")
    seen = page(render_html(make_plan(path)))
    assert seen.headings[0] == ("HOST" if keep == "hosting" else "API")
    assert f"Not compared, since the scenario has no {'API' if keep == 'hosting' else 'hosting'}." in seen.text
    assert "img" not in {tag for tag, _ in seen.tags}
