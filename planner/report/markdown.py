"""The report as Markdown, for a pull request or a wiki."""

import re

from jinja2 import Environment, PackageLoader, StrictUndefined

from planner.report.blocks import map_text
from planner.report.view import build_view
from planner.schema.plan import Plan

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL = re.compile(r"[\\`*\[\]|#~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LIST_START = re.compile(r"^(?:[-+](?=\s)|(\d+)(?=[.)]\s))")


def render_markdown(plan: Plan) -> str:
    """The report in GitHub's Markdown; the same plan gives the same bytes."""
    environment = Environment(
        loader=PackageLoader("planner.report"),
        autoescape=False,  # noqa: S701 - HTML's rules are not Markdown's: every string is escaped below
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    view = map_text(build_view(plan), escape_markdown)
    return environment.get_template("report.md.j2").render(view=view)


def escape_markdown(text: str) -> str:
    r"""Text that Markdown shows as it stands, in a paragraph or in the cell of a table.

    Example:
        >>> print(escape_markdown("a|b `c` <script> usd_per_month 1_000 *x*"))
        a\|b \`c\` &lt;script&gt; usd_per_month 1_000 \*x\*
    """
    one_line = " ".join(text.split())
    escaped = _SPECIAL.sub(lambda match: "\\" + match.group(), one_line)
    escaped = re.sub(r"[&<>]", lambda match: _ENTITIES[match.group()], escaped)
    return _LIST_START.sub(lambda match: match.group() + "\\" if match.group(1) else "\\" + match.group(), escaped)
