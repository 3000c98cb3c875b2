"""``cuda.bindings.runtime`` and ``cuda.bindings.driver`` on a fake GPU: results are (error, value) tuples, as there."""

from __future__ import annotations

from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any


class Error(IntEnum):
    """The codes and names are CUDA's."""

    cudaSuccess = 0  # noqa: N815
    cudaErrorMemoryAllocation = 2  # noqa: N815
    cudaErrorIllegalAddress = 700  # noqa: N815
    cudaErrorStreamCaptureUnsupported = 900  # noqa: N815


NAMES = {
    "OutOfMemory": Error.cudaErrorMemoryAllocation,
    "IllegalAddress": Error.cudaErrorIllegalAddress,
    "CaptureUnsupported": Error.cudaErrorStreamCaptureUnsupported,
}


def modules(fake: Any, gpu_error: type[Exception]) -> dict[str, ModuleType]:
    """The two modules by their names, to be put where imports look."""

    def call(function: Any, *arguments: Any, gives: bool = True) -> tuple[Any, ...]:
        try:
            value = function(*arguments)
        except gpu_error as error:
            return (NAMES[error.name], None) if gives else (NAMES[error.name],)
        return (Error.cudaSuccess, value) if gives else (Error.cudaSuccess,)

    def copy(to: int, source: int, nbytes: int, kind: str, stream: int) -> tuple[Any, ...]:
        assert stream in fake.streams
        return call(fake.copy, kind, to, source, nbytes, gives=False)

    def properties(index: int) -> tuple[Any, ...]:
        name = fake.name.encode() + b"\0"
        return Error.cudaSuccess, SimpleNamespace(
            name=name, major=8, minor=7, totalGlobalMem=8 << 30, multiProcessorCount=16
        )

    def retain(device: int) -> tuple[Any, ...]:
        fake.retained += 1
        return Error.cudaSuccess, "context"

    def instantiate(graph: int) -> int:
        fake.graphs[-graph] = list(fake.graphs[graph])
        return -graph

    def make_stream(flags: int) -> tuple[Any, ...]:
        assert flags == 1
        return call(fake.make_stream)

    runtime: Any = ModuleType("cuda.bindings.runtime")
    runtime.cudaError_t = Error
    runtime.cudaMemcpyKind = SimpleNamespace(
        cudaMemcpyHostToDevice="to_device", cudaMemcpyDeviceToHost="to_host"
    )
    runtime.cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="thread-local")
    runtime.cudaStreamNonBlocking, runtime.cudaHostAllocDefault = 1, 0
    runtime.cudaGetDeviceCount = lambda: (Error.cudaSuccess, 2)
    runtime.cudaGetDeviceProperties = properties
    runtime.cudaGetLastError = lambda: (Error.cudaSuccess,)
    runtime.cudaStreamCreateWithFlags = make_stream
    runtime.cudaStreamDestroy = lambda stream: call(fake.close_stream, stream, gives=False)
    runtime.cudaStreamSynchronize = lambda stream: call(fake.synchronize, gives=False)
    runtime.cudaMalloc = lambda nbytes: call(fake.allocate, nbytes)
    runtime.cudaFree = lambda address: call(fake.free, address, gives=False)
    runtime.cudaHostAlloc = lambda nbytes, flags: call(fake.pin, nbytes)
    runtime.cudaFreeHost = lambda address: call(fake.unpin, address, gives=False)
    runtime.cudaMemcpyAsync = copy
    runtime.cudaStreamBeginCapture = lambda stream, mode: call(fake.begin_capture, gives=False)
    runtime.cudaStreamEndCapture = lambda stream: call(fake.end_capture)
    runtime.cudaGraphInstantiate = lambda graph, flags: call(instantiate, graph)
    runtime.cudaGraphDestroy = lambda graph: call(fake.destroy_graph, graph, gives=False)
    runtime.cudaGraphExecDestroy = lambda graph: call(fake.destroy_graph, graph, gives=False)
    runtime.cudaEventCreate = lambda: (Error.cudaSuccess, object())
    runtime.cudaEventRecord = lambda event, stream: call(fake.record, stream, gives=False)
    runtime.cudaEventSynchronize = lambda event: call(fake.synchronize, gives=False)
    runtime.cudaEventElapsedTime = lambda start, end: (Error.cudaSuccess, 0.25)
    runtime.cudaGraphLaunch = lambda graph, stream: call(fake.launch, graph, gives=False)

    driver: Any = ModuleType("cuda.bindings.driver")
    driver.cuInit = lambda flags: (Error.cudaSuccess,)
    driver.cuDeviceGet = lambda index: (Error.cudaSuccess, index)
    driver.cuDevicePrimaryCtxRetain = retain
    driver.cuCtxPushCurrent = lambda context: call(fake.push, gives=False)
    driver.cuCtxPopCurrent = lambda: call(fake.pop)
    return {module.__name__: module for module in (runtime, driver)}
