"""From a profile to a server that keeps its timing."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from planner.engines.emulator.server import OnReady, serve
from planner.engines.loop import fastest_loop
from planner.errors import UsageError
from planner.store.files import refuse_to_overwrite
from planner.store.lines import writing_lines
from planner.store.profiles import read_profile
from planner.workflows.evidence import unmeasured

_LAST_PORT = 65535


def emulate(
    path: Path,
    host: str,
    port: int,
    seed: int,
    record: Path | None,
    on_ready: OnReady,
    on_end: Callable[[str], None],
    warn: Callable[[str], None],
    *,
    adapters: Sequence[str] = (),
) -> None:
    """Serves a profile until the process is interrupted or told to terminate.

    Args:
        path: the profile.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        seed: of the words in the answers.
        record: where a line about every request goes.
        on_ready: told the URL and the model's name.
        on_end: told how well times were kept.
        warn: told where they cannot be kept, and of a profile that is only estimated.
        adapters: further names that the model is served by.

    Raises:
        InputFileError: every mistake of the profile.
        UsageError: there is no such port.
        EnvironmentLackingError: the address cannot be listened on, or the record not be written.
    """
    if not 0 <= port <= _LAST_PORT:
        raise UsageError(f"--port {port}: must be from 0 to {_LAST_PORT}")
    profile = read_profile(path)

    def ready(url: str, model: str) -> None:
        on_ready(url, model)
        if profile.basis == "estimated":
            warn(f"the profile is {unmeasured(profile)}")

    with contextlib.ExitStack() as stack:
        write = None
        if record is not None:
            refuse_to_overwrite(path, record, "--record")
            write = stack.enter_context(writing_lines(record))
        runner = stack.enter_context(asyncio.Runner(loop_factory=fastest_loop()))
        work = serve(
            profile,
            host,
            port,
            seed=seed,
            record=write,
            on_ready=ready,
            on_end=on_end,
            warn=warn,
            adapters=adapters,
        )
        runner.run(work)
