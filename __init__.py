"""edgeseg: semantic segmentation from PyTorch to a camera.

The names below load on first use, so that ``import edgeseg`` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .runtime.errors import (
    BackendError,
    BundleError,
    CheckpointError,
    DataError,
    EdgesegError,
    MissingDependencyError,
    ModelError,
    OutputError,
    SourceError,
    UsageError,
    VerificationError,
)

if TYPE_CHECKING:
    from .runtime.bundle import Bundle
    from .runtime.labels import LabelMap
    from .runtime.result import Segmentation
    from .runtime.segmenter import Segmenter

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "Bundle",
    "BundleError",
    "CheckpointError",
    "DataError",
    "EdgesegError",
    "LabelMap",
    "MissingDependencyError",
    "ModelError",
    "OutputError",
    "Segmentation",
    "Segmenter",
    "SourceError",
    "UsageError",
    "VerificationError",
    "__version__",
]

_LAZY = {
    "Bundle": "bundle",
    "LabelMap": "labels",
    "Segmentation": "result",
    "Segmenter": "segmenter",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(f".runtime.{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
