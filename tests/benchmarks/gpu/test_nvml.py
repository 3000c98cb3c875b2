"""Readings of NVML, from a library that a test plays, and without any library."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from edgeseg.benchmarks.gpu import nvml as module
from edgeseg.benchmarks.gpu.nvml import Nvml


class Library:
    """Answers as NVML does: a status, and the values where it was told to put them."""

    def __init__(self) -> None:
        self.index = -1
        self.counts_energy = True

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, device: Any) -> int:  # noqa: N802
        self.index = index
        return 0

    def nvmlSystemGetDriverVersion(self, text: Any, length: int) -> int:  # noqa: N802
        text.value = b"580.65.06"
        return 0

    def nvmlDeviceGetMemoryInfo(self, device: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.used = 2_500_000_000
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, device: Any, millijoules: Any) -> int:  # noqa: N802
        millijoules._obj.value = 12_500
        return 0 if self.counts_energy else 3


def test_driver_memory_and_energy_in_our_units() -> None:
    nvml = Nvml(Library())
    assert (nvml.why, nvml.driver(), nvml.memory_mb(), nvml.joules()) == ("", "580.65.06", 2500.0, 12.5)


def test_a_gpu_that_counts_no_energy_says_none() -> None:
    library = Library()
    library.counts_energy = False
    assert Nvml(library).joules() is None


@pytest.mark.parametrize(("visible", "index"), [("", 0), ("2", 2), ("1,0", 1), ("GPU-7f3c", 0)])
def test_the_gpu_that_cuda_calls_0_is_asked(
    visible: str, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    library = Library()
    Nvml(library)
    assert library.index == index


def test_without_the_library_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(module.ctypes, "CDLL", missing)
    nvml = Nvml()
    assert nvml.why == "NVML is not here (libnvidia-ml.so.1: cannot open shared object file)"
    assert (nvml.driver(), nvml.memory_mb(), nvml.joules()) == (None, None, None)
