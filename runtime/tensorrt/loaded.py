"""A loaded engine: its tensors, its memory, and one execution context for each number of frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.errors import BackendError
from .cuda.base import CaptureRefusedError, CudaDevice, CudaGraph, DeviceMemory
from .cuda.results import ArraySpec
from .engines import LoadableEngine
from .kernel_cache import KernelCache
from .messages import Messages, make_logger
from .module import TensorRT
from .network import CLASSES, FRAME, LOGITS, SUM


class StaleEngineError(BackendError):
    """The engine's bytes are as stored, but this TensorRT does not load them."""


class LoadedEngine:
    """An engine on the GPU, bound to memory of its own.

    TensorRT's objects are kept in attributes only. A variable would live on in the traceback of an error, and end after
    the context that has its memory. Every method needs the device's context to be current.

    Attributes:
        batch: the smallest and the largest number of frames that the engine takes at once.
        logits_chw: the shape of a frame's logits.
        classes_size_hw: height and width of the class map; None if the engine does not decode.
        specs: the shape and type of each tensor at the largest batch, by name.
        memory: each tensor's memory on the GPU, by name.

    Args:
        cuda: the GPU.
        tensorrt: the TensorRT that built the engine.
        obtained: the engine.
        input_size_hw: height and width that its frames must have.

    Raises:
        StaleEngineError: TensorRT does not load the engine.
        BackendError: the engine has other tensors, or there is not enough memory for it.
    """

    def __init__(
        self, cuda: CudaDevice, tensorrt: TensorRT, obtained: LoadableEngine, input_size_hw: tuple[int, int]
    ) -> None:
        self._cuda, self._tensorrt = cuda, tensorrt
        self._input_size_hw = input_size_hw
        self.messages = Messages()
        self._executions: dict[int, Execution] = {}
        self.memory: dict[str, DeviceMemory] = {}
        self._kernels = KernelCache(obtained.identity, cuda.gpu) if tensorrt.for_rtx else None
        try:
            self._load(obtained)
            self._check()
            self._allocate()
        except BaseException:
            self.close()
            raise

    def execution(self, batch: int) -> Execution:
        """The engine for this number of frames at once, bound to :attr:`memory`; made at the first call.

        Each has its own context, because a CUDA graph depends on its context's state at the capture. They share one
        piece of scratch memory, because their work is on one stream.

        Raises:
            BackendError: TensorRT refuses this number of frames, or there is not enough memory.
        """
        if batch not in self._executions:
            self._executions[batch] = Execution(self, batch)
        return self._executions[batch]

    def keep_kernels(self) -> None:
        """Stores the kernels that TensorRT for RTX has compiled for this GPU, if there are new ones."""
        if self._kernels is not None:
            self._kernels.store()

    def close(self) -> None:
        """Drops the graphs, then TensorRT's objects in the order of dependence."""
        for execution in self._executions.values():
            execution.close()
        self._executions.clear()
        if self._kernels is not None:
            self._kernels.close()
        for attribute in ("_config", "_engine", "_runtime"):
            self.__dict__.pop(attribute, None)

    def _new_context(self) -> Any:
        """Makes a context without its own scratch memory."""
        if "_config" in self.__dict__:
            return self._engine.create_execution_context(self._config)
        strategies = self._tensorrt.module.ExecutionContextAllocationStrategy
        return self._engine.create_execution_context(strategies.USER_MANAGED)

    def _load(self, obtained: LoadableEngine) -> None:
        trt, title = self._tensorrt.module, self._tensorrt.title
        self._logger = make_logger(trt, self.messages)  # TensorRT holds no reference to it
        try:
            self._runtime = trt.Runtime(self._logger)
        except (TypeError, RuntimeError) as error:  # the binding's error for a null pointer
            raise BackendError(f"{title} cannot start: {self.messages.cause(str(error))}") from error
        self._runtime.engine_host_code_allowed = False
        dla_core = obtained.identity.options.dla_core
        if dla_core is not None:
            self._runtime.DLA_core = dla_core
        self._engine = self._runtime.deserialize_cuda_engine(obtained.engine)
        if self._engine is None:
            raise StaleEngineError(
                f"{title} cannot load {obtained.path}: {self.messages.cause('no reason given')};"
                " build it again with edgeseg build --force"
            )
        if self._kernels is not None:
            self._configure(self._kernels)

    def _configure(self, kernels: KernelCache) -> None:
        """Lets TensorRT for RTX compile its kernels before the first frame, and use those of earlier starts."""
        trt = self._tensorrt.module
        if not hasattr(self._engine, "create_runtime_config"):
            return
        self._config = self._engine.create_runtime_config()
        self._config.set_execution_context_allocation_strategy(
            trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        if hasattr(trt, "DynamicShapesKernelSpecializationStrategy") and hasattr(
            self._config, "dynamic_shapes_kernel_specialization_strategy"
        ):
            eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
            self._config.dynamic_shapes_kernel_specialization_strategy = eager
        kernels.attach(self._config)

    def _check(self) -> None:
        """Checks that the engine has edgeseg's tensors, and reads their sizes."""
        trt = self._tensorrt.module
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        found = {
            name: (
                self._engine.get_tensor_mode(name),
                self._engine.get_tensor_dtype(name),
                tuple(self._engine.get_tensor_shape(name)),
            )
            for name in names
        }
        shapes = {name: shape for name, (_, _, shape) in found.items()}
        batch = shapes[FRAME][0] if shapes.get(FRAME) else 0
        height, width = self._input_size_hw
        output, floats = trt.TensorIOMode.OUTPUT, trt.DataType.FLOAT
        expected: dict[str, tuple[Any, Any, tuple[int | None, ...]]] = {
            FRAME: (trt.TensorIOMode.INPUT, trt.DataType.UINT8, (batch, height, width, 3)),
            LOGITS: (output, floats, (batch, None, None, None)),
        }
        if CLASSES in found or SUM in found:
            expected[CLASSES] = (output, trt.DataType.UINT8, (batch, None, None))
            expected[SUM] = (output, floats, (batch, 1, 1, 1))
        fits = found.keys() == expected.keys() and all(
            (mode, dtype) == expected[name][:2] and _fits(shape, expected[name][2])
            for name, (mode, dtype, shape) in found.items()
        )
        if not fits or batch == 0:
            tensors = ", ".join(f"{name} {dtype} {list(shape)}" for name, (_, dtype, shape) in found.items())
            raise BackendError(
                f"the engine is not edgeseg's: it has {tensors}; expected {FRAME} uint8 [N, {height}, {width}, 3],"
                f" and from it {LOGITS}, or {LOGITS}, {CLASSES} and {SUM}: build it again with edgeseg build --force"
            )
        self.batch = (batch, batch)
        if batch < 0:
            smallest, _, largest = self._engine.get_tensor_profile_shape(FRAME, 0)
            self.batch = (int(smallest[0]), int(largest[0]))
        self.logits_chw: tuple[int, int, int] = shapes[LOGITS][1:]
        self.classes_size_hw: tuple[int, int] | None = shapes[CLASSES][1:] if CLASSES in shapes else None

    def _allocate(self) -> None:
        """Allocates all the memory that frames need."""
        largest = self.batch[1]
        self.specs: Mapping[str, ArraySpec] = {
            FRAME: ArraySpec((largest, *self._input_size_hw, 3), np.uint8),
            LOGITS: ArraySpec((largest, *self.logits_chw), np.float32),
        }
        if self.classes_size_hw is not None:
            self.specs = {
                **self.specs,
                CLASSES: ArraySpec((largest, *self.classes_size_hw), np.uint8),
                SUM: ArraySpec((largest, 1, 1, 1), np.float32),
            }
        for name, (shape, dtype) in self.specs.items():
            self.memory[name] = self._cuda.allocate(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        self._scratch = self._cuda.allocate(int(self._engine.device_memory_size_v2))


class Execution:
    """An engine for one number of frames: the first run warms up, the second is captured, later ones replay it.

    Args:
        engine: the engine that runs; it must stay open as long as this.
        batch: the number of frames.

    Raises:
        BackendError: TensorRT refuses this number of frames, or there is not enough memory.
    """

    def __init__(self, engine: LoadedEngine, batch: int) -> None:
        self._cuda, self._messages = engine._cuda, engine.messages
        self._graph: CudaGraph | None = None
        self._warm = False
        self.why_no_graph = ""
        try:
            self._bind(engine, batch)
        except BaseException:
            self.close()
            raise

    def _bind(self, engine: LoadedEngine, batch: int) -> None:
        self._context = engine._new_context()
        if self._context is None:
            raise BackendError(
                f"{engine._tensorrt.title} cannot run the engine: {self._messages.cause('no reason given')};"
                " free memory on the GPU"
            )
        scratch = engine._scratch
        self._context.set_device_memory(scratch.address, scratch.nbytes)
        open_batch = engine.batch[0] != engine.batch[1]
        if open_batch and not self._context.set_input_shape(FRAME, (batch, *engine._input_size_hw, 3)):
            raise BackendError(f"TensorRT refused {batch} frames: {self._messages.cause('no reason given')}")
        for name, memory in engine.memory.items():
            if not self._context.set_tensor_address(name, memory.address):
                raise BackendError(
                    f"TensorRT refused the memory of {name}: {self._messages.cause('no reason')}"
                )

    def enqueue(self, capture: bool) -> None:
        """Puts the engine's work on the stream.

        Args:
            capture: make it a CUDA graph if that is possible.

        Raises:
            BackendError: TensorRT or CUDA failed.
        """
        if capture and self._graph is None and self._warm and not self.why_no_graph and self._capturable():
            try:
                self._graph = self._cuda.capture(self._execute)
            except CaptureRefusedError as error:
                self.why_no_graph = str(error)
                self._messages.errors.clear()
        if self._graph is not None:
            self._graph.launch()
            return
        try:
            self._execute()
        except BackendError:
            self._cuda.synchronize()  # raises with CUDA's name of the error, if it is CUDA's
            raise
        self._warm = True

    def close(self) -> None:
        """Drops the context. The graph goes with the device, or before it."""
        self.__dict__.pop("_context", None)

    def _capturable(self) -> bool:
        # TensorRT for RTX cannot be captured while it compiles kernels, or if it allocates while it runs.
        return not hasattr(self._context, "is_stream_capturable") or bool(
            self._context.is_stream_capturable(self._cuda.stream)
        )

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._cuda.stream):
            raise BackendError(f"TensorRT failed on a frame: {self._messages.cause('no reason given')}")


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    """Returns True if a shape is as expected, where None stands for any fixed length."""
    return len(shape) == len(expected) and all(
        length > 0 if wanted is None else length == wanted
        for length, wanted in zip(shape, expected, strict=True)
    )
