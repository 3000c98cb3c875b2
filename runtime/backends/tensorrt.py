"""TensorRT: NVIDIA's own and the one for RTX, by the same code."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundle import Variant
from ..cuda import gpu_of, open_device, why_no_device
from ..cuda.base import CaptureRefusedError, CudaDevice, DeviceMemory, Graph
from ..cuda.results import ArraySpec, ResultRing, zeroed
from ..errors import BackendError
from ..tensorrt.engines import Obtained, obtain
from ..tensorrt.messages import Messages, make_logger
from ..tensorrt.module import TensorRT, find_tensorrt, why_missing
from ..tensorrt.network import CLASSES, FRAME, LOGITS, SUM
from ..tensorrt.options import BuildOptions
from .base import Backend, ClassMaps, Say

_WARMUP_RUNS = 3
"""The first run warms up, the second is captured as a CUDA graph, the third replays it."""


class TensorRTBackend(Backend):
    """Runs a variant's engine on an NVIDIA GPU; ``device`` is ``cuda`` or ``cuda:N``.

    The engine comes from the user's own cache, or is built now, which takes minutes and is told. Nothing is
    allocated for a frame: a result lies in one of :attr:`RESULTS_KEPT` places and stays valid until so many more
    frames have been inferred. Whoever keeps it longer copies it, as :class:`Segmenter` does. More frames in one call
    than the engine takes are run one after the other, and copied.

    An error of CUDA or TensorRT is the last thing it does: from then on each call raises, telling that error.

    Attributes:
        batch: the smallest and the largest number of frames that the engine takes in one go.
        why_no_graph: why frames are put on the GPU one operator at a time, without a CUDA graph; empty where they
            are not.

    Args:
        variant: what to run.
        input_size_hw: height and width of the graph's input.
        device: ``cuda`` or ``cuda:N``.
        threads: of the CPU, which has nothing to do here.
        say: is told when an engine is built and why, and TensorRT's warnings.
        options: how the engine is built; where None, as ``edgeseg build`` last built one that fits.

    Raises:
        BackendError: TensorRT or the GPU is missing, the variant is made for the CPU, or the engine cannot be
            built or loaded.
        BundleError: the graph was altered since the bundle was opened.
        OutputError: the engine cache cannot be used.
    """

    name = "tensorrt"
    default_device = "cuda"
    auto_devices = ("cuda",)

    def __init__(
        self,
        variant: Variant,
        input_size_hw: tuple[int, int],
        device: str = "cuda",
        threads: int | None = None,
        say: Say = lambda line: None,
        options: BuildOptions | None = None,
    ) -> None:
        super().__init__(variant, input_size_hw, device, threads, say)
        if variant.target not in self.targets(device):
            raise BackendError(
                f"variant {variant.name} is made for {variant.target}; TensorRT takes those for"
                f" {' or '.join(self.targets(device))}: name such a one, or use --backend onnxruntime"
            )
        self.why_no_graph = ""
        self._unhealthy = ""
        self._graph: Graph | None = None
        self._warm = False
        self._batch = 0
        self._inputs: list[npt.NDArray[np.uint8]] = []
        tensorrt = find_tensorrt()
        with ExitStack() as on_failure:
            self._cuda: CudaDevice = open_device(_gpu_index(device))
            on_failure.callback(self._close)
            with self._cuda.current():
                obtained = obtain(
                    variant, input_size_hw, tensorrt, self._cuda.gpu, options, say=say, on_warning=say
                )
                self._load(tensorrt, obtained)
                self._bind()
            on_failure.pop_all()

    @classmethod
    def why_unavailable(cls, device: str) -> str:
        """Why TensorRT cannot run on a device here, and what to do; empty where it can."""
        index = _gpu_index(device)
        if index < 0:
            return f"{cls.name} knows no device {device!r}; known: cuda, and cuda:N for GPU N"
        return why_missing() or why_no_device(index)

    @classmethod
    def targets(cls, device: str) -> tuple[str, ...]:
        """What is made for TensorRT, and what runs everywhere."""
        return ("any", "tensorrt")

    @classmethod
    def version(cls, device: str) -> str:
        """Which TensorRT, and which GPU."""
        gpu = gpu_of(_gpu_index(device))
        return f"{find_tensorrt().title} on {gpu.name}, {gpu.compute_capability}"

    def new_input(self, count: int = 1) -> npt.NDArray[np.uint8]:
        """Allocates pinned memory, from which the GPU reads frames without a copy on the host."""
        frame_nhwc: npt.NDArray[np.uint8] = zeroed(
            self._cuda, ArraySpec((count, *self._input_size_hw, 3), np.uint8)
        )
        self._inputs.append(frame_nhwc)
        return frame_nhwc

    def warmup(self) -> None:
        """Runs black frames until all that is done once is done, the CUDA graph among it."""
        for _ in range(_WARMUP_RUNS):
            super().warmup()

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        logits: npt.NDArray[np.float32] = self._run(frame_nhwc, (LOGITS,))[LOGITS]
        return logits

    def _infer_classes(self, frame_nhwc: npt.NDArray[np.uint8], logits: bool) -> ClassMaps:
        results = self._run(frame_nhwc, (CLASSES, SUM, LOGITS) if logits else (CLASSES, SUM))
        finite = np.isfinite(results[SUM]).reshape(-1)
        return ClassMaps(results[CLASSES], finite, results.get(LOGITS))

    def _run(self, frame_nhwc: npt.NDArray[np.uint8], names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        if self._unhealthy:
            raise BackendError(
                f"{self.name} has stopped, because of an earlier error: {self._unhealthy};"
                " start the program again, for the GPU's state is not to be trusted"
            )
        largest = self.batch[1]
        try:
            with self._cuda.current():
                if len(frame_nhwc) <= largest:
                    return self._run_at_once(frame_nhwc, names)
                parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
                for start in range(0, len(frame_nhwc), largest):
                    results = self._run_at_once(frame_nhwc[start : start + largest], names)
                    for name, array in results.items():
                        parts[name].append(array.copy())
            return {name: np.concatenate(arrays) for name, arrays in parts.items()}
        except Exception as error:
            self._unhealthy = str(error) or type(error).__name__
            raise

    def _run_at_once(
        self, frame_nhwc: npt.NDArray[np.uint8], names: tuple[str, ...]
    ) -> dict[str, npt.NDArray[Any]]:
        count = len(frame_nhwc)
        # Too few frames for the engine are run together with what was there before, which nobody reads.
        batch = max(count, self.batch[0])
        if batch == count and any(frame_nhwc is own for own in self._inputs):
            self._cuda.copy_to_device(self._memory[FRAME], frame_nhwc)
        else:
            self._frame[:count] = frame_nhwc
            self._cuda.copy_to_device(self._memory[FRAME], self._frame[:batch])
        self._set_batch(batch)
        self._put_on_stream()
        results = {name: array[:count] for name, array in self._ring.take(names).items()}
        for name, array in results.items():
            self._cuda.copy_to_host(array, self._memory[name])
        self._cuda.synchronize()
        return results

    def _set_batch(self, batch: int) -> None:
        if batch == self._batch:
            return
        if self._graph is not None:  # it is of the old shapes
            self._graph.close()
        self._graph, self._warm, self._batch = None, False, batch
        if self.batch[0] != self.batch[1] and not self._context.set_input_shape(
            FRAME, (batch, *self._input_size_hw, 3)
        ):
            raise BackendError(f"TensorRT refused {batch} frames: {self._messages.cause('no reason given')}")

    def _put_on_stream(self) -> None:
        if self._graph is None and self._warm and not self.why_no_graph and self._capturable():
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
            self._cuda.synchronize()  # raises with CUDA's name of the error, where it is CUDA's
            raise
        self._warm = True

    def _capturable(self) -> bool:
        # TensorRT for RTX compiles kernels for new shapes while the first frames run, and cannot be captured then.
        return not hasattr(self._context, "is_stream_capturable") or bool(
            self._context.is_stream_capturable(self._cuda.stream)
        )

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._cuda.stream):
            raise BackendError(f"TensorRT failed on a frame: {self._messages.cause('no reason given')}")

    def _load(self, tensorrt: TensorRT, obtained: Obtained) -> None:
        # TensorRT's objects are kept in attributes alone: a variable would live on in the traceback of an error, and
        # end after the context that its memory is in.
        trt = tensorrt.module
        self._messages = Messages()
        self._logger = make_logger(trt, self._messages)  # TensorRT keeps no hold on it
        try:
            self._runtime = trt.Runtime(self._logger)
        except (TypeError, RuntimeError) as error:  # how the binding tells of a null pointer
            raise BackendError(
                f"{tensorrt.title} cannot start: {self._messages.cause(str(error))}"
            ) from error
        self._runtime.engine_host_code_allowed = False
        dla_core = obtained.identity.options.dla_core
        if dla_core is not None:
            self._runtime.DLA_core = dla_core
        self._engine = self._runtime.deserialize_cuda_engine(obtained.engine)
        if self._engine is None:
            raise BackendError(
                f"{tensorrt.title} cannot load {obtained.path}: {self._messages.cause('no reason given')};"
                " build it again with edgeseg build --force"
            )
        self._check_engine(trt)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BackendError(
                f"{tensorrt.title} cannot run the engine: {self._messages.cause('no reason given')};"
                " free memory on the GPU"
            )

    def _check_engine(self, trt: Any) -> None:
        """Sees that the engine is of edgeseg's form, and reads its sizes."""
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
            CLASSES: (output, trt.DataType.UINT8, (batch, None, None)),
            SUM: (output, floats, (batch, 1, 1, 1)),
        }
        fits = found.keys() == expected.keys() and all(
            (mode, dtype) == expected[name][:2] and _fits(shape, expected[name][2])
            for name, (mode, dtype, shape) in found.items()
        )
        if not fits or batch == 0:
            tensors = ", ".join(f"{name} {dtype} {list(shape)}" for name, (_, dtype, shape) in found.items())
            raise BackendError(
                f"the engine is not edgeseg's: it has {tensors}; expected {FRAME} uint8 [N, {height}, {width}, 3],"
                f" and from it {LOGITS}, {CLASSES} and {SUM}: build it again with edgeseg build --force"
            )
        if batch < 0:
            smallest, _, largest = self._engine.get_tensor_profile_shape(FRAME, 0)
            self.batch = (int(smallest[0]), int(largest[0]))
        else:
            self.batch = (batch, batch)
        self.logits_chw = shapes[LOGITS][1:]
        self.classes_size_hw = shapes[CLASSES][1:]

    def _bind(self) -> None:
        """Allocates all that frames need, and tells the engine where it lies, once."""
        assert self.logits_chw is not None
        assert self.classes_size_hw is not None
        largest = self.batch[1]
        specs = {
            FRAME: ArraySpec((largest, *self._input_size_hw, 3), np.uint8),
            LOGITS: ArraySpec((largest, *self.logits_chw), np.float32),
            CLASSES: ArraySpec((largest, *self.classes_size_hw), np.uint8),
            SUM: ArraySpec((largest, 1, 1, 1), np.float32),
        }
        self._memory: dict[str, DeviceMemory] = {}
        for name, (shape, dtype) in specs.items():
            memory = self._cuda.allocate(int(np.prod(shape)) * np.dtype(dtype).itemsize)
            if not self._context.set_tensor_address(name, memory.address):
                raise BackendError(
                    f"TensorRT refused the memory of {name}: {self._messages.cause('no reason')}"
                )
            self._memory[name] = memory
        self._frame = zeroed(self._cuda, specs[FRAME])
        self._ring = ResultRing(self._cuda, specs, self.RESULTS_KEPT)

    def _close(self) -> None:
        try:
            with self._cuda.current():
                self._let_go()
        except BackendError:
            # After an error the context may be gone; that error has been told.
            if not self._unhealthy:
                raise
        finally:
            self._let_go()
            self._cuda.close()

    def _let_go(self) -> None:
        """Drops what is TensorRT's in the order of dependence, and the pinned arrays."""
        for attribute in ("_context", "_engine", "_runtime", "_ring", "_frame", "_inputs"):
            self.__dict__.pop(attribute, None)


def _gpu_index(device: str) -> int:
    """The index of the GPU that a device names, or -1."""
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    return int(match[1] or 0) if match else -1


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    """Whether a shape is as expected, where None is any fixed length."""
    return len(shape) == len(expected) and all(
        length > 0 if wanted is None else length == wanted
        for length, wanted in zip(shape, expected, strict=True)
    )
