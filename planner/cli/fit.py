"""`planner fit`: from load points to a service profile."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import Json, Quiet, Seed


def fit(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Run directories of planner bench or import, or results of vllm bench serve, guidellm, aiperf, "
            "inference-perf.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to write the profile.", show_default=False)],
    name: Annotated[
        str | None, typer.Option("--name", help="Of the profile [default: model on accelerator].", show_default=False)
    ] = None,
    limits: Annotated[
        str | None,
        typer.Option("--limits", help="What the runs do not tell: max_num_seqs=256,…", show_default=False),
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", help="What it ran on, as NAME or NAME:COUNT.", show_default=False)
    ] = None,
    hold_out: Annotated[int, typer.Option("--hold-out", help="Load points kept out to test the fit on.", min=1)] = 2,
    json: Json = False,
    quiet: Quiet = False,
    seed: Seed = 0,
) -> None:
    """Fit a service profile, and test it on load points kept out.

    Needs six load points to fit on, and two more: a sweep of planner bench has them.

    Example: planner fit bench-llama-20261124-101500 -o llama-h100.json
    """
    from planner.cli.progress import tell
    from planner.report.fits import fit_summary
    from planner.store.files import refuse_to_overwrite, shown_path, write_text
    from planner.store.profiles import profile_json
    from planner.workflows.fit import FitOptions, fit_profile
    from planner.workflows.server_options import parse_accelerator, parse_limits

    for run in runs:
        for file in (run, *run.glob("*.json*")):
            refuse_to_overwrite(file, out)
    options = FitOptions(
        name=name,
        limits=parse_limits(limits),
        accelerator=parse_accelerator(accelerator),
        held_out=hold_out,
    )
    fitted = fit_profile(runs, options)
    text = profile_json(fitted.profile)
    write_text(out, text)
    if not quiet:
        tell(f"wrote {shown_path(out)}")
    for warning in fitted.warnings:
        tell(f"warning: {warning}")
    typer.echo(text if json else fit_summary(fitted.profile), nl=False)
