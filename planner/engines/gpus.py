"""The GPUs of this machine as their driver sees them, through NVML; each thing that one of them does not tell is None.

NVML: NVIDIA Management Library API Reference Guide. Its energy counter is there since Volta; since Ampere its power is
a mean over the last second.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pynvml

_PER_MILLI, _PER_MHZ = 1e-3, 1e6
_NO_THROTTLING = pynvml.nvmlClocksEventReasonGpuIdle
"""Clocks are low since there is nothing to do."""
_THROTTLING: Mapping[int, str] = {
    pynvml.nvmlClocksEventReasonApplicationsClocksSetting: "set by somebody",
    pynvml.nvmlClocksEventReasonSwPowerCap: "power limit",
    pynvml.nvmlClocksEventReasonHwSlowdown: "hardware slowdown",
    pynvml.nvmlClocksEventReasonSyncBoost: "sync boost",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "temperature",
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "temperature, by hardware",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "power brake",
    pynvml.nvmlClocksEventReasonDisplayClockSetting: "display",
}


class GpusUnknownError(Exception):
    """Why no GPU can be looked at, in plain words."""


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        index: as `nvidia-smi` numbers them.
        name: as the driver names it.
        uuid: that no other has.
        memory_bytes: that it has; None where it does not say.
    """

    index: int
    name: str
    uuid: str
    memory_bytes: int | None = None


@dataclass(frozen=True)
class GpuReading:
    """What a GPU said of itself at one time.

    Attributes:
        index: of the GPU.
        power_w: that it draws, with its memory and board [W].
        energy_j: that it has drawn since its driver was loaded [J].
        utilization_fraction: share of the time in which something ran on it, of the driver's last period.
        memory_used_bytes: by anybody.
        sm_clock_hz: of its processors [Hz].
        memory_clock_hz: of its memory [Hz].
        temperature_c: of its chip [°C].
        throttled_by: what kept its clocks down; None where it does not say.
    """

    index: int
    power_w: float | None = None
    energy_j: float | None = None
    utilization_fraction: float | None = None
    memory_used_bytes: int | None = None
    sm_clock_hz: float | None = None
    memory_clock_hz: float | None = None
    temperature_c: float | None = None
    throttled_by: tuple[str, ...] | None = None


@contextmanager
def nvml() -> Iterator[None]:
    """The driver's library, for as long as a block lasts.

    Raises:
        GpusUnknownError: there is none, or no driver.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise GpusUnknownError(f"NVML: {error}") from error
    try:
        yield
    finally:
        _asked(pynvml.nvmlShutdown)


def gpus() -> list[Gpu]:
    """All that there are; within `nvml`.

    Raises:
        GpusUnknownError: the driver does not say how many.
    """
    try:
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        raise GpusUnknownError(f"NVML: {error}") from error
    found = []
    for index in range(count):
        handle = _asked(pynvml.nvmlDeviceGetHandleByIndex, index)
        if handle is not None:
            name, uuid = _asked(pynvml.nvmlDeviceGetName, handle), _asked(pynvml.nvmlDeviceGetUUID, handle)
            memory = _asked(pynvml.nvmlDeviceGetMemoryInfo, handle)
            found.append(Gpu(index, name or "GPU", uuid or "", None if memory is None else int(memory.total)))
    return found


def chosen(there: Sequence[Gpu], wanted: str | None) -> list[Gpu]:
    """Those that a list names, by number or by the beginning of their UUID; all where there is no list.

    Args:
        there: all that there are.
        wanted: as CUDA_VISIBLE_DEVICES has it, which ends at the first name that nobody has.

    Example:
        >>> there = [Gpu(0, "A", "GPU-1a"), Gpu(1, "A", "GPU-2b"), Gpu(2, "A", "GPU-3c")]
        >>> [gpu.index for gpu in chosen(there, "2, GPU-1a")], chosen(there, "-1"), len(chosen(there, None))
        ([2, 0], [], 3)
    """
    if wanted is None:
        return list(there)
    found: list[Gpu] = []
    for name in map(str.strip, wanted.split(",")):
        named = [gpu for gpu in there if name and (str(gpu.index) == name or gpu.uuid.startswith(name))]
        if len(named) != 1:
            break
        found += named
    return found


def readings(indices: Sequence[int]) -> tuple[GpuReading, ...]:
    """What GPUs say of themselves now; within `nvml`. One that is lost meanwhile says nothing."""
    handles = ((index, _asked(pynvml.nvmlDeviceGetHandleByIndex, index)) for index in indices)
    return tuple(GpuReading(index) if handle is None else _reading(index, handle) for index, handle in handles)


def _reading(index: int, handle: Any) -> GpuReading:
    energy_mj = _asked(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle)
    power_mw = _asked(pynvml.nvmlDeviceGetPowerUsage, handle)
    rates = _asked(pynvml.nvmlDeviceGetUtilizationRates, handle)
    memory = _asked(pynvml.nvmlDeviceGetMemoryInfo, handle)
    sm_mhz = _asked(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM)
    memory_mhz = _asked(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_MEM)
    temperature_c = _asked(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU)
    return GpuReading(
        index=index,
        power_w=None if power_mw is None else power_mw * _PER_MILLI,
        energy_j=None if energy_mj is None else energy_mj * _PER_MILLI,
        utilization_fraction=None if rates is None else rates.gpu / 100,
        memory_used_bytes=None if memory is None else int(memory.used),
        sm_clock_hz=None if sm_mhz is None else sm_mhz * _PER_MHZ,
        memory_clock_hz=None if memory_mhz is None else memory_mhz * _PER_MHZ,
        temperature_c=None if temperature_c is None else float(temperature_c),
        throttled_by=_throttled_by(handle),
    )


def _throttled_by(handle: Any) -> tuple[str, ...] | None:
    bits = _asked(pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
    if bits is None:  # drivers before 535 know it by its older name alone
        bits = _asked(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
    if bits is None:
        return None
    known = tuple(name for bit, name in _THROTTLING.items() if bits & bit)
    rest = bits & ~(sum(_THROTTLING) | _NO_THROTTLING)
    return (*known, f"reason {rest:#x}") if rest else known


def _asked(question: Callable[..., Any], *about: Any) -> Any:
    """The answer; None where this GPU or its driver has none."""
    try:
        return question(*about)
    except pynvml.NVMLError:
        return None
