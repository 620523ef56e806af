"""GPUs through NVIDIA's own binding, on a driver that is made for the purpose; and on none."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import fake_nvml
import pytest

from planner.engines.gpus import Gpu, chosen

SCRIPT = """
import json
from dataclasses import asdict
from planner.engines.gpus import GpusUnknownError, gpus, nvml, readings
try:
    with nvml():
        found = gpus()
        seen = readings([0, 1])
    print(json.dumps({"gpus": [asdict(gpu) for gpu in found], "readings": [asdict(one) for one in seen]}))
except GpusUnknownError as error:
    print(json.dumps({"why": str(error)}))
"""
WHOLE = {
    "index": 0,
    "power_w": 300.0,
    "utilization_fraction": 0.75,
    "memory_used_bytes": 72 * 2**30,
    "sm_clock_hz": 1.5e9,
    "memory_clock_hz": 2.6e9,
    "temperature_c": 61.0,
    "throttled_by": ["power limit", "reason 0x1000"],
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_nvml.built(tmp_path_factory.mktemp("nvml"))


def seen(library: Path, without: str = "") -> dict[str, Any]:
    environment = fake_nvml.environment(library, without)
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_all_that_a_gpu_tells(library: Path) -> None:
    found = seen(library)
    assert found["gpus"] == [
        {"index": 0, "name": "Fake GPU", "uuid": "GPU-0abc", "memory_bytes": 80 * 2**30},
        {"index": 1, "name": "Fake GPU", "uuid": "GPU-1abc", "memory_bytes": 80 * 2**30},
    ]
    first, second = found["readings"]
    assert first.pop("energy_j") > 0
    assert first == WHOLE
    assert second["power_w"] == 100.0


@pytest.mark.parametrize(
    ("without", "fields"),
    [
        ("energy", ["energy_j"]),
        ("power", ["power_w"]),
        ("utilization", ["utilization_fraction"]),
        ("memory", ["memory_used_bytes"]),
        ("clocks", ["sm_clock_hz", "memory_clock_hz"]),
        ("temperature", ["temperature_c"]),
        ("reasons", ["throttled_by"]),
    ],
)
def test_what_a_gpu_does_not_tell_is_none_and_all_else_is_told(library: Path, without: str, fields: list[str]) -> None:
    first = seen(library, without)["readings"][0]
    told = {name: value for name, value in first.items() if name != "energy_j"}
    assert told == {**WHOLE, **{field: None for field in fields if field != "energy_j"}}
    assert (first["energy_j"] is None) == (without == "energy")


def test_a_gpu_that_is_lost_says_nothing(library: Path) -> None:
    found = seen(library, "second")
    assert [gpu["index"] for gpu in found["gpus"]] == [0]
    assert {value for name, value in found["readings"][1].items() if name != "index"} == {None}


def test_no_driver_and_no_library_are_told(library: Path, tmp_path: Path) -> None:
    assert seen(library, "driver") == {"why": "NVML: Driver Not Loaded"}
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    assert seen(tmp_path) == {"why": "NVML: NVML Shared Library Not Found"}


@pytest.mark.parametrize(
    ("wanted", "indices"),
    [
        (None, [0, 1, 2]),
        ("1", [1]),
        ("GPU-0a, 2", [0, 2]),
        ("2,1,0", [2, 1, 0]),
        ("0,9,1", [0]),  # CUDA ends at the first that is not there
        ("", []),
        ("-1", []),
        ("GPU-", []),  # of several
        ("MIG-0a", []),
    ],
)
def test_gpus_are_named_as_cuda_names_them(wanted: str | None, indices: list[int]) -> None:
    there = [Gpu(number, "A", f"GPU-{number}a") for number in range(3)]
    assert [gpu.index for gpu in chosen(there, wanted)] == indices
