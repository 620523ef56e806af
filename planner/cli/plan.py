"""`planner plan`: the decision."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import Json, Quiet, Seed


def plan(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="A planner.scenario file.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where to write the plan [default: SCENARIO.plan.json].")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    seed: Seed = 0,
) -> None:
    """Decide between host, API and hybrid.

    Writes SCENARIO.plan.json into the working folder. With --json, prints the plan and writes it only where
    -o says.

    Example: planner plan scenarios/steady-high-volume.yaml
    """
    from planner.cli.progress import progress, tell
    from planner.report.summary import summary
    from planner.store.files import refuse_to_overwrite, shown_path, write_text
    from planner.store.plans import plan_json
    from planner.workflows.plan import make_plan

    destination = out if json or out is not None else Path(f"{scenario.stem}.plan.json")
    if destination is not None:
        refuse_to_overwrite(scenario, destination)
    with progress("planning", quiet) as show:
        result = make_plan(scenario, show)
    text = plan_json(result)
    if destination is not None:
        write_text(destination, text)
        if not quiet:
            tell(f"wrote {shown_path(destination)}")
    typer.echo(text if json else summary(result), nl=False)
