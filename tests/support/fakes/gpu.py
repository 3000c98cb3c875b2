"""A GPU of host memory: work waits on a stream until somebody synchronizes, and calls fail where a test says so."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from edgeseg.runtime.tensorrt.cuda.base import CudaDevice, Gpu

TOO_MUCH = 1 << 40
Work = Callable[[], None]


class GpuError(Exception):
    """A failed call; ``name`` is a key of the tables of the fake packages."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class FakeGpu:
    """The fake GPU beneath all fakes of CUDA.

    Attributes:
        calls: the kinds of all calls, in order.
    """

    def __init__(self, name: str = "Fake Orin") -> None:
        self.name = name
        self.calls: list[str] = []
        self.memory: dict[int, np.ndarray] = {}
        self.pinned: dict[int, np.ndarray] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.streams: set[int] = set()
        self.retained = 0
        self._queue: list[Work] = []
        self._capturing: list[Work] | None = None
        self._plans: dict[str, tuple[int, str, bool]] = {}
        self._sticky = ""
        self._here = threading.local()
        self._handles = iter(range(1001, 1 << 30))

    def fail(self, call: str, name: str, after: int = 0, sticky: bool = True) -> None:
        """Lets a kind of call fail once ``after`` more of it have worked; ``sticky`` as CUDA's bad ones are."""
        self._plans[call] = (after, name, sticky)

    def alive(self) -> int:
        """The number of objects that are still held on the device."""
        return len(self.memory) + len(self.graphs) + len(self.streams)

    @property
    def pushed(self) -> int:
        """The number of times that the context is pushed in this thread."""
        return getattr(self._here, "pushed", 0)

    def push(self) -> None:
        self._call("push", anywhere=True)
        self._here.pushed = self.pushed + 1

    def pop(self) -> None:
        assert self.pushed, "popped more often than pushed"
        self._here.pushed -= 1
        self._call("pop", anywhere=True)

    def make_stream(self) -> int:
        self._call("make_stream")
        handle = next(self._handles)
        self.streams.add(handle)
        return handle

    def close_stream(self, handle: int) -> None:
        self._call("close_stream")
        self.streams.remove(handle)

    def allocate(self, nbytes: int) -> int:
        self._call("allocate")
        return self._take(self.memory, nbytes)

    def free(self, address: int) -> None:
        self._call("free")
        del self.memory[address]

    def pin(self, nbytes: int) -> int:
        self._call("pin")
        return self._take(self.pinned, nbytes)

    def unpin(self, address: int) -> None:
        self._call("unpin")
        del self.pinned[address]

    def copy(self, call: str, to: int, source: int, nbytes: int) -> None:
        self._call(call)
        self.enqueue(lambda: self._move(to, source, nbytes))

    def enqueue(self, work: Work) -> None:
        """Puts work on the stream, or into the graph that is being captured."""
        (self._queue if self._capturing is None else self._capturing).append(work)

    def record(self, handle: int) -> None:
        self._call("record")
        assert handle in self.streams

    def synchronize(self) -> None:
        if self._capturing is not None:
            raise GpuError("CaptureUnsupported")
        self._call("synchronize")
        while self._queue:
            try:
                self._queue.pop(0)()
            except GpuError as error:
                self._sticky = error.name
                raise

    def begin_capture(self) -> None:
        self._call("begin_capture")
        self._capturing = []

    def end_capture(self) -> int:
        work, self._capturing = self._capturing, None
        assert work is not None
        self._call("end_capture")
        handle = next(self._handles)
        self.graphs[handle] = work
        return handle

    def launch(self, handle: int) -> None:
        self._call("launch")
        for work in self.graphs[handle]:
            self.enqueue(work)

    def destroy_graph(self, handle: int) -> None:
        self._call("destroy_graph")
        del self.graphs[handle]

    def kernel(self) -> None:
        """Called by work when it runs, so that a test can let it fail there."""
        self._call("kernel", anywhere=True)

    def touch(self, address: int) -> None:
        """Called by work before it reads or writes: an address that nobody allocated raises an error, as on a GPU."""
        if not any(start <= address < start + block.nbytes for start, block in self.memory.items()):
            raise GpuError("IllegalAddress")

    def _call(self, call: str, anywhere: bool = False) -> None:
        self.calls.append(call)
        assert anywhere or self.pushed, f"{call} outside the context"
        # What is current in a thread is no matter of the GPU, and can be changed after an error too.
        if self._sticky and call not in ("push", "pop"):
            raise GpuError(self._sticky)
        if call in self._plans:
            after, name, sticky = self._plans[call]
            if after:
                self._plans[call] = (after - 1, name, sticky)
                return
            if sticky:
                self._sticky = name
            raise GpuError(name)

    def _take(self, pool: dict[int, np.ndarray], nbytes: int) -> int:
        if nbytes > TOO_MUCH:
            raise GpuError("OutOfMemory")
        block = np.full(nbytes, 0xCD, np.uint8)  # nobody may count on zeros
        pool[block.ctypes.data] = block
        return block.ctypes.data

    def _move(self, to: int, source: int, nbytes: int) -> None:
        for address in (to, source):
            assert any(
                start <= address and address + nbytes <= start + block.nbytes
                for pool in (self.memory, self.pinned)
                for start, block in pool.items()
            ), "copied from or to what is not allocated"
        ctypes.memmove(to, source, nbytes)


