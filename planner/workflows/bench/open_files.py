"""How many connections this process may have open."""

import sys

from planner.errors import EnvironmentLackingError

OTHERS = 64
"""Files that a load test has open beside its connections."""


def allow_open_files() -> float:
    """Raises the limit of open files as far as the system lets us; what it then is [files], or infinity.

    A soft limit of 1,024 is usual, the hard one a thousand times that.
    """
    if sys.platform == "win32":
        return float("inf")
    import resource  # noqa: PLC0415 - there is none on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # macOS tells a hard limit that it does not grant
            return float(soft)
    return float("inf") if hard == resource.RLIM_INFINITY else float(hard)


def refuse_too_many(users: int, processes: int, limit: float) -> None:
    """Raises where users cannot all be connected.

    Args:
        users: of a closed loop, in all.
        processes: that share them.
        limit: open files of each [files].

    Raises:
        EnvironmentLackingError: with the number that is needed.
    """
    each = -(-users // processes) + OTHERS
    if each > limit:
        raise EnvironmentLackingError(
            f"--concurrency {users}: needs {each} open files, and a process may have {limit:.0f}: "
            f"ulimit -n {each}, or more --processes"
        )
