"""Which GPUs are looked at during a load test: those that the server runs on, as far as anybody can tell."""

from collections.abc import Mapping

from planner.engines.gpus import Gpu, GpusUnknownError, chosen, gpus, nvml
from planner.engines.own_address import is_this_machine
from planner.errors import EnvironmentLackingError, UsageError

NONE = "none"
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def refuse_no_list(text: str | None) -> None:
    """Raises where `--gpus` is no list of GPUs.

    Raises:
        UsageError: it is not.
    """
    names = [] if text is None else [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) != len(names) or (NONE in names and len(names) > 1):
        raise UsageError(f"--gpus: must be numbers or UUIDs of GPUs with commas between, or {NONE}; given: {text}")


def gpus_to_watch(asked: str | None, url: str | None, environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The GPUs.

    Without a list, those of CUDA_VISIBLE_DEVICES, or all, where the server is on this machine; none where it is not,
    or there is no driver: GPUs of another machine tell nothing.

    Args:
        asked: `--gpus`; None where it is not given.
        url: of the server; None where it is started here.
        environment: of this process, and of a server that it starts.

    Raises:
        EnvironmentLackingError: those that are asked for are not there.
    """
    if asked == NONE or (asked is None and url is not None and not is_this_machine(url)):
        return ()
    try:
        with nvml():
            there = gpus()
    except GpusUnknownError as error:
        if asked is not None:
            raise EnvironmentLackingError(f"--gpus {asked}: {error}; {NONE} does without") from error
        return ()
    found = chosen(there, environment.get(_VISIBLE) if asked is None else asked)
    if asked is not None and len(found) < len(asked.split(",")):
        names = ", ".join(f"{gpu.index} ({gpu.name}, {gpu.uuid})" for gpu in there) or "none"
        raise EnvironmentLackingError(f"--gpus {asked}: not all of them are there; there are: {names}")
    return tuple(found)
