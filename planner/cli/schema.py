"""`planner schema`: JSON Schema of a file kind, and a check of a file against it."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import Json, Quiet, Seed


def schema(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="scenario, plan, profile, prices, run or workload.", show_default=False),
    ],
    check: Annotated[
        Path | None, typer.Option("--check", help="Check this file in place of printing the schema.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    seed: Seed = 0,
) -> None:
    """Print a file kind's JSON Schema.

    With --check, checks a file of that kind and names every mistake in it.

    Example: planner schema scenario --check scenarios/air-gapped.yaml
    """
    from json import dumps

    from planner.store.files import shown_path
    from planner.workflows.kinds import check_file, json_schema

    if check is None:
        typer.echo(dumps(json_schema(kind), indent=2))
        return
    check_file(kind, check)
    file = shown_path(check)
    typer.echo(dumps({"file": file, "kind": kind, "is_valid": True}) if json else f"{file}: no mistakes")
