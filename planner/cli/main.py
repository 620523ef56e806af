"""The `planner` command: its commands in pipeline order, and what every failure exits with."""

import sys
from io import TextIOWrapper

import typer

from planner.cli import plan, report, schema
from planner.errors import PlannerError

INTERRUPTED = 130

app = typer.Typer(
    name="planner",
    help="Decide with measurements whether to host an open-weight language model or to pay an API by the token.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("plan")(plan.plan)
app.command("report")(report.report)
app.command("schema")(schema.schema)


def main() -> None:
    """Runs the command line and exits: 0 done, 1 our fault, 2 bad input, 3 environment, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # names and signs that a Windows code page lacks
    try:
        app()
    except PlannerError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
