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

    from planner.cli.progress import progress, tell
    from planner.report.summary import summary
    from planner.store.files import refuse_to_overwrite, shown_path, write_text
    from planner.workflows.report import make_report

    destination = Path(f"{source.stem.removesuffix('.plan')}.report.{format_}") if out is None else out
    refuse_to_overwrite(source, destination)
    with progress("planning", quiet) as show:
        result, text = make_report(source, format_, show)
    write_text(destination, text)
    if not quiet:
        tell(f"wrote {shown_path(destination)}")
    if json:
        typer.echo(dumps({"report": shown_path(destination), "format": format_, "choice": result.verdict.choice}))
    else:
        typer.echo(summary(result), nl=False)
