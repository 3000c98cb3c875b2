"""ONNX Runtime: the CPU everywhere, CUDA and TensorRT where its GPU package is installed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from packaging.version import Version

from ...core.errors import BackendError, EdgesegError, MissingDependencyError
from ...core.libraries import load_onnxruntime
from ..bundle import Variant
from ..cache import Kind, Store, key_of_fields
from ..cpu import all_cpus_are_usable, usable_cpus
from .base import Backend, Say
from .graph_cache import GraphCache
from .graph_form import check_graph

# Each provider list starts with the one asked for; what TensorRT cannot take, CUDA runs.
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

# It quantizes the convolutions that an INT8 variant leaves in float, with one scale for all channels.
_UNWANTED = ["WeightBiasQuantization"]

_Place = tuple[Any, npt.NDArray[np.float32]]
"""A binding, and the array that its logits are written to."""


class OnnxRuntimeBackend(Backend):
    """Runs a variant with ONNX Runtime; ``device`` is ``cpu``, ``cpu-spin``, ``cuda`` or ``tensorrt``.

    On ``cpu-spin`` threads that wait for the next operator keep their core busy: quicker on a machine that does nothing
    else, slower on any other. A GPU that is asked for and absent is an error, never a silent run on the CPU.

    On the CPU a frame is read where it lies, and logits are written to one of :attr:`RESULTS_KEPT` places in turn. The
    graph is optimized once a machine and kept, see :mod:`.graph_cache`. docs/backends.md has what the session's
    settings were measured to do.
    """

    name = "onnxruntime"
    works_after_fork = True
    auto_devices = ("cpu", "cuda")  # the TensorRT provider builds engines at its first start, for minutes

    def __init__(
        self,
        variant: Variant,
        input_size_hw: tuple[int, int],
        device: str = "cpu",
        threads: int | None = None,
        say: Say = lambda line: None,
    ) -> None:
        super().__init__(variant, input_size_hw, device, threads, say)
        self._ort = _import()
        self._threads = threads
        self._on_cpu = device.startswith("cpu")
        self._places: dict[int, Iterator[_Place]] = {}
        try:
            self._session: Any = (
                self._open_cached(variant, say)
                if self._on_cpu
                else self._open(_graph(variant), providers=self._gpu_providers(variant))
            )
        except EdgesegError:
            raise
        except Exception as error:  # ONNX Runtime's errors share no other base
            raise BackendError(
                f"ONNX Runtime cannot load {variant.path} on {device}: {_brief(error)}"
            ) from error
        # A provider whose libraries do not load is left out without an error.
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
        """Why ONNX Runtime cannot run on a device here, and what to do; empty where it can."""
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
        """What is made for its CPU kernels, or for its GPU providers, and what runs everywhere."""
        return ("any", "cpu" if device.startswith("cpu") else "tensorrt")

    @classmethod
    def version(cls, device: str) -> str:
        """ONNX Runtime's version."""
        return str(_import().__version__)

    def _open_cached(self, variant: Variant, say: Say) -> Any:
        """A session on the CPU: on the graph that was optimized earlier, or it is optimized now and kept."""
        settings = {}
        if variant.target == "tensorrt":
            # The kernels of the CPU want another form: this one runs in float between Q and DQ, as TensorRT rounds.
            settings["session.disable_quant_qdq"] = "1"
        cache = GraphCache(variant, self.version("cpu"), settings, say)
        optimized = cache.find()
        if optimized is not None:
            # What is done to it already must not be done to it twice.
            off = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            try:
                return self._open(optimized, settings, graph_optimization_level=off)
            except Exception as error:  # as above
                say(f"optimizing the graph again: {_brief(error)}")
            optimized = None
        with cache.writing() as path:
            written = {} if path is None else {"optimized_model_filepath": str(path)}
            # No name holds the bytes: they go before the optimized graph is read.
            return self._open(_graph(variant), settings, **written)

    def _gpu_providers(self, variant: Variant) -> list[tuple[str, dict[str, str]]]:
        """The GPU's providers with their options; what they cannot take, the CPU runs, as they themselves prefer.

        ONNX Runtime computes shapes on the CPU in any case. That the GPU is used at all is checked once it is open.
        """
        cuda = {"use_tf32": "0"}
        if self.device == "cuda":
            return [(_CUDA, cuda)]
        # The provider takes a graph's own precision only where its flags allow that.
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
        """Opens a session on a graph's bytes; no file of that graph is opened again, or another in its place."""
        options = self._ort.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised; stderr belongs to the user
        # Bytes may pass for ONNX Runtime's own format too, which nothing has checked.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # Threads that spin between operators take the cores from the threads that resize, decode and draw.
        spin = "1" if self.device == "cpu-spin" else "0"
        options.add_session_config_entry("session.intra_op.allow_spinning", spin)
        if self._threads is not None or not all_cpus_are_usable():
            # By itself it starts a thread for every core of the machine, also where the process may use but some.
            options.intra_op_num_threads = self._threads or usable_cpus()
        for name, value in (settings or {}).items():
            options.add_session_config_entry(name, value)
        for name, attribute in attributes.items():
            setattr(options, name, attribute)
        session = self._ort.InferenceSession(
            graph, options, providers=providers or _PROVIDERS[self.device], disabled_optimizers=_UNWANTED
        )
        # It would hold them for as long as it lives, for changes of providers, of which there are none.
        session._model_bytes = None
        return session

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        places = self._places.get(len(frame_nhwc))
        try:
            if places is None:
                logits: npt.NDArray[np.float32] = self._session.run(["logits"], {"frame": frame_nhwc})[0]
                if self._on_cpu:  # where else results go, they have to be copied from anyway
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
    """A variant's graph, as it was hashed, once nothing speaks against running it."""
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
