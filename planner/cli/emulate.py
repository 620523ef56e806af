"""`planner emulate`: a server with a profile's timing."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import Json, Quiet


def emulate(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="A planner.profile file.", show_default=False)],
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0 takes a free one.")] = 8000,
    record: Annotated[
        Path | None, typer.Option("--record", help="Write a JSON line about every request: what was sent, and when.")
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option("--adapter", metavar="NAME", help="A further name that it serves, as of a LoRA adapter."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    seed: Annotated[
        int, typer.Option("--seed", help="Of the words in the answers; their timing has no chance in it.")
    ] = 0,
) -> None:
    """Serve a profile's timing, without model or GPU.

    An OpenAI-compatible server (/v1/chat/completions, /v1/completions, /v1/models, /tokenize, /health, /metrics)
    whose steps take as long as the profile says, under any load. A token is a word, answers are words without
    meaning, and always as long as max_tokens asks for. Prints its URL once it is ready; ends with Ctrl-C.

    Example: planner emulate profile.json --port 8000
    """
    from json import dumps

    from planner.cli.progress import tell
    from planner.store.files import shown_path
    from planner.workflows.emulate import emulate as run

    def announce(url: str, model: str) -> None:
        if not quiet:
            tell(f"emulated: no model, only the step timing of {shown_path(profile)}; Ctrl-C ends it")
        typer.echo(dumps({"url": url, "model": model, "basis": "emulated"}) if json else url)

    def end(lateness: str) -> None:
        if not quiet:
            tell(lateness)

    run(profile, host, port, seed, record, announce, end, tell, adapters=adapter or ())
