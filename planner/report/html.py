"""The report as one self-contained HTML page."""

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from planner.report.charts import NARROW, WIDE, Size, volume_chart
from planner.report.view import build_view
from planner.schema.plan import Plan


def render_html(plan: Plan) -> str:
    """A page without scripts or anything to load; the same plan gives the same bytes."""
    environment = Environment(
        loader=PackageLoader("planner.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(view=build_view(plan), chart_wide=_picture(plan, WIDE), chart_narrow=_picture(plan, NARROW))


def _picture(plan: Plan, size: Size) -> str:
    """The chart as a data URI: an image runs no markup, whatever the names in it hold."""
    svg = volume_chart(plan, size)
    if svg is None:
        return ""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")
