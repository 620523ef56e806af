"""`planner demo`: the whole chain, without a GPU."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import Json, Quiet


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="New folder for everything it writes.")] = Path(
        "planner-demo"
    ),
    json: Json = False,
    quiet: Quiet = False,
    seed: Annotated[int, typer.Option("--seed", help="Of arrivals and lengths.", min=0)] = 0,
) -> None:
    """Run the whole chain on an emulated server.

    Load test, fit, plan and report, in less than a minute, without GPU and network. What it measures is emulated: it
    shows how the planner works, and says nothing about any machine.

    Example: planner demo --out planner-demo
    """
    from json import dumps

    from planner.cli.progress import status, tell
    from planner.report.fits import fit_summary
    from planner.report.summary import summary
    from planner.store.files import shown_path
    from planner.workflows.demo import demonstrate

    with status(quiet) as show:
        done = demonstrate(out, seed, show)
    for doubt in done.doubts:
        tell(f"warning: {doubt}")
    if not quiet:
        tell(f"wrote {shown_path(done.folder)}: run/, profile.json, scenario.yaml, plan.json, report.html")
    if json:
        found = {"out": shown_path(done.folder), "report": shown_path(done.report), "basis": done.profile.basis}
        typer.echo(dumps({**found, "choice": done.plan.verdict.choice, "grade": done.plan.verdict.grade}))
        return
    typer.echo("EMULATED: a server without model or GPU was measured, to show the chain.\n")
    typer.echo(fit_summary(done.profile))
    typer.echo(summary(done.plan), nl=False)
    typer.echo(f"\nThe report: {shown_path(done.report)}")
