"""Inference backends by name. Each is imported when it is first needed."""

from __future__ import annotations

from typing import cast

from ...core.errors import BackendError
from ...core.registry import Registry, load
from .base import Backend

AUTO = "auto"
"""Stands for the fastest backend that gives the right masks, see :mod:`.auto`."""

_BACKENDS: Registry[str] = Registry("backend", BackendError, f"; or {AUTO}, to run frames")
register, names = _BACKENDS.register, _BACKENDS.names


def backend_class(name: str) -> type[Backend]:
    """Imports a backend by its name.

    Raises:
        BackendError: there is none of this name; the message lists the known ones.
    """
    return cast("type[Backend]", load(_BACKENDS.entry(name)))


register("onnxruntime", "edgeseg.runtime.backends.onnxruntime:OnnxRuntimeBackend")
register("tensorrt", "edgeseg.runtime.backends.tensorrt:TensorRTBackend")
register("tensorrt_rtx", "edgeseg.runtime.backends.tensorrt:TensorRTForRtxBackend")
register("openvino", "edgeseg.runtime.backends.openvino:OpenVinoBackend")
