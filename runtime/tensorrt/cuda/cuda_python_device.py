"""CUDA through ``cuda-python``, NVIDIA's own bindings: a wheel on every desktop and server.

The context goes through the driver's API, because only that can restore the context that was current before. All else
goes through the runtime's API.
"""

from __future__ import annotations

import ctypes
import importlib
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ....core.errors import BackendError
from ...forks import in_this_process
from .base import CudaDevice, Gpu

_INSTALL = 'pip install "edgeseg[tensorrt]", which brings cuda-python'
_CheckedCall = Callable[..., Any]


class CudaPythonDevice(CudaDevice):
    """A GPU through ``cuda.bindings``."""

    implementation = "cuda-python"
    can_capture = True

    @classmethod
    def installed(cls) -> bool:
        """True if cuda-python is installed, even if it does not work."""
        try:
            _bindings("runtime")
        except (ImportError, RuntimeError) as problem:
            return not isinstance(problem, ModuleNotFoundError)
        return True

    @classmethod
    def why_unavailable(cls, index: int = 0) -> str:
        """Returns the reason that cuda-python finds no such GPU, and what to do; empty if it finds one."""
        try:
            runtime = _bindings("runtime")
            error, count = runtime.cudaGetDeviceCount()
        except ModuleNotFoundError:
            return f"cuda-python 12.8 or later is not installed: {_INSTALL}"
        except ImportError as problem:
            return f"cuda-python is installed but does not load: {_brief(problem)}; {_INSTALL}"
        except RuntimeError as problem:  # the error of CUDA 12's bindings without a driver
            return (
                f"there is no usable GPU: cuda-python says {_brief(problem)!r};"
                " install NVIDIA's driver, or run on the CPU"
            )
        if error != runtime.cudaError_t.cudaSuccess:
            return (
                f"there is no usable GPU: cuda-python says {_error_name(error)};"
                " install NVIDIA's driver, or one as new as cuda-python's CUDA, or run on the CPU"
            )
        if not 0 <= index < count:
            return f"there is no GPU {index}: this machine has {count}, counted from 0"
        return ""

    @classmethod
    def gpu_of(cls, index: int = 0) -> Gpu:
        """Reads a GPU's properties without making a context."""
        runtime = _bindings("runtime")
        properties = _checker(_plain_failure)(
            "asking what the GPU is", runtime.cudaGetDeviceProperties, index
        )
        return Gpu(
            name=properties.name.decode(errors="replace").rstrip("\0"),
            compute_capability=f"{properties.major}.{properties.minor}",
            memory_bytes=int(properties.totalGlobalMem),
            multiprocessors=int(properties.multiProcessorCount),
        )

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return int(self._stream)

    def _open(self) -> None:
        self._runtime, self._driver = _bindings("runtime"), _bindings("driver")
        self._call = _checker(self._failed)
        self._context = _primary_context(self.index)
        with self.current():
            self._stream: Any = self._open_stream()

    def _open_stream(self) -> Any:
        # Non-blocking, so that it does not wait for others' work on the default stream, such as PyTorch's.
        flags = self._runtime.cudaStreamNonBlocking
        return self._call("making a stream", self._runtime.cudaStreamCreateWithFlags, flags)

    def _shut(self) -> None:
        return  # the primary context stays: see _primary_context

    def _close_stream(self) -> None:
        self._call("closing the stream", self._runtime.cudaStreamDestroy, self._stream)

    def _push(self) -> None:
        self._call("entering the context", self._driver.cuCtxPushCurrent, self._context)

    def _pop(self) -> None:
        self._call("leaving the context", self._driver.cuCtxPopCurrent)

    def _allocate(self, nbytes: int) -> int:
        return int(self._call(f"allocating {nbytes} bytes on the device", self._runtime.cudaMalloc, nbytes))

    def _free(self, address: int) -> None:
        self._call("freeing device memory", self._runtime.cudaFree, address)

    def _allocate_pinned(self, nbytes: int) -> npt.NDArray[np.uint8]:
        address = int(
            self._call(
                f"allocating {nbytes} bytes of pinned memory",
                self._runtime.cudaHostAlloc,
                nbytes,
                self._runtime.cudaHostAllocDefault,
            )
        )
        block = (ctypes.c_uint8 * nbytes).from_address(address)
        # The memory must live as long as any array made of it, even after the device is closed.
        finalizer = weakref.finalize(
            block, in_this_process(_free_pinned), self._runtime, self._driver, self._context, address
        )
        finalizer.atexit = False
        return np.frombuffer(memoryview(block), np.uint8)

    def _to_device(self, address: int, array: npt.NDArray[Any]) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._copy("copying to the device", address, array.ctypes.data, array.nbytes, kind)

    def _to_host(self, array: npt.NDArray[Any], address: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._copy("copying to the host", array.ctypes.data, address, array.nbytes, kind)

    def _copy(self, doing: str, to: int, source: int, nbytes: int, kind: Any) -> None:
        self._call(doing, self._runtime.cudaMemcpyAsync, to, source, nbytes, kind, self._stream)

    def _synchronize(self) -> None:
        self._call("waiting for the stream", self._runtime.cudaStreamSynchronize, self._stream)

    def _begin_capture(self) -> None:
        # This thread only: other threads, such as PyTorch's, may allocate meanwhile.
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("starting a capture", self._runtime.cudaStreamBeginCapture, self._stream, mode)

    def _abandon_capture(self) -> None:
        error, graph = self._runtime.cudaStreamEndCapture(self._stream)
        if error == self._runtime.cudaError_t.cudaSuccess:
            self._call("dropping a capture", self._runtime.cudaGraphDestroy, graph)
        self._runtime.cudaGetLastError()  # otherwise a later call would report this error

    def _end_capture(self) -> Any:
        runtime = self._runtime
        try:
            graph = self._call("ending a capture", runtime.cudaStreamEndCapture, self._stream)
            try:
                return self._call("making a CUDA graph", runtime.cudaGraphInstantiate, graph, 0)
            finally:
                self._call("dropping a capture", runtime.cudaGraphDestroy, graph)
        except BackendError:
            runtime.cudaGetLastError()
            raise

    def _launch(self, handle: Any) -> None:
        self._call("launching a CUDA graph", self._runtime.cudaGraphLaunch, handle, self._stream)

    def _destroy_graph(self, handle: Any) -> None:
        self._call("freeing a CUDA graph", self._runtime.cudaGraphExecDestroy, handle)


@cache
def _primary_context(index: int) -> Any:
    """A GPU's primary context, retained once until the process ends.

    Its last release would destroy it, with all that TensorRT or PyTorch still hold in it.
    """
    driver, call = _bindings("driver"), _checker(_plain_failure)
    call("starting the driver", driver.cuInit, 0)
    device = call(f"opening GPU {index}", driver.cuDeviceGet, index)
    return call("taking the primary context", driver.cuDevicePrimaryCtxRetain, device)


def _free_pinned(runtime: Any, driver: Any, context: Any, address: int) -> None:
    # A finalizer cannot report an error, and the process's end frees the memory at the latest.
    if not int(driver.cuCtxPushCurrent(context)[0]):
        runtime.cudaFreeHost(address)
        driver.cuCtxPopCurrent()


def _checker(failed: Callable[[str, str, str], BackendError]) -> _CheckedCall:
    def call(doing: str, function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
        error, *values = function(*arguments)
        if int(error):
            raise failed(doing, _error_name(error), "")
        return values[0] if values else None

    return call


def _plain_failure(doing: str, name: str, explanation: str) -> BackendError:
    return BackendError(f"CUDA failed while {doing}: {name}")


def _error_name(error: Any) -> str:
    return str(error.name)


def _bindings(name: str) -> Any:
    return importlib.import_module(f"cuda.bindings.{name}")


def _brief(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
