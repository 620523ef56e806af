"""The `planner` command: its commands in pipeline order, and what every failure exits with."""

import os
import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer

from planner.cli import bench, compare, demo, emulate, estimate, fit, import_results, plan, report, schema, simulate
from planner.cli.options import INTERRUPTED
from planner.cli.progress import tell
from planner.errors import EnvironmentLackingError, PlannerError

app = typer.Typer(
    name="planner",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("bench")(bench.bench)
app.command("import")(import_results.import_results)
app.command("fit")(fit.fit)
app.command("estimate")(estimate.estimate)
app.command("compare")(compare.compare)
app.command("simulate")(simulate.simulate)
app.command("emulate")(emulate.emulate)
app.command("plan")(plan.plan)
app.command("report")(report.report)
app.command("schema")(schema.schema)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"planner {version('host-or-api')}")
        raise typer.Exit


@app.callback()
def _planner(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Decide with measurements whether to host an open-weight language model or to pay an API by the token."""


def main() -> None:
    """Runs the command line and exits: 0 done, 1 our fault, 2 bad input, 3 environment, 130 interrupted."""
    _open_streams()
    try:
        app()
    except PlannerError as error:
        tell(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.filename is not None:  # no stream, so a fault of ours
            raise
        # Files have their own errors, so this is a stream: a full disk behind a redirection, say.
        tell(f"standard output: cannot be written: {error.strerror or error}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's own flush fails too
        sys.exit(EnvironmentLackingError.exit_code)


def _open_streams() -> None:
    """Streams that are there, whoever closed them, and take every name: also those that are no text in UTF-8."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
