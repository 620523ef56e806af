"""Scripts of benchmarks/self, which find each other on the path."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

SELF = str(Path(__file__).parents[2] / "benchmarks" / "self")


@contextmanager
def benchmark_modules(*names: str) -> Iterator[tuple[ModuleType, ...]]:
    """Some of them, imported as the command does."""
    sys.path.insert(0, SELF)
    try:
        yield tuple(importlib.import_module(name) for name in names)
    finally:
        sys.path.remove(SELF)
