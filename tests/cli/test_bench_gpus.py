"""GPUs during `planner bench`, through NVIDIA's own binding on a stand-in of its library."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_nvml
import pytest
from known_server import KnownServer

from planner.store.runs import read_run
from planner.store.server_samples import read_samples

LOAD = ("--arrival", "constant", "--rate", "20", "--requests", "40", "--input-tokens", "64", "--output-tokens", "5")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_nvml.built(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def server() -> Iterator[KnownServer]:
    with KnownServer() as server:
        server.has_metrics = True
        yield server


def command(url: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "planner", "bench", "--url", url, *LOAD, "--out", "run", "--json", *arguments]


def bench(folder: Path, url: str, environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    there = {**environment, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command(url, *arguments), cwd=folder, env=there, capture_output=True, text=True, check=False)


def figures(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.returncode in (0, 4), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["server"]
    return found


def test_power_and_energy_are_those_of_the_gpus(library: Path, server: KnownServer, tmp_path: Path) -> None:
    found = figures(bench(tmp_path, server.url, fake_nvml.environment(library)))
    duration_s = found["until_s"] - found["from_s"]
    assert duration_s > 1.9
    first, second = found["gpus"]
    # The counter rises by 300 J/s and 100 J/s, in whole millijoules.
    assert first["energy_j"] == pytest.approx(300 * duration_s, rel=1e-3)
    assert second["energy_j"] == pytest.approx(100 * duration_s, rel=1e-3)
    assert (first["energy_by"], first["power_w"]["mean"]) == ("counter", pytest.approx(300, rel=1e-3))
    assert found["power_w"] == pytest.approx(400, rel=1e-3)
    tokens = sum(len(served.token_s) for served in server.log)
    assert found["energy_per_output_token_j"] == pytest.approx(400 * duration_s / tokens, rel=1e-3)
    assert first["utilization_fraction"] == {"mean": 0.75, "max": 0.75}
    assert first["sm_clock_hz"] == {"mean": 1.5e9, "max": 1.5e9}
    assert (first["memory_used_bytes"]["max"], first["memory_bytes"]) == (72 * 2**30, 80 * 2**30)
    assert (first["temperature_c"]["max"], first["throttled_by"]) == (61, ["power limit", "reason 0x1000"])
    run = read_run(tmp_path / "run").run
    assert run.idle_power_w == pytest.approx(400, rel=1e-2)
    looks = [line for line in read_samples(tmp_path / "run" / "server-000.jsonl") if line.gpus]
    assert len(looks) >= 4
    assert {gpu.power_w for line in looks for gpu in line.gpus} == {300.0, 100.0}


def test_without_an_energy_counter_energy_is_sampled_power(library: Path, server: KnownServer, tmp_path: Path) -> None:
    found = figures(bench(tmp_path, server.url, fake_nvml.environment(library, "energy"), "--gpus", "0"))
    (gpu,) = found["gpus"]
    assert gpu["energy_by"] == "power"
    assert found["energy_j"] == pytest.approx(300 * (found["until_s"] - found["from_s"]))


def test_gpus_that_tell_neither_energy_nor_power_are_looked_at_all_the_same(
    library: Path, server: KnownServer, tmp_path: Path
) -> None:
    found = figures(bench(tmp_path, server.url, fake_nvml.environment(library, "energy,power")))
    assert (found["power_w"], found["energy_j"], found["energy_per_output_token_j"]) == (None, None, None)
    assert found["gpus"][0]["utilization_fraction"] == {"mean": 0.75, "max": 0.75}
    assert read_run(tmp_path / "run").run.idle_power_w is None


def test_those_that_cuda_sees_are_looked_at_or_those_asked_for(
    library: Path, server: KnownServer, tmp_path: Path
) -> None:
    environment = fake_nvml.environment(library, CUDA_VISIBLE_DEVICES="GPU-1abc")
    (gpu,) = figures(bench(tmp_path, server.url, environment))["gpus"]
    assert gpu["index"] == 1
    (gpu,) = figures(bench(tmp_path, server.url, environment, "--gpus", "0", "--out", "run2"))["gpus"]
    assert gpu["index"] == 0
    assert figures(bench(tmp_path, server.url, environment, "--gpus", "none", "--out", "run3"))["gpus"] == []


@pytest.mark.parametrize(
    ("gpus", "without", "code", "told"),
    [
        ("0,7", "", 3, "not all of them are there; there are: 0 (Fake GPU, GPU-0abc), 1 (Fake GPU, GPU-1abc)"),
        ("0", "driver", 3, "--gpus 0: NVML: Driver Not Loaded; none does without"),
        ("0,,1", "", 2, "--gpus: must be numbers or UUIDs of GPUs"),
        ("none,1", "", 2, "--gpus: must be numbers or UUIDs of GPUs"),
    ],
)
def test_gpus_that_are_asked_for_must_be_there(
    library: Path, server: KnownServer, tmp_path: Path, gpus: str, without: str, code: int, told: str
) -> None:
    done = bench(tmp_path, server.url, fake_nvml.environment(library, without), "--gpus", gpus)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert not server.log


def test_a_gpu_on_which_nothing_runs_is_told(library: Path, server: KnownServer, tmp_path: Path) -> None:
    done = bench(tmp_path, server.url, fake_nvml.environment(library, "work"))
    assert figures(done)["gpus"][1]["utilization_fraction"] == {"mean": 0.0, "max": 0.0}
    assert "nothing ran on GPU 1, whose power is counted too" in done.stderr


def test_no_driver_is_no_mistake(library: Path, server: KnownServer, tmp_path: Path) -> None:
    assert figures(bench(tmp_path, server.url, fake_nvml.environment(library, "driver")))["gpus"] == []


@pytest.mark.slow
def test_a_driver_that_hangs_holds_no_run_up(library: Path, server: KnownServer, tmp_path: Path) -> None:
    done = bench(tmp_path, server.url, fake_nvml.environment(library, "hang"))
    assert done.returncode in (0, 4), done.stderr
    data = json.loads(done.stdout)
    assert data["requests"]["ok"] == 40
    assert "the server and its GPUs were not looked at: it did not answer within 20 s" in done.stderr
    assert data["server"]["output_tokens"]["server"] == 200, "the server counts all the same"


def ends(group: int) -> bool:
    """Whether every process of a group ends soon."""
    for _ in range(300):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [False, True], ids=["Ctrl-C", "kill -9"])
def test_no_process_outlives_the_run(library: Path, server: KnownServer, tmp_path: Path, is_killed: bool) -> None:
    environment = {**fake_nvml.environment(library), "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        command(server.url, "--requests", "100000"),
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(server.log) < 10 and process.poll() is None:
        time.sleep(0.05)
    if is_killed:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to every process in it
    _, err = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if is_killed else 130), err
    assert "Traceback" not in err
    assert ends(process.pid)
