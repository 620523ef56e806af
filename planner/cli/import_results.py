"""`planner import`: result files of other load-test tools as a run."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import CANNOT_BE_TRUSTED, Json, Quiet, Seed


def import_results(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULT...",
            help="Result files with every request, or the folders that the tools wrote; several make one run.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The run directory to write.", show_default=False)],
    model: Annotated[
        str | None, typer.Option("--model", help="That was asked, where the files do not tell.", show_default=False)
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="That served it, as NAME or NAME:VERSION.", show_default=False)
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", help="What it ran on, as NAME or NAME:COUNT.", show_default=False)
    ] = None,
    limits: Annotated[
        str | None, typer.Option("--limits", help="Of the server: max_num_seqs=256,…", show_default=False)
    ] = None,
    emulated: Annotated[
        bool, typer.Option("--emulated", help="The server only kept a profile's timing, as planner emulate does.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    seed: Seed = 0,
) -> None:
    """Make a run of what vllm bench serve, guidellm, aiperf or inference-perf measured.

    They must have saved every request: vllm bench serve --save-result --save-detailed; guidellm's benchmarks.json;
    aiperf's profile_export.jsonl; inference-perf's per_request_lifecycle_metrics.json, by
    report.request_lifecycle.per_request: true. Files that these write beside them are read as well.

    Example: planner import benchmarks.json --accelerator "NVIDIA H100 80GB HBM3" -o run
    """
    from planner.cli.progress import tell
    from planner.report.loads import load_table
    from planner.store.files import shown_path
    from planner.workflows.bench.run_book import bench_json
    from planner.workflows.imports import ImportOptions
    from planner.workflows.imports import import_results as import_files
    from planner.workflows.server_options import parse_accelerator, parse_engine, parse_limits, parse_model

    options = ImportOptions(
        model=parse_model(model),
        engine=parse_engine(engine),
        accelerator=parse_accelerator(accelerator),
        limits=parse_limits(limits),
        is_emulated=emulated,
    )
    imported = import_files(results, out, options)
    typer.echo(
        bench_json(imported.run, imported.directory, is_sweep=True) if json else load_table(imported.points), nl=False
    )
    for told in imported.not_told:
        tell(f"not told by {told}")
    for warning in imported.warnings:
        tell(f"warning: {warning}")
    for doubt in imported.doubts:
        tell(f"not to be trusted: {doubt}")
    if not quiet:
        tell(f"wrote {shown_path(imported.directory)}")
    if imported.doubts:
        raise typer.Exit(CANNOT_BE_TRUSTED)
