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
    FlightError,
    MissingDependencyError,
    ModelError,
    OutputError,
    SourceError,
    UsageError,
    VerificationError,
)

if TYPE_CHECKING:
    from .runtime.bundle import Bundle
    from .runtime.clock import now
    from .runtime.health.limits import Limits
    from .runtime.labels import LabelMap
    from .runtime.pipeline import Pipeline
    from .runtime.result import Segmentation
    from .runtime.segmenter import Segmenter
    from .runtime.sinks.callback import CallbackSink
    from .runtime.sources import open_source

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "Bundle",
    "BundleError",
    "CallbackSink",
    "CheckpointError",
    "DataError",
    "EdgesegError",
    "FlightError",
    "LabelMap",
    "Limits",
    "MissingDependencyError",
    "ModelError",
    "OutputError",
    "Pipeline",
    "Segmentation",
    "Segmenter",
    "SourceError",
    "UsageError",
    "VerificationError",
    "__version__",
    "now",
    "open_source",
]

_LAZY = {
    "Bundle": "bundle",
    "CallbackSink": "sinks.callback",
    "LabelMap": "labels",
    "Limits": "health.limits",
    "Pipeline": "pipeline",
    "Segmentation": "result",
    "Segmenter": "segmenter",
    "now": "clock",
    "open_source": "sources",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(f".runtime.{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
