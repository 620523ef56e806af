"""Paths and small files that several tests use."""

from pathlib import Path

import pytest
from hypothesis import settings

# The same cases on every run, and no clock.
settings.register_profile("planner", deadline=None, derandomize=True)
settings.load_profile("planner")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def repository() -> Path:
    """The repository's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def azure_conversation_trace() -> Path:
    """The public Azure trace, of which the project ships no copy."""
    path = REPOSITORY.parent / "shared" / "traces" / "azure_llm_2023_conv.csv.gz"
    if not path.is_file():
        pytest.skip("needs ../shared/traces/azure_llm_2023_conv.csv.gz (Azure/AzurePublicDataset, CC-BY-4.0)")
    return path
