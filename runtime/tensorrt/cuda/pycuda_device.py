"""CUDA through ``pycuda``, which runs on Jetsons and builds against any CUDA."""

from __future__ import annotations

import ctypes
import importlib
import weakref
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ....core.errors import BackendError
from ...forks import in_this_process
from .base import CudaDevice, Gpu

_INSTALL = 'pip install "edgeseg[jetson]", which builds pycuda with the CUDA toolkit'

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, for which pycuda has no name

_NAMES = {
    "invalid argument": "CUDA_ERROR_INVALID_VALUE",
    "out of memory": "CUDA_ERROR_OUT_OF_MEMORY",
    "initialization error": "CUDA_ERROR_NOT_INITIALIZED",
    "driver shutting down": "CUDA_ERROR_DEINITIALIZED",
    "no CUDA-capable device is detected": "CUDA_ERROR_NO_DEVICE",
    "invalid device ordinal": "CUDA_ERROR_INVALID_DEVICE",
    "invalid device context": "CUDA_ERROR_INVALID_CONTEXT",
    "uncorrectable ECC error encountered": "CUDA_ERROR_ECC_UNCORRECTABLE",
    "no kernel image is available for execution on the device": "CUDA_ERROR_NO_BINARY_FOR_GPU",
    "invalid resource handle": "CUDA_ERROR_INVALID_HANDLE",
    "an illegal memory access was encountered": "CUDA_ERROR_ILLEGAL_ADDRESS",
    "too many resources requested for launch": "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
    "the launch timed out and was terminated": "CUDA_ERROR_LAUNCH_TIMEOUT",
    "context is destroyed": "CUDA_ERROR_CONTEXT_IS_DESTROYED",
    "device-side assert triggered": "CUDA_ERROR_ASSERT",
    "hardware stack error": "CUDA_ERROR_HARDWARE_STACK_ERROR",
    "an illegal instruction was encountered": "CUDA_ERROR_ILLEGAL_INSTRUCTION",
    "misaligned address": "CUDA_ERROR_MISALIGNED_ADDRESS",
    "operation not supported on global/shared address space": "CUDA_ERROR_INVALID_ADDRESS_SPACE",
    "invalid program counter": "CUDA_ERROR_INVALID_PC",
    "unspecified launch failure": "CUDA_ERROR_LAUNCH_FAILED",
    "unknown error": "CUDA_ERROR_UNKNOWN",
}
"""CUDA's error names by their explanations, because pycuda gives only the explanation."""


