"""``pycuda.driver`` on a fake GPU. Its errors tell CUDA's explanation and not its name, as there."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

EXPLANATIONS = {
    "OutOfMemory": "out of memory",
    "IllegalAddress": "an illegal memory access was encountered",
}


def modules(fake: Any, gpu_error: type[Exception]) -> dict[str, ModuleType]:
    """The module by its name, to be put where imports look."""

    class Error(Exception):
        pass

    class LogicError(Error):
        pass

    def call(routine: str, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except gpu_error as error:
            raise LogicError(f"{routine} failed: {EXPLANATIONS[error.name]}") from error

    class Context:
        def push(self) -> None:
            call("cuCtxPushCurrent", fake.push)

        @staticmethod
        def pop() -> None:
            call("cuCtxPopCurrent", fake.pop)

    class Device:
        def __init__(self, index: int) -> None:
            self.index = index

        @staticmethod
        def count() -> int:
            return 2

        def name(self) -> str:
            return str(fake.name)

        def compute_capability(self) -> tuple[int, int]:
            return 8, 7

        def total_memory(self) -> int:
            return 8 << 30

        def get_attribute(self, attribute: str) -> int:
            return {"MULTIPROCESSOR_COUNT": 16}[attribute]

        def retain_primary_context(self) -> Context:
            fake.retained += 1
            return Context()

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            assert flags == 1
            self.handle = call("cuStreamCreate", fake.make_stream)

        def synchronize(self) -> None:
            call("cuStreamSynchronize", fake.synchronize)

        def __del__(self) -> None:
            if hasattr(self, "handle") and self.handle in fake.streams:
                fake.streams.remove(self.handle)  # it reports no error

    class DeviceAllocation:
        def __init__(self, nbytes: int) -> None:
            self.address = call("cuMemAlloc", fake.allocate, nbytes)

        def __int__(self) -> int:
            return int(self.address)

        def free(self) -> None:
            call("cuMemFree", fake.free, self.address)

    class HostAllocation(np.ndarray):
        """Frees its memory in whichever thread drops it, where the context is current; leaks it where not."""

        address = 0

        def __del__(self) -> None:
            if self.address and fake.pushed:
                del fake.pinned[self.address]

    def pagelocked_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        address = call("cuMemHostAlloc", fake.pin, int(np.prod(shape)))
        array = fake.pinned[address].view(dtype).reshape(shape).view(HostAllocation)
        array.address = address
        return array

    def to_device(address: int, array: np.ndarray, stream: Stream) -> None:
        assert stream.handle in fake.streams
        call("cuMemcpyHtoDAsync", fake.copy, "to_device", address, array.ctypes.data, array.nbytes)

    def to_host(array: np.ndarray, address: int, stream: Stream) -> None:
        assert stream.handle in fake.streams
        call("cuMemcpyDtoHAsync", fake.copy, "to_host", array.ctypes.data, address, array.nbytes)

    driver: Any = ModuleType("pycuda.driver")
    driver.init = lambda: None
    driver.Error, driver.LogicError = Error, LogicError
    driver.device_attribute = SimpleNamespace(MULTIPROCESSOR_COUNT="MULTIPROCESSOR_COUNT")
    driver.Context, driver.Device, driver.Stream = Context, Device, Stream
    driver.mem_alloc, driver.pagelocked_empty = DeviceAllocation, pagelocked_empty
    driver.memcpy_htod_async, driver.memcpy_dtoh_async = to_device, to_host
    return {"pycuda.driver": driver}
