"""edgeseg: semantic segmentation from PyTorch to a camera.

The names below load on first use, so that ``import edgeseg`` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._version import __version__
from .core.errors import (
    BackendError,
    BundleError,
    CheckpointError,
    DataError,
    EdgesegError,
    MissingDependencyError,
    ModelError,
    OutputError,
    SessionError,
    SourceError,
    UsageError,
    VerificationError,
)
from .core.lazy import load_on_use
from .core.schemes import SCHEMES

if TYPE_CHECKING:
    from .core.labels import LabelMap
    from .core.source import Source
    from .runtime.bundle import Bundle
    from .runtime.clock import now
    from .runtime.cpu import Threads
    from .runtime.health.limits import Limits
    from .runtime.pipeline import Pipeline, PipelineOptions, Stream
    from .runtime.result import Segmentation
    from .runtime.segmenter import Segmenter
    from .runtime.sinks.callback import CallbackSink
    from .runtime.sources import open_source

__all__ = [
    "BackendError",
    "Bundle",
    "BundleError",
    "CallbackSink",
    "CheckpointError",
    "DataError",
    "EdgesegError",
    "LabelMap",
    "Limits",
    "MissingDependencyError",
    "ModelError",
    "OutputError",
    "Pipeline",
    "PipelineOptions",
    "Segmentation",
    "Segmenter",
    "SessionError",
    "Source",
    "SourceError",
    "Stream",
    "Threads",
    "UsageError",
    "VerificationError",
    "__version__",
    "now",
    "open_source",
]

_LAZY = {
    "Bundle": "runtime.bundle",
    "CallbackSink": "runtime.sinks.callback",
    "LabelMap": "core.labels",
    "Limits": "runtime.health.limits",
    "Pipeline": "runtime.pipeline",
    "PipelineOptions": "runtime.pipeline",
    "Segmentation": "runtime.result",
    "Segmenter": "runtime.segmenter",
    "Source": "core.source",
    "Stream": "runtime.pipeline",
    "Threads": "runtime.cpu",
    "now": "runtime.clock",
    "open_source": "runtime.sources",
}

SCHEMES.register("aerial", "edgeseg.data.aerial.source:AerialSource")
SCHEMES.register("ros2", "edgeseg.embedding.ros2.source:Ros2Source")

__getattr__ = load_on_use(__name__, _LAZY)
