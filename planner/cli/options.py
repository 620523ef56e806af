"""Options that every command has."""

from typing import Annotated

import typer

CANNOT_BE_TRUSTED, INTERRUPTED = 4, 130
"""Exit codes that are no error's: what was measured is printed and kept."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")]
Seed = Annotated[int, typer.Option("--seed", help="Makes random work repeatable; this command does none.")]


def given_options(ctx: typer.Context) -> frozenset[str]:
    """The names of the parameters that the command line gives, those among them that say what is the default."""
    return frozenset(
        name for name in ctx.params if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"
    )
