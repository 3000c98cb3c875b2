"""ONNX Runtime: the CPU everywhere, CUDA and TensorRT where its GPU package is installed."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundle import Variant
from ..errors import BackendError, MissingDependencyError
from .base import Backend, Say
from .external_data import has_external_data

# Each provider list starts with the one asked for; what TensorRT cannot take, CUDA runs.
_PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider"],
}

# It quantizes the convolutions that an INT8 variant leaves in float, with one scale for all channels.
_UNWANTED = ["WeightBiasQuantization"]


class OnnxRuntimeBackend(Backend):
    """Runs a variant with ONNX Runtime; ``device`` is ``cpu``, ``cuda`` or ``tensorrt``.

    A GPU that is asked for and absent is an error, never a silent run on the CPU.
    """

    name = "onnxruntime"

    def __init__(
        self,
        variant: Variant,
        input_size_hw: tuple[int, int],
        device: str = "cpu",
        threads: int | None = None,
        say: Say = lambda line: None,
    ) -> None:
        super().__init__(variant, input_size_hw, device, threads, say)
        if has_external_data(variant.path):
            raise BackendError(
                f"{variant.path} keeps tensors in other files, which its SHA-256 does not cover;"
                " save the graph with its weights inside"
            )
        ort = _import()
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised; stderr belongs to the user
        if threads is not None:
            options.intra_op_num_threads = threads
        if device == "cpu" and variant.target == "tensorrt":
            # The kernels of the CPU want another form: this one runs in float between Q and DQ, as TensorRT rounds.
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        if device != "cpu":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            self._session: Any = ort.InferenceSession(
                str(variant.path), options, providers=_PROVIDERS[device], disabled_optimizers=_UNWANTED
            )
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
        available = _import().get_available_providers()
        if _PROVIDERS[device][0] in available:
            return ""
        return (
            f"this ONNX Runtime has no {_PROVIDERS[device][0]} for device {device}"
            f" (it has {', '.join(available)});"
            ' pip uninstall onnxruntime, then pip install "edgeseg[gpu]", or use --device cpu'
        )

    @classmethod
    def targets(cls, device: str) -> tuple[str, ...]:
        """What is made for its CPU kernels, or for its GPU providers, and what runs everywhere."""
        return ("any", "cpu" if device == "cpu" else "tensorrt")

    def _infer(self, frame_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        try:
            logits: npt.NDArray[np.float32] = self._session.run(["logits"], {"frame": frame_nhwc})[0]
        except Exception as error:  # as above
            raise BackendError(f"ONNX Runtime failed on a frame: {_brief(error)}") from error
        return logits

    def _close(self) -> None:
        self._session = None


def _import() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", "gpu", "the onnxruntime backend") from error


def _brief(error: Exception) -> str:
    """The first line of ONNX Runtime's message, without its code."""
    return str(error).strip().splitlines()[0].removeprefix("[ONNXRuntimeError] : ")
