"""Hypothesis for all tests of the core: the same cases on every run, and no clock."""

from hypothesis import settings

settings.register_profile("planner", deadline=None, derandomize=True)
settings.load_profile("planner")
