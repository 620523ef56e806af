"""Connections take open files, of which a process may have so many."""

import resource

import pytest

from planner.errors import EnvironmentLackingError
from planner.workflows.bench.open_files import allow_open_files, refuse_too_many


def test_soft_limit_is_raised_to_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        assert allow_open_files() >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 256
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_users_who_cannot_all_be_connected_are_refused() -> None:
    refuse_too_many(900, 1, 1024)
    refuse_too_many(1900, 2, 1024)
    with pytest.raises(EnvironmentLackingError, match=r"--concurrency 1000: needs 1064 open files.* may have 1024"):
        refuse_too_many(1000, 1, 1024)
