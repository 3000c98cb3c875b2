"""Inference backends by name. Each is imported when it is first asked for."""

from __future__ import annotations

import importlib
from typing import cast

from ..errors import BackendError
from .base import Backend

AUTO = "auto"
"""In the place of a name: the fastest that is right, see :mod:`.auto`."""

_BACKENDS: dict[str, str] = {}


def register(name: str, target: str) -> None:
    """Adds a backend.

    Args:
        name: what people call it.
        target: ``package.module:Class`` of a :class:`Backend`.

    Raises:
        BackendError: the name is taken.
    """
    if name in _BACKENDS:
        raise BackendError(f"a backend named {name!r} is registered already, as {_BACKENDS[name]}")
    _BACKENDS[name] = target


def names() -> tuple[str, ...]:
    """The known names, in order of registration."""
    return tuple(_BACKENDS)


def backend_class(name: str) -> type[Backend]:
    """Looks a backend up and imports it.

    Raises:
        BackendError: there is none of this name; the message lists those there are.
    """
    if name not in _BACKENDS:
        raise BackendError(f"unknown backend {name!r}; known: {', '.join(names())}; or {AUTO}, to run frames")
    module_name, class_name = _BACKENDS[name].split(":")
    return cast("type[Backend]", getattr(importlib.import_module(module_name), class_name))


register("onnxruntime", "edgeseg.runtime.backends.onnxruntime:OnnxRuntimeBackend")
register("tensorrt", "edgeseg.runtime.backends.tensorrt:TensorRTBackend")
register("tensorrt_rtx", "edgeseg.runtime.backends.tensorrt:TensorRTForRtxBackend")
register("openvino", "edgeseg.runtime.backends.openvino:OpenVinoBackend")
