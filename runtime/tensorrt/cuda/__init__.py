"""Device memory, streams and CUDA graphs, through the package that the machine has.

There are two: ``cuda-python``, a wheel on desktops, servers and Jetsons from JetPack 7 on, and ``pycuda``, which builds
against any CUDA, such as JetPack 6's. Each is imported when a device is first needed.
"""

from __future__ import annotations

import importlib
from typing import cast

from ....core.errors import BackendError
from .base import CudaDevice, Gpu

_IMPLEMENTATIONS: dict[str, str] = {
    "cuda-python": "edgeseg.runtime.tensorrt.cuda.cuda_python_device:CudaPythonDevice",
    "pycuda": "edgeseg.runtime.tensorrt.cuda.pycuda_device:PyCudaDevice",
}


def implementations() -> tuple[str, ...]:
    """The packages' names, the preferred one first: ``cuda-python``, because it makes CUDA graphs."""
    return tuple(_IMPLEMENTATIONS)


def device_class(implementation: str) -> type[CudaDevice]:
    """Returns an implementation by its name.

    Raises:
        BackendError: there is none of this name; the message lists the known ones.
    """
    if implementation not in _IMPLEMENTATIONS:
        raise BackendError(
            f"unknown CUDA implementation {implementation!r}; known: {', '.join(implementations())}"
        )
    module_name, class_name = _IMPLEMENTATIONS[implementation].split(":")
    return cast("type[CudaDevice]", getattr(importlib.import_module(module_name), class_name))


def open_device(index: int = 0, implementation: str | None = None) -> CudaDevice:
    """Opens a GPU: its primary context and a stream.

    Args:
        index: of the GPU, from 0.
        implementation: ``pycuda`` or ``cuda-python``; if None the first of :func:`implementations` that works.

    Raises:
        BackendError: there is no such GPU, or no package that reaches it; the message names the package to install.
    """
    return _find(index, implementation)(index)


def gpu_of(index: int = 0, implementation: str | None = None) -> Gpu:
    """Reads a GPU's properties without making a context on it.

    Raises:
        BackendError: as :func:`open_device`.
    """
    return _find(index, implementation).gpu_of(index)


def why_no_device(index: int = 0, implementation: str | None = None) -> str:
    """Returns the reason that there is no such GPU, and what to do; empty if there is one.

    Raises:
        BackendError: the implementation is unknown.
    """
    if implementation:
        return device_class(implementation).why_unavailable(index)
    installed = [found for found in map(device_class, implementations()) if found.installed()]
    if not installed:
        return (
            'no CUDA package for Python is installed: pip install "edgeseg[tensorrt]" brings cuda-python;'
            ' on a Jetson, pip install "edgeseg[jetson]" brings pycuda'
        )
    reasons = [found.why_unavailable(index) for found in installed]
    return "" if "" in reasons else "; ".join(reasons)


def _find(index: int, implementation: str | None) -> type[CudaDevice]:
    for name in (implementation,) if implementation else implementations():
        found = device_class(name)
        if not found.why_unavailable(index):
            return found
    raise BackendError(why_no_device(index, implementation))
