"""`planner report`: the report."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import Json, Quiet, Seed


def report(
    source: Annotated[
        Path,
        typer.Argument(metavar="SCENARIO|PLAN", help="A planner.scenario or planner.plan file.", show_default=False),
    ],
    format_: Annotated[str, typer.Option("--format", help="html or md.")] = "html",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where to write the report [default: NAME.report.FORMAT].")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    seed: Seed = 0,
) -> None:
    """Write the buy-vs-rent report.

    One file, which needs no network; from a scenario, or from a plan that `planner plan` wrote.

    Example: planner report scenarios/steady-high-volume.yaml
    """
    from json import dumps

    from planner.cli.progress import progress
    from planner.report.summary import summary
    from planner.store.files import write_text
    from planner.workflows.report import make_report

    with progress("planning", quiet) as show:
        result, text = make_report(source, format_, show)
    destination = out or Path(f"{source.stem.removesuffix('.plan')}.report.{format_}")
    write_text(destination, text)
    if json:
        typer.echo(dumps({"report": str(destination), "format": format_, "choice": result.verdict.choice}))
        return
    typer.echo(summary(result), nl=False)
    if not quiet:
        typer.echo(f"wrote {destination}", err=True)
