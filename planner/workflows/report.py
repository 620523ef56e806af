"""From a scenario or a plan to a report."""

from collections.abc import Callable
from pathlib import Path

from planner.errors import UsageError
from planner.schema.plan import Plan
from planner.store.documents import load_document
from planner.store.plans import read_plan
from planner.store.tables import Progress
from planner.workflows.plan import make_plan

FORMATS = ("html", "md")


def make_report(path: Path, format_: str, progress: Progress = lambda _: None) -> tuple[Plan, str]:
    """The plan of a scenario or plan file, and its report as text.

    Args:
        path: a scenario, or a plan that `planner plan` wrote.
        format_: `html` or `md`.
        progress: told the fraction done while it lasts, from 0 to 1.

    Raises:
        InputFileError: every mistake of the file.
        UsageError: there is no such format.
    """
    if format_ not in FORMATS:
        raise UsageError(f"--format {format_}: not in this version; allowed: {', '.join(FORMATS)}")
    plan = plan_of(path, progress)
    return plan, _renderer(format_)(plan)


def plan_of(path: Path, progress: Progress = lambda _: None) -> Plan:
    """The plan that a file holds, or that its scenario leads to."""
    kind = str(load_document(path).data.get("schema", ""))
    return read_plan(path) if kind.startswith("planner.plan/") else make_plan(path, progress)


def _renderer(format_: str) -> Callable[[Plan], str]:
    # Imported here, since each pulls in a template engine or a chart renderer that the other does without.
    if format_ == "html":
        from planner.report.html import render_html  # noqa: PLC0415

        return render_html
    from planner.report.markdown import render_markdown  # noqa: PLC0415

    return render_markdown
