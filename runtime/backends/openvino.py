"""The OpenVINO backend: Intel's and AMD's CPUs, and Intel's GPUs and NPUs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...core.callbacks import OnMessage
from ...core.errors import BackendError, MissingDependencyError
from ...core.libraries import load_openvino
from ..bundle import Variant
from .base import Backend
from .graph_form import check_graph

_F32 = "-f32"
_FORM = re.compile(rf"(cpu|gpu|npu)(\.\d+)?({_F32})?")
_PRECISIONS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}
_FROM_FINE_TO_COARSE = ("fp32", "fp16", "bf16", "int8")


class _Place(NamedTuple):
    """A place for a result: the array, and OpenVINO's view of it."""

    logits: npt.NDArray[np.float32]
    tensor: Any


class _Compiled(NamedTuple):
    """The network, compiled for one number of frames."""

    request: Any
    places: Iterator[_Place]


class OpenVinoBackend(Backend):
    """Runs a variant with OpenVINO.

    ``device`` is ``cpu``, ``gpu`` or ``npu``, with a number if there are several: ``gpu.1``. OpenVINO itself chooses
    the precision, such as bfloat16 on a CPU that has it; :attr:`precision` has the choice. ``cpu-f32``, and the same
    for each device, computes in float32. A missing device is an error, never a silent run on the CPU.

    A frame is read without a copy, and logits are written to one of :attr:`RESULTS_KEPT` places in turn. The network is
    compiled for one frame, and again for each other number of frames when it first occurs.
    """

    name = "openvino"
    auto_devices = ("cpu-f32", "cpu")

    def __init__(
        self,
        variant: Variant,
        input_size_hw: tuple[int, int],
        device: str = "cpu",
        threads: int | None = None,
        on_message: OnMessage = lambda line: None,
    ) -> None:
        super().__init__(variant, input_size_hw, device, threads, on_message)
        self._path = variant.path
        self._openvino = _import()
        self._device = device.removesuffix(_F32).upper()
        self._config: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads is not None and self._device.startswith("CPU"):
            self._config["INFERENCE_NUM_THREADS"] = threads
        if device.endswith(_F32):
            self._config["INFERENCE_PRECISION_HINT"] = "f32"
        self._core: Any = self._openvino.Core()
        self._compiled: dict[int, _Compiled] = {}
        self._model: Any = self._read(variant)
        model = self._compile(1)
        computes_in = _PRECISIONS[model.get_property("INFERENCE_PRECISION_HINT").get_type_name()]
        self.precision = max(variant.precision, computes_in, key=_FROM_FINE_TO_COARSE.index)
        _, channels, height, width = model.output(0).shape
        self.logits_chw = (channels, height, width)

    @classmethod
    def why_unavailable(cls, device: str) -> str:
        """Returns the reason that OpenVINO cannot run on a device here, and what to do; empty if it can."""
        if not _FORM.fullmatch(device):
            return (
                f"{cls.name} knows no device {device!r}; known: cpu, gpu and npu, with a number as in gpu.1 where"
                f" there are several, and with {_F32} to compute in float32"
            )
        try:
            core = _import().Core()
        except MissingDependencyError as error:
            return str(error)
        wanted, there = device.removesuffix(_F32).upper(), core.available_devices
        # The first of several GPUs is also called GPU.
        if wanted in there or f"{wanted}.0" in there:
            return ""
        return (
            f"OpenVINO finds no device {wanted} here (it finds {', '.join(there) or 'none'}); install that device's"
            " driver, or use --device cpu"
        )

    @classmethod
    def targets(cls, device: str) -> tuple[str, ...]:
        """The target that runs everywhere; on a CPU also those of both forms of INT8, for which it has kernels."""
        return ("any", "cpu", "tensorrt") if device.startswith("cpu") else ("any", "tensorrt")

    @classmethod
    def version(cls, device: str) -> str:
        """OpenVINO's version, and the device's full name."""
        openvino = _import()
        name = openvino.Core().get_property(device.removesuffix(_F32).upper(), "FULL_DEVICE_NAME")
        return f"{openvino.__version__} on {name}"

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        count = len(frame_nhwc)
        if count not in self._compiled:
            self._compile(count)
        request, places = self._compiled[count]
        logits, tensor = next(places)
        # The variable keeps the memory alive, because OpenVINO does not.
        frame = self._tensor(np.require(frame_nhwc, requirements=("C", "W")))
        try:
            request.set_input_tensor(frame)
            request.set_output_tensor(tensor)
            # infer() would also copy the results.
            request.start_async()
            request.wait()
        except RuntimeError as error:
            raise BackendError(f"OpenVINO failed on a frame: {_brief(error)}") from error
        return logits

    def _read(self, variant: Variant) -> Any:
        """Lets OpenVINO read the network from the checked bytes."""
        graph = variant.read()
        check_graph(graph, self._path)
        try:
            model = self._core.read_model(graph)
        except RuntimeError as error:
            raise self._not_loaded(error) from error
        inputs, outputs = ([port.any_name for port in ports] for ports in (model.inputs, model.outputs))
        if inputs != ["frame"] or outputs != ["logits"]:
            raise BackendError(
                f"{self._path} has the inputs {inputs} and outputs {outputs}; expected frame and logits"
            )
        return model

    def _compile(self, count: int) -> Any:
        """Compiles the network for one number of frames, which runs faster than for any number."""
        try:
            self._model.reshape({"frame": [count, *self._input_size_hw, 3]})
            compiled = self._core.compile_model(self._model, self._device, self._config)
            request = compiled.create_infer_request()
        except RuntimeError as error:
            raise self._not_loaded(error) from error
        shape = tuple(compiled.output(0).shape)
        arrays = [np.empty(shape, np.float32) for _ in range(self.RESULTS_KEPT)]
        places = itertools.cycle([_Place(array, self._tensor(array)) for array in arrays])
        self._compiled[count] = _Compiled(request, places)
        return compiled

    def _not_loaded(self, error: Exception) -> BackendError:
        return BackendError(f"OpenVINO cannot load {self._path} on {self.device}: {_brief(error)}")

    def _tensor(self, array: npt.NDArray[Any]) -> Any:
        return self._openvino.Tensor(array, shared_memory=True)

    def _close(self) -> None:
        self._compiled.clear()
        self._model = self._core = None


def _import() -> Any:
    try:
        return load_openvino()
    except ImportError as error:
        raise MissingDependencyError("openvino", "openvino", "the openvino backend") from error


def _brief(error: Exception) -> str:
    """The line of OpenVINO's message with the error; the lines before it name a place in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or ["no reason given"])[0].rstrip(":")
