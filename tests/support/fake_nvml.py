"""A driver that is not there: `libnvidia-ml.so.1`, compiled from `fake_nvml.c` for processes that start with it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")


def built(folder: Path) -> Path:
    """The folder that holds the library; skips where nothing can compile it."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or os.name != "posix":
        pytest.skip("needs a C compiler, for a stand-in of NVIDIA's library")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)], check=True)
    return folder


def environment(folder: Path, without: str = "", **more: str) -> dict[str, str]:
    """Of a process that finds the library; `without` names what its GPUs lack."""
    kept = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    return {**kept, "LD_LIBRARY_PATH": str(folder), "FAKE_NVML_WITHOUT": without, **more}
