"""Timings of a call: by the host's clock, and by the GPU's own."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from ...core.errors import BackendError
from ...runtime.tensorrt.cuda.base import CudaDevice
from .nvml import Nvml


def percentiles(milliseconds: Iterable[float]) -> dict[str, float]:
    """Returns p50, p90 and p99 of some times, and their number."""
    taken = np.fromiter(milliseconds, np.float64)
    p50, p90, p99 = np.percentile(taken, (50, 90, 99))
    return {"p50": round(p50, 4), "p90": round(p90, 4), "p99": round(p99, 4), "n": len(taken)}


def timed(calls: int, call: Callable[[int], object], frames_a_call: int = 1) -> dict[str, Any]:
    """Times some calls; returns milliseconds for each call, and joules for each frame if the driver counts them."""
    nvml = Nvml()
    before, taken = nvml.joules(), []
    for number in range(calls):
        start = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - start) * 1e3)
    after = nvml.joules()
    joules = None if before is None or after is None else round((after - before) / calls / frames_a_call, 4)
    return {"ms": percentiles(taken), "joules_per_frame": joules}


class Events(Protocol):
    """Two marks on a stream; the GPU measures the time between them."""

    def record(self, index: int) -> None:
        """Puts the first (0) or the second (1) mark on the stream."""

    def milliseconds(self) -> float:
        """Waits for the second mark; returns the time between the two."""


def events_of(cuda: CudaDevice) -> Events:
    """Returns CUDA events on a device's stream; its context must be current.

    Raises:
        BackendError: CUDA failed.
    """
    return _CudaPythonEvents(cuda) if cuda.implementation == "cuda-python" else _PyCudaEvents(cuda)


class _CudaPythonEvents:
    def __init__(self, cuda: CudaDevice) -> None:
        self._runtime = importlib.import_module("cuda.bindings.runtime")
        self._stream = cuda.stream
        self._events = [self._call(self._runtime.cudaEventCreate) for _ in range(2)]

    def record(self, index: int) -> None:
        self._call(self._runtime.cudaEventRecord, self._events[index], self._stream)

    def milliseconds(self) -> float:
        self._call(self._runtime.cudaEventSynchronize, self._events[1])
        return float(self._call(self._runtime.cudaEventElapsedTime, *self._events))

    def _call(self, function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
        error, *values = function(*arguments)
        if int(error):
            raise BackendError(f"CUDA failed while timing: {error.name}")
        return values[0] if values else None


class _PyCudaEvents:
    def __init__(self, cuda: CudaDevice) -> None:
        driver = importlib.import_module("pycuda.driver")
        self._stream: Any = vars(cuda)["_stream"]  # pycuda's events need its own object, not the handle
        self._events = [driver.Event() for _ in range(2)]

    def record(self, index: int) -> None:
        self._events[index].record(self._stream)

    def milliseconds(self) -> float:
        self._events[1].synchronize()
        return float(self._events[1].time_since(self._events[0]))
