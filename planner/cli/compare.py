"""`planner compare`: two runs, metric by metric."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import CANNOT_BE_TRUSTED, Json, Quiet


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory: what was.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another: what is judged.", show_default=False)],
    json: Json = False,
    quiet: Quiet = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the resampling that intervals come from.", min=0)] = 0,
) -> None:
    """Compare two load tests, load by load, with intervals and a verdict for each figure.

    Of two sweeps that found their loads themselves, what they found is compared as well, and loads at the same share of
    each one's saturation. Also reads results of vllm bench serve, guidellm, aiperf and inference-perf.

    Example: planner compare bench-before bench-after
    """
    from planner.cli.progress import tell
    from planner.report.compared import compared_json, compared_table
    from planner.workflows.comparison.compare import compare as compare_runs

    found = compare_runs(first, second, seed)
    typer.echo(compared_json(found) if json else compared_table(found), nl=False)
    for warning in found.warnings:
        tell(f"warning: {warning}")
    for doubt in found.doubts:
        tell(f"not to be trusted: {doubt}")
    if found.doubts:
        raise typer.Exit(CANNOT_BE_TRUSTED)
