"""The ONNX Runtime backend: the CPU everywhere, CUDA and TensorRT if its GPU package is installed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from packaging.version import Version

from ...core.callbacks import OnMessage
from ...core.errors import BackendError, EdgesegError, MissingDependencyError
from ...core.libraries import load_onnxruntime
from ..bundle import Variant
from ..cache import Kind, Store, key_of_fields
from ..cpu import all_cpus_are_usable, usable_cpus
from .base import Backend
from .graph_cache import GraphCache
from .graph_form import check_graph

# Each list starts with the requested provider; CUDA runs what TensorRT cannot.
_CUDA, _TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
_PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cpu-spin": ["CPUExecutionProvider"],
    "cuda": [_CUDA],
    "tensorrt": [_TENSORRT, _CUDA],
}
_WITHOUT_TF32 = "1.18"
"""The oldest ONNX Runtime whose CUDA provider can compute float32 in float32 on GPUs from Ampere on."""

_ENGINES = Kind("engines", "onnxruntime-tensorrt", danger="engines are executable code", key_of=key_of_fields)

# It would quantize the convolutions that an INT8 variant leaves in float, with one scale for all channels.
_UNWANTED = ["WeightBiasQuantization"]

_Place = tuple[Any, npt.NDArray[np.float32]]
"""A binding, and the array that its logits are written to."""


class OnnxRuntimeBackend(Backend):
    """Runs a variant with ONNX Runtime; ``device`` is ``cpu``, ``cpu-spin``, ``cuda`` or ``tensorrt``.

    On ``cpu-spin`` threads that wait for the next operator keep their core busy: faster on a machine that does nothing
    else, slower on any other. A missing GPU is an error, never a silent run on the CPU.

    On the CPU a frame is read without a copy, and logits are written to one of :attr:`RESULTS_KEPT` places in turn. The
    graph is optimized once for each machine and kept, see :mod:`.graph_cache`. docs/backends.md has the measured
    effects of the session's settings.
    """

    name = "onnxruntime"
    works_after_fork = True
    auto_devices = ("cpu", "cuda")  # not tensorrt: its first start builds engines for minutes

    def __init__(
        self,
        variant: Variant,
        input_size_hw: tuple[int, int],
        device: str = "cpu",
        threads: int | None = None,
        on_message: OnMessage = lambda line: None,
    ) -> None:
        super().__init__(variant, input_size_hw, device, threads, on_message)
        self._ort = _import()
        self._threads = threads
        self._on_cpu = device.startswith("cpu")
        self._places: dict[int, Iterator[_Place]] = {}
        try:
            self._session: Any = (
                self._open_cached(variant, on_message)
                if self._on_cpu
                else self._open(_graph(variant), providers=self._gpu_providers(variant))
            )
        except EdgesegError:
            raise
        except Exception as error:  # ONNX Runtime's errors have no other common base
            raise BackendError(
                f"ONNX Runtime cannot load {variant.path} on {device}: {_brief(error)}"
            ) from error
        # ONNX Runtime leaves out a provider whose libraries do not load, without an error.
        if self._session.get_providers()[0] != _PROVIDERS[device][0]:
            raise BackendError(
                f"ONNX Runtime could not start on {device} and would have run on"
                f" {self._session.get_providers()[0]}; check the driver, CUDA and cuDNN, or use --device cpu"
            )
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [i.name for i in inputs] != ["frame"] or [o.name for o in outputs] != ["logits"]:
            raise BackendError(
                f"{variant.path} has the inputs {[i.name for i in inputs]} and outputs"
                f" {[o.name for o in outputs]}; expected frame and logits"
            )

    @classmethod
    def why_unavailable(cls, device: str) -> str:
        """Returns the reason that ONNX Runtime cannot run on a device here, and what to do; empty if it can."""
        if device not in _PROVIDERS:
            return f"{cls.name} knows no device {device!r}; known: {', '.join(_PROVIDERS)}"
        ort = _import()
        available = ort.get_available_providers()
        if _PROVIDERS[device][0] in available:
            if device.startswith("cpu") or Version(ort.__version__) >= Version(_WITHOUT_TF32):
                return ""
            return (
                f"ONNX Runtime {ort.__version__} computes fp32 in TF32 on the GPU; {_WITHOUT_TF32} or later does not:"
                f' pip install --upgrade "onnxruntime-gpu>={_WITHOUT_TF32}"'
            )
        return (
            f"this ONNX Runtime has no {_PROVIDERS[device][0]} for device {device}"
            f" (it has {', '.join(available)});"
            ' pip uninstall onnxruntime, then pip install "edgeseg[gpu]", or use --device cpu'
        )

    @classmethod
    def targets(cls, device: str) -> tuple[str, ...]:
        """The target of its CPU kernels or of its GPU providers, and the one that runs everywhere."""
        return ("any", "cpu" if device.startswith("cpu") else "tensorrt")

    @classmethod
    def version(cls, device: str) -> str:
        """ONNX Runtime's version."""
        return str(_import().__version__)

    def _open_cached(self, variant: Variant, on_message: OnMessage) -> Any:
        """Opens a session on the CPU, with the stored optimized graph; without one, makes and stores it."""
        settings = {}
        if variant.target == "tensorrt":
            # The CPU's INT8 kernels need another form. This one runs in float between Q and DQ, which rounds
            # like TensorRT.
            settings["session.disable_quant_qdq"] = "1"
        cache = GraphCache(variant, self.version("cpu"), settings, on_message)
        optimized = cache.find()
        if optimized is not None:
            # The graph is optimized already.
            off = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            try:
                return self._open(optimized, settings, graph_optimization_level=off)
            except Exception as error:  # as above
                on_message(f"optimizing the graph again: {_brief(error)}")
            optimized = None
        with cache.writing() as path:
            written = {} if path is None else {"optimized_model_filepath": str(path)}
            # No variable holds the bytes, so that they are freed before the optimized graph is read.
            return self._open(_graph(variant), settings, **written)

    def _gpu_providers(self, variant: Variant) -> list[tuple[str, dict[str, str]]]:
        """The GPU's providers with their options. The CPU runs what they cannot run or prefer to leave to it.

        ONNX Runtime computes shapes on the CPU in any case. The use of the GPU is checked once the session is open.
        """
        cuda = {"use_tf32": "0"}
        if self.device == "cuda":
            return [(_CUDA, cuda)]
        # The provider uses a graph's own precision only if its flags allow it.
        half = variant.precision in ("fp16", "int8")
        key = {"onnx_sha256": variant.sha256, "onnxruntime": self.version(self.device)}
        folder = Store(_ENGINES).private_folder(key_of_fields(key))
        tensorrt = {
            "trt_fp16_enable": "1" if half else "0",
            "trt_int8_enable": "1" if variant.precision == "int8" else "0",
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
        return [(_TENSORRT, tensorrt), (_CUDA, cuda)]

    def _open(
        self,
        graph: bytes,
        settings: dict[str, str] | None = None,
        providers: Sequence[Any] | None = None,
        **attributes: object,
    ) -> Any:
        """Opens a session on a graph's bytes, so that no file is opened again that could have changed."""
        options = self._ort.SessionOptions()
        options.log_severity_level = 4  # errors are raised; stderr belongs to the user
        # Without it the bytes could be read as ONNX Runtime's own format, which nothing has checked.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # Threads that spin between operators keep the cores from the threads that resize, decode and draw.
        spin = "1" if self.device == "cpu-spin" else "0"
        options.add_session_config_entry("session.intra_op.allow_spinning", spin)
        if self._threads is not None or not all_cpus_are_usable():
            # Its default is a thread for every core of the machine, even if the process may use only some of
            # them.
            options.intra_op_num_threads = self._threads or usable_cpus()
        for name, value in (settings or {}).items():
            options.add_session_config_entry(name, value)
        for name, attribute in attributes.items():
            setattr(options, name, attribute)
        session = self._ort.InferenceSession(
            graph, options, providers=providers or _PROVIDERS[self.device], disabled_optimizers=_UNWANTED
        )
        # The session would keep the bytes for a change of providers, which never happens.
        session._model_bytes = None
        return session

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        places = self._places.get(len(frame_nhwc))
        try:
            if places is None:
                logits: npt.NDArray[np.float32] = self._session.run(["logits"], {"frame": frame_nhwc})[0]
                if self._on_cpu:  # on a GPU the results must be copied anyway
                    self._places[len(frame_nhwc)] = self._make_places(logits.shape)
                return logits
            binding, logits = next(places)
            binding.bind_cpu_input("frame", np.ascontiguousarray(frame_nhwc))
            self._session.run_with_iobinding(binding)
        except Exception as error:  # as above
            raise BackendError(f"ONNX Runtime failed on a frame: {_brief(error)}") from error
        return logits

    def _make_places(self, shape: tuple[int, ...]) -> Iterator[_Place]:
        places = []
        for _ in range(self.RESULTS_KEPT):
            logits = np.empty(shape, np.float32)
            binding = self._session.io_binding()
            binding.bind_ortvalue_output("logits", self._ort.OrtValue.ortvalue_from_numpy(logits))
            places.append((binding, logits))
        return itertools.cycle(places)

    def _close(self) -> None:
        self._places.clear()
        self._session = None


def _graph(variant: Variant) -> bytes:
    """Reads a variant's graph, and checks its SHA-256 and its form."""
    graph = variant.read()
    check_graph(graph, variant.path)
    return graph


def _import() -> Any:
    try:
        return load_onnxruntime()
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", "gpu", "the onnxruntime backend") from error


def _brief(error: Exception) -> str:
    """The first line of ONNX Runtime's message, without its code."""
    return str(error).strip().splitlines()[0].removeprefix("[ONNXRuntimeError] : ")