class FakeDevice(CudaDevice):
    """The contract on a :class:`FakeGpu` of the test's own."""

    implementation = "fake"
    can_capture = True

    def __init__(self, fake: FakeGpu, index: int = 0) -> None:
        self.fake = fake
        super().__init__(index)
        self.gpu = Gpu(fake.name, "8.7", 8 << 30, 16)

    @classmethod
    def installed(cls) -> bool:
        return True

    @classmethod
    def why_unavailable(cls, index: int = 0) -> str:
        return "" if index in (0, 1) else f"there is no GPU {index}: this machine has 2, counted from 0"

    @classmethod
    def gpu_of(cls, index: int = 0) -> Gpu:
        return Gpu("Fake Orin", "8.7", 8 << 30, 16)

    @property
    def stream(self) -> int:
        return self._handle

    def _open(self) -> None:
        with self.current():
            self._handle = self._do("making a stream", self.fake.make_stream)

    def _shut(self) -> None:
        self.shut = True

    def _close_stream(self) -> None:
        self._do("closing the stream", self.fake.close_stream, self._handle)

    def _push(self) -> None:
        self._do("entering the context", self.fake.push)

    def _pop(self) -> None:
        self._do("leaving the context", self.fake.pop)

    def _allocate(self, nbytes: int) -> int:
        return self._do(f"allocating {nbytes} bytes on the device", self.fake.allocate, nbytes)

    def _free(self, address: int) -> None:
        self._do("freeing device memory", self.fake.free, address)

    def _allocate_pinned(self, nbytes: int) -> np.ndarray:
        address = self._do(f"allocating {nbytes} bytes of pinned memory", self.fake.pin, nbytes)
        return self.fake.pinned[address]

    def _to_device(self, address: int, array: np.ndarray) -> None:
        self._do(
            "copying to the device", self.fake.copy, "to_device", address, array.ctypes.data, array.nbytes
        )

    def _to_host(self, array: np.ndarray, address: int) -> None:
        self._do("copying to the host", self.fake.copy, "to_host", array.ctypes.data, address, array.nbytes)

    def _synchronize(self) -> None:
        self._do("waiting for the stream", self.fake.synchronize)

    def _begin_capture(self) -> None:
        self._do("starting a capture", self.fake.begin_capture)

    def _abandon_capture(self) -> None:
        self.fake.destroy_graph(self.fake.end_capture())

    def _end_capture(self) -> int:
        return self._do("ending a capture", self.fake.end_capture)

    def _launch(self, handle: int) -> None:
        self._do("launching a CUDA graph", self.fake.launch, handle)

    def _destroy_graph(self, handle: int) -> None:
        self._do("freeing a CUDA graph", self.fake.destroy_graph, handle)

    def _do(self, doing: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except GpuError as error:
            raise self._failed(doing, f"fake{error.name}") from error