class PyCudaDevice(CudaDevice):
    """A GPU through ``pycuda.driver``. It makes no CUDA graphs, because pycuda has none."""

    implementation = "pycuda"
    can_capture = False

    @classmethod
    def installed(cls) -> bool:
        """True if pycuda is installed, even if it does not work."""
        try:
            _driver()
        except ImportError as problem:
            return not isinstance(problem, ModuleNotFoundError)
        return True

    @classmethod
    def why_unavailable(cls, index: int = 0) -> str:
        """Returns the reason that pycuda finds no such GPU, and what to do; empty if it finds one."""
        try:
            driver = _driver()
        except ModuleNotFoundError:
            return f"pycuda is not installed: {_INSTALL}"
        except ImportError as problem:
            return f"pycuda does not load ({problem}): {_INSTALL}, and install NVIDIA's driver"
        try:
            driver.init()
            count = driver.Device.count()
        except driver.Error as error:
            return (
                f"there is no usable GPU: pycuda says {_name_and_explanation(error)[0]};"
                " install NVIDIA's driver, or run on the CPU"
            )
        if not 0 <= index < count:
            return f"there is no GPU {index}: this machine has {count}, counted from 0"
        return ""

    @classmethod
    def gpu_of(cls, index: int = 0) -> Gpu:
        """Reads a GPU's properties without making a context."""
        driver = _driver()
        try:
            driver.init()
            device = driver.Device(index)
            major, minor = device.compute_capability()
            multiprocessors = device.get_attribute(driver.device_attribute.MULTIPROCESSOR_COUNT)
            return Gpu(
                str(device.name()), f"{major}.{minor}", int(device.total_memory()), int(multiprocessors)
            )
        except driver.Error as error:
            name = _name_and_explanation(error)[0]
            raise BackendError(f"CUDA failed while asking what the GPU is: {name}") from error

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return int(self._stream.handle)

    def _open(self) -> None:
        self._driver = _driver()
        self._allocations: dict[int, Any] = {}
        self._context = self._call("taking the primary context", _primary_context, self.index)
        with self.current():
            self._stream: Any = self._call("making a stream", self._driver.Stream, _NON_BLOCKING)

    def _shut(self) -> None:
        return  # the primary context stays: see _primary_context

    def _close_stream(self) -> None:
        self._stream = None  # pycuda destroys it with its object

    def _push(self) -> None:
        self._call("entering the context", self._context.push)

    def _pop(self) -> None:
        self._call("leaving the context", self._driver.Context.pop)

    def _allocate(self, nbytes: int) -> int:
        allocation = self._call(f"allocating {nbytes} bytes on the device", self._driver.mem_alloc, nbytes)
        self._allocations[int(allocation)] = allocation
        return int(allocation)

    def _free(self, address: int) -> None:
        self._call("freeing device memory", self._allocations.pop(address).free)

    def _allocate_pinned(self, nbytes: int) -> npt.NDArray[np.uint8]:
        doing = f"allocating {nbytes} bytes of pinned memory"
        flat: npt.NDArray[np.uint8] = self._call(doing, self._driver.pagelocked_empty, (nbytes,), np.uint8)
        block = (ctypes.c_uint8 * nbytes).from_address(flat.ctypes.data)
        # pycuda frees it in the thread that drops the last array, and only if the context is current there.
        finalizer = weakref.finalize(
            block, in_this_process(_free_pinned), self._driver, self._context, [flat]
        )
        finalizer.atexit = False
        return np.frombuffer(memoryview(block), np.uint8)

    def _to_device(self, address: int, array: npt.NDArray[Any]) -> None:
        self._call("copying to the device", self._driver.memcpy_htod_async, address, array, self._stream)

    def _to_host(self, array: npt.NDArray[Any], address: int) -> None:
        self._call("copying to the host", self._driver.memcpy_dtoh_async, array, address, self._stream)

    def _synchronize(self) -> None:
        self._call("waiting for the stream", self._stream.synchronize)

    def _begin_capture(self) -> None:
        raise NotImplementedError

    def _abandon_capture(self) -> None:
        raise NotImplementedError

    def _end_capture(self) -> Any:
        raise NotImplementedError

    def _launch(self, handle: Any) -> None:
        raise NotImplementedError

    def _destroy_graph(self, handle: Any) -> None:
        raise NotImplementedError

    def _call(self, doing: str, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._driver.Error as error:
            name, explanation = _name_and_explanation(error)
            raise self._failed(doing, name, explanation) from error


@cache
def _primary_context(index: int) -> Any:
    """A GPU's primary context, retained once until the process ends.

    pycuda leaves a released context current in the thread, where PyTorch would find it destroyed.
    """
    return _driver().Device(index).retain_primary_context()


def _free_pinned(driver: Any, context: Any, held: list[Any]) -> None:
    try:
        context.push()
    except driver.Error:
        return  # a finalizer cannot report it; the process's end frees the memory
    held.clear()
    driver.Context.pop()


def _name_and_explanation(error: Exception) -> tuple[str, str]:
    """CUDA's name of a pycuda error, and its message: ``cuMemAlloc failed: out of memory``."""
    message = (str(error).strip().splitlines() or [type(error).__name__])[0]
    reason = message.partition(" failed: ")[2].partition(" - ")[0]
    return _NAMES.get(reason, reason or message), message


def _driver() -> Any:
    return importlib.import_module("pycuda.driver")
