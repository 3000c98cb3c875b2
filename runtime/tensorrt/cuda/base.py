"""The interface to CUDA: only what running an engine needs."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ....core.errors import BackendError


@dataclass(frozen=True)
class Gpu:
    """A GPU's properties.

    Attributes:
        name: the driver's name of it.
        compute_capability: such as ``8.7``.
        memory_bytes: all of its memory, used or not.
        multiprocessors: the number of them.
    """

    name: str
    compute_capability: str
    memory_bytes: int
    multiprocessors: int


class CaptureRefusedError(BackendError):
    """The work cannot become a CUDA graph. The device still works: put the work on the stream each time."""


class DeviceMemory:
    """A piece of device memory, freed at the end of its ``with`` block, by :meth:`free` or with its device.

    Attributes:
        address: on the device.
        nbytes: its size.
    """

    def __init__(self, device: CudaDevice, address: int, nbytes: int) -> None:
        self.address = address
        self.nbytes = nbytes
        self._device: CudaDevice | None = device

    def free(self) -> None:
        """Frees it. Freeing twice is harmless.

        Raises:
            BackendError: CUDA failed.
        """
        device, self._device = self._device, None
        if device is not None:
            device._release_memory(self)

    def __enter__(self) -> DeviceMemory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.free()


class CudaGraph:
    """Work that was captured once and is replayed as a whole; freed by :meth:`close` or with its device."""

    def __init__(self, device: CudaDevice, handle: Any) -> None:
        self._handle = handle
        self._device: CudaDevice | None = device

    def launch(self) -> None:
        """Puts the work on the device's stream.

        Raises:
            BackendError: the graph is closed, or CUDA failed.
        """
        if self._device is None:
            raise BackendError("a CUDA graph was launched after it was closed")
        with self._device.current():
            self._device._launch(self._handle)

    def close(self) -> None:
        """Frees it. Closing twice is harmless."""
        device, self._device = self._device, None
        if device is not None:
            device._release_graph(self, self._handle)


class CudaDevice(ABC):
    """One GPU, its primary context and one stream. All copies and launches happen in the stream's order.

    PyTorch and the CUDA runtime use the *primary* context too, so they can share a process with it. It is current only
    inside :meth:`current`, which every method enters by itself. The context that was current before is restored
    afterwards, in every thread. Only one thread at a time may use a device, but not always the same one.

    A failed call raises :class:`BackendError` with CUDA's name of the error and the action that failed. Many such
    errors last until the process ends, so the caller should then stop using the device and close it.

    Attributes:
        implementation: the package that reaches the GPU.
        can_capture: True if it can make CUDA graphs.
        index: of the GPU, from 0.
        gpu: its properties.
        failure: the first error that occurred, or empty.

    Args:
        index: of the GPU, from 0.

    Raises:
        BackendError: the package, the driver or the GPU is missing, or CUDA failed.
    """

    implementation: ClassVar[str]
    can_capture: ClassVar[bool]

    def __init__(self, index: int = 0) -> None:
        reason = self.why_unavailable(index)
        if reason:
            raise BackendError(reason)
        self.index = index
        self.failure = ""
        self.gpu = self.gpu_of(index)
        self._closed = False
        self._here = threading.local()
        self._memory: list[DeviceMemory] = []
        self._graphs: list[CudaGraph] = []
        self._pinned: list[npt.NDArray[np.uint8]] = []
        self._open()

    @classmethod
    @abstractmethod
    def installed(cls) -> bool:
        """True if the package is installed, even if it does not work."""

    @classmethod
    @abstractmethod
    def why_unavailable(cls, index: int = 0) -> str:
        """Returns the reason that this package finds no such GPU, and what to do; empty if it finds one."""

    @classmethod
    @abstractmethod
    def gpu_of(cls, index: int = 0) -> Gpu:
        """Reads a GPU's properties without making a context.

        Raises:
            BackendError: there is none.
        """

    @property
    @abstractmethod
    def stream(self) -> int:
        """The stream's handle, in the form that TensorRT needs."""

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the primary context current in this thread. May be nested.

        Raises:
            BackendError: the device is closed, or CUDA failed.
        """
        if self._closed:
            raise BackendError(f"CUDA device {self.index} is closed; open it again")
        depth = getattr(self._here, "depth", 0)
        if not depth:
            self._push()
        self._here.depth = depth + 1
        try:
            yield
        except BaseException:
            self._here.depth = depth
            if not depth:
                self._quietly(self._pop)
            raise
        self._here.depth = depth
        if not depth:
            self._pop()

    def allocate(self, nbytes: int) -> DeviceMemory:
        """Allocates device memory, at least one byte.

        Raises:
            BackendError: there is not enough memory, or CUDA failed.
        """
        with self.current():
            memory = DeviceMemory(self, self._allocate(max(1, nbytes)), nbytes)
        self._memory.append(memory)
        return memory

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Allocates page-locked host memory as an array, its content undefined.

        It is freed once the device is closed and no array refers to it.

        Raises:
            BackendError: there is not enough memory, or CUDA failed.
        """
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with self.current():
            flat = self._allocate_pinned(max(1, nbytes))
        self._pinned.append(flat)
        return flat[:nbytes].view(dtype).reshape(shape)

    def copy_to_device(self, memory: DeviceMemory, array: npt.NDArray[Any]) -> None:
        """Puts a copy from a pinned array on the stream. The array must not change until it is done.

        Raises:
            BackendError: the array is larger than the memory or not contiguous, or CUDA failed.
        """
        self._check_copy(memory, array)
        with self.current():
            self._to_device(memory.address, array)

    def copy_to_host(self, array: npt.NDArray[Any], memory: DeviceMemory) -> None:
        """Puts a copy into a pinned array on the stream. The array is filled after :meth:`synchronize`.

        Raises:
            BackendError: the array is larger than the memory or not contiguous, or CUDA failed.
        """
        self._check_copy(memory, array)
        with self.current():
            self._to_host(array, memory.address)

    def synchronize(self) -> None:
        """Waits until all work on the stream is done. Other Python threads run meanwhile.

        Raises:
            BackendError: work on the stream failed.
        """
        with self.current():
            self._synchronize()

    def capture(self, enqueue: Callable[[], None]) -> CudaGraph:
        """Makes a CUDA graph of the work that a function puts on the stream; the work does not run yet.

        Raises:
            CaptureRefusedError: this implementation, or some of the work, cannot be captured.
            BackendError: the device is closed.
        """
        if not self.can_capture:
            raise CaptureRefusedError(f"{self.implementation} makes no CUDA graphs")
        with self.current():
            failure = self.failure
            try:
                self._begin_capture()
                try:
                    enqueue()
                except BaseException:
                    self._quietly(self._abandon_capture)
                    raise
                handle = self._end_capture()
            except BackendError as error:
                self.failure = failure
                raise CaptureRefusedError(f"capture was refused: {error}") from error
        graph = CudaGraph(self, handle)
        self._graphs.append(graph)
        return graph

    def close(self) -> None:
        """Frees the graphs, the memory and the stream. Closing twice is harmless.

        Raises:
            BackendError: CUDA failed to free something, and had not failed before. All references are dropped
                nevertheless.
        """
        if self._closed:
            return
        healthy, problems = not self.failure, []
        owned: list[Callable[[], None]] = [*(g.close for g in self._graphs), *(m.free for m in self._memory)]
        try:
            with self.current():
                for release in (*owned, self._close_stream):
                    try:
                        release()
                    except BackendError as error:  # the rest must still be freed
                        problems.append(error)
                self._pinned.clear()
        except BackendError as error:
            problems.append(error)
        self._closed = True
        try:
            self._shut()
        except BackendError as error:
            problems.append(error)
        if healthy and problems:
            raise problems[0]

    def __enter__(self) -> CudaDevice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _failed(self, doing: str, name: str, explanation: str = "") -> BackendError:
        """Keeps the first error, and returns the exception for this one."""
        message = f"CUDA failed while {doing}: {name}" + (f" ({explanation})" if explanation else "")
        self.failure = self.failure or message
        return BackendError(message)

    def _release_memory(self, memory: DeviceMemory) -> None:
        self._memory.remove(memory)
        with self.current():
            self._free(memory.address)

    def _release_graph(self, graph: CudaGraph, handle: Any) -> None:
        self._graphs.remove(graph)
        with self.current():
            self._destroy_graph(handle)

    def _check_copy(self, memory: DeviceMemory, array: npt.NDArray[Any]) -> None:
        if memory._device is not self:
            raise BackendError("device memory was used after it was freed, or on another device")
        if array.nbytes > memory.nbytes or not array.flags.c_contiguous:
            raise BackendError(
                f"cannot copy between {memory.nbytes} bytes on the device and an array of {array.nbytes}"
                f" bytes{'' if array.flags.c_contiguous else ' that is not contiguous'}"
            )

    def _quietly(self, action: Callable[[], None]) -> None:
        """Cleans up after another error, and hides its own errors: the other one is reported."""
        try:
            action()
        except BackendError as error:
            self.failure = self.failure or str(error)

    @abstractmethod
    def _open(self) -> None:
        """Retains the primary context and makes the stream; leaves nothing behind if it fails."""

    @abstractmethod
    def _shut(self) -> None: ...

    @abstractmethod
    def _close_stream(self) -> None: ...

    @abstractmethod
    def _push(self) -> None: ...

    @abstractmethod
    def _pop(self) -> None: ...

    @abstractmethod
    def _allocate(self, nbytes: int) -> int: ...

    @abstractmethod
    def _free(self, address: int) -> None: ...

    @abstractmethod
    def _allocate_pinned(self, nbytes: int) -> npt.NDArray[np.uint8]: ...

    @abstractmethod
    def _to_device(self, address: int, array: npt.NDArray[Any]) -> None: ...

    @abstractmethod
    def _to_host(self, array: npt.NDArray[Any], address: int) -> None: ...

    @abstractmethod
    def _synchronize(self) -> None: ...

    @abstractmethod
    def _begin_capture(self) -> None: ...

    @abstractmethod
    def _abandon_capture(self) -> None:
        """Ends a capture whose work failed, and drops what it holds."""

    @abstractmethod
    def _end_capture(self) -> Any: ...

    @abstractmethod
    def _launch(self, handle: Any) -> None: ...

    @abstractmethod
    def _destroy_graph(self, handle: Any) -> None: ...
