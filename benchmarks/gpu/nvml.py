"""The driver's management library: a GPU's driver, memory and energy, through ctypes, without a package."""

from __future__ import annotations

import ctypes
import os
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_TEXT_BYTES = 96


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Nvml:
    """The library, open on one GPU; if it is missing or refuses, its answers are None and :attr:`why` gives the reason.

    Attributes:
        why: the reason why there are no answers; empty if there are.

    Args:
        library: the library; found by its name if None.
    """

    def __init__(self, library: Any = None) -> None:
        self._library, self._device = library, ctypes.c_void_p()
        self.why = ""
        try:
            self._library = library if library is not None else ctypes.CDLL(_LIBRARY)
        except OSError as error:
            self.why = f"NVML is not here ({error})"
            return
        if self._library.nvmlInit_v2():
            self.why = "NVML does not start"
        elif self._library.nvmlDeviceGetHandleByIndex_v2(_index(), ctypes.byref(self._device)):
            self.why = "NVML does not know the GPU"

    def driver(self) -> str | None:
        """Returns the driver's version, such as ``580.65.06``."""
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        if self.why or self._library.nvmlSystemGetDriverVersion(text, _TEXT_BYTES):
            return None
        return text.value.decode(errors="replace")

    def memory_mb(self) -> float | None:
        """Returns the device memory in use by all processes, in MB (10^6 bytes)."""
        memory = _Memory()
        if self.why or self._library.nvmlDeviceGetMemoryInfo(self._device, ctypes.byref(memory)):
            return None
        return float(memory.used) / 1e6

    def joules(self) -> float | None:
        """Returns the GPU's energy since its driver was loaded; None if it is not counted."""
        millijoules = ctypes.c_ulonglong()
        if self.why or self._library.nvmlDeviceGetTotalEnergyConsumption(
            self._device, ctypes.byref(millijoules)
        ):
            return None
        return float(millijoules.value) / 1e3


def _index() -> int:
    """Returns the GPU that CUDA calls 0, which CUDA_VISIBLE_DEVICES may change; 0 if that is not a number."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0
