"""The TensorRT backend: NVIDIA's own and the one for RTX, with the same code."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...core.callbacks import OnMessage
from ...core.errors import BackendError, BundleError
from ..bundle import Bundle, Variant
from ..tensorrt.cuda import gpu_of, open_device, why_no_device
from ..tensorrt.cuda.base import CudaDevice
from ..tensorrt.cuda.results import ArraySpec, ResultRing, zeroed
from ..tensorrt.engines import EngineRequest, get_engine
from ..tensorrt.loaded import LoadedEngine, StaleEngineError
from ..tensorrt.module import TensorRT, find_tensorrt, why_missing
from ..tensorrt.network import CLASSES, FRAME, LOGITS, SUM
from ..tensorrt.options import BuildOptions
from .base import Backend, ClassMaps

_WARMUP_RUNS = 3
"""The runs of a warm-up: the first initializes, the second is captured as a CUDA graph, the third replays it."""


class TensorRTBackend(Backend):
    """Runs a variant's engine on an NVIDIA GPU; ``device`` is ``cuda`` or ``cuda:N``.

    The engine comes from the user's own cache, or is built now, which takes minutes and is reported. No memory is
    allocated for a frame: a result is in one of :attr:`RESULTS_KEPT` places and stays valid until this many more frames
    have been inferred. To keep it longer, copy it, as :class:`Segmenter` does. If a call has more frames than the
    engine takes, they are run one after the other, and copied.

    If this TensorRT does not load the cached engine, as after an update of its libraries, it is built again once.

    An error of CUDA or TensorRT ends its work: from then on each call raises, with that error in the message.

    Attributes:
        flavour: the TensorRT module that runs; if None the first that is installed.
        batch: the smallest and the largest number of frames that the engine takes at once.
        cuda_graph: True if a frame is replayed as a CUDA graph when that is possible.
        why_no_graph: the reason that operators are put on the GPU one by one, without a CUDA graph; empty if they are
            not.

    Args:
        variant: the variant to run.
        input_size_hw: height and width of the graph's input.
        device: ``cuda`` or ``cuda:N``.
        threads: of the CPU; not used.
        on_message: called when an engine is built, with the reason, and with TensorRT's warnings.
        options: how the engine is built; if None, those of the last fitting build of ``edgeseg build``.

    Raises:
        BackendError: TensorRT or the GPU is missing, the variant is made for the CPU, or the engine cannot be
            built or loaded.
        BundleError: the graph has changed since the bundle was opened.
        OutputError: the engine cache cannot be used.
    """

    name = "tensorrt"
    default_device = "cuda"
    auto_devices: ClassVar[tuple[str, ...]] = ("cuda",)
    flavour: ClassVar[str | None] = None
    cuda_graph = True

    def __init__(
        self,
        variant: Variant,
        input_size_hw: tuple[int, int],
        device: str = "cuda",
        threads: int | None = None,
        on_message: OnMessage = lambda line: None,
        options: BuildOptions | None = None,
    ) -> None:
        super().__init__(variant, input_size_hw, device, threads, on_message)
        if variant.target not in self.targets(device):
            raise BackendError(
                f"variant {variant.name} is made for {variant.target}; TensorRT takes those for"
                f" {' or '.join(self.targets(device))}: name such a one, or use --backend onnxruntime"
            )
        self.why_no_graph = ""
        self._unhealthy = ""
        self._inputs: list[npt.NDArray[np.uint8]] = []
        tensorrt = find_tensorrt(self.flavour)
        with ExitStack() as on_failure:
            self._cuda: CudaDevice = open_device(_gpu_index(device))
            on_failure.callback(self._close)
            with self._cuda.current():
                self._load(tensorrt, variant, options, on_message)
                self.batch = self._engine.batch
                self.logits_chw = self._engine.logits_chw
                self.classes_size_hw = self._engine.classes_size_hw
                self._engine.execution(self.batch[0])  # an engine that cannot run must fail now
                self._frame = zeroed(self._cuda, self._engine.specs[FRAME])
                self._ring = ResultRing(self._cuda, self._engine.specs, self.RESULTS_KEPT)
            on_failure.pop_all()

    @classmethod
    def why_unavailable(cls, device: str) -> str:
        """Returns the reason that TensorRT cannot run on a device here, and what to do; empty if it can."""
        index = _gpu_index(device)
        if index < 0:
            return f"{cls.name} knows no device {device!r}; known: cuda, and cuda:N for GPU N"
        return why_missing(cls.flavour) or why_no_device(index)

    @classmethod
    def targets(cls, device: str) -> tuple[str, ...]:
        """TensorRT's own target, and the one that runs everywhere."""
        return ("any", "tensorrt")

    @classmethod
    def default_variant(cls, bundle: Bundle, device: str) -> Variant:
        """The bundle's own choice; with TensorRT for RTX not INT8, if there is another.

        TensorRT for RTX quantizes only weights: a Q/DQ graph computes in floats there, and is not faster.
        """
        usual = super().default_variant(bundle, device)
        if usual.precision != "int8" or not find_tensorrt(cls.flavour).for_rtx:
            return usual
        try:
            return bundle.variant_for(("any",))
        except BundleError:
            return usual

    @classmethod
    def version(cls, device: str) -> str:
        """TensorRT's flavour and version, and the GPU."""
        gpu = gpu_of(_gpu_index(device))
        return f"{find_tensorrt(cls.flavour).title} on {gpu.name}, {gpu.compute_capability}"

    def new_input(self, count: int = 1) -> npt.NDArray[np.uint8]:
        """Allocates pinned memory, from which the GPU reads frames without a copy on the host."""
        frame_nhwc: npt.NDArray[np.uint8] = zeroed(
            self._cuda, ArraySpec((count, *self._input_size_hw, 3), np.uint8)
        )
        self._inputs.append(frame_nhwc)
        return frame_nhwc

    def warmup(self) -> None:
        """Runs black frames until all work done only once is finished, including the CUDA graph."""
        for _ in range(_WARMUP_RUNS):
            super().warmup()
        with self._cuda.current():
            self._engine.keep_kernels()

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
                " start the program again, because the state of the GPU is undefined"
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
        # Too few frames for the engine run together with old frames, whose results nobody reads.
        batch = max(count, self.batch[0])
        memory = self._engine.memory
        if batch == count and any(frame_nhwc is own for own in self._inputs):
            self._cuda.copy_to_device(memory[FRAME], frame_nhwc)
        else:
            self._frame[:count] = frame_nhwc
            self._cuda.copy_to_device(memory[FRAME], self._frame[:batch])
        execution = self._engine.execution(batch)
        execution.enqueue(self.cuda_graph)
        self.why_no_graph = execution.why_no_graph
        results = {name: array[:count] for name, array in self._ring.take(names).items()}
        for name, array in results.items():
            self._cuda.copy_to_host(array, memory[name])
        self._cuda.synchronize()
        return results

    def _load(
        self, tensorrt: TensorRT, variant: Variant, options: BuildOptions | None, on_message: OnMessage
    ) -> None:
        size_hw = self._input_size_hw
        request = EngineRequest(variant, size_hw, tensorrt, self._cuda.gpu, options)
        obtained = get_engine(request, on_message=on_message, on_warning=on_message)
        try:
            self._engine = LoadedEngine(self._cuda, tensorrt, obtained, size_hw)
            return
        except StaleEngineError as error:
            if obtained.seconds is not None:  # a fresh engine fails too, so another build would not help
                raise
            on_message(f"building an engine for {variant.name}: {error}")
        again = replace(request, options=obtained.identity.options, force=True)
        obtained = get_engine(again, on_message=on_message, on_warning=on_message)
        self._engine = LoadedEngine(self._cuda, tensorrt, obtained, size_hw)

    def _close(self) -> None:
        try:
            with self._cuda.current():
                self._release()
        except BackendError:
            # After an error the context may be gone; that error was reported already.
            if not self._unhealthy:
                raise
        finally:
            self._release()
            self._cuda.close()

    def _release(self) -> None:
        """Drops TensorRT's objects and the pinned arrays."""
        engine = self.__dict__.pop("_engine", None)
        if engine is not None:
            engine.close()
        for attribute in ("_ring", "_frame", "_inputs"):
            self.__dict__.pop(attribute, None)


class TensorRTForRtxBackend(TensorRTBackend):
    """Runs a variant with TensorRT for RTX, even if NVIDIA's other TensorRT is installed."""

    name = "tensorrt_rtx"
    auto_devices: ClassVar[tuple[str, ...]] = ()  # TensorRTBackend already stands for the first installed one
    flavour = "tensorrt_rtx"


def _gpu_index(device: str) -> int:
    """The index of the GPU that a device names, or -1."""
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    return int(match[1] or 0) if match else -1
