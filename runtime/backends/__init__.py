"""Inference backends by name. Each is imported when it is first asked for."""

from __future__ import annotations

from typing import cast

from ...core.errors import BackendError
from ...core.registry import Registry, load
from .base import Backend

AUTO = "auto"
"""In the place of a name: the fastest that is right, see :mod:`.auto`."""

_BACKENDS: Registry[str] = Registry("backend", BackendError, f"; or {AUTO}, to run frames")
register, names = _BACKENDS.register, _BACKENDS.names


def backend_class(name: str) -> type[Backend]:
    """Looks a backend up and imports it.

    Raises:
        BackendError: there is none of this name; the message lists those there are.
    """
    return cast("type[Backend]", load(_BACKENDS.entry(name)))


register("onnxruntime", "edgeseg.runtime.backends.onnxruntime:OnnxRuntimeBackend")
register("tensorrt", "edgeseg.runtime.backends.tensorrt:TensorRTBackend")
register("tensorrt_rtx", "edgeseg.runtime.backends.tensorrt:TensorRTForRtxBackend")
register("openvino", "edgeseg.runtime.backends.openvino:OpenVinoBackend")
