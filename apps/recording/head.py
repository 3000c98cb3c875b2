"""The head of a recording: the network, backend and versions that ran."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from ...runtime.segmenter import Segmenter
from ..console import head_of

_PACKAGES = (
    "edgeseg",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "onnxruntime",
    "openvino",
    "tensorrt",
)


def head_of_run(segmenter: Segmenter, source_name: str, threads: int | None = None) -> dict[str, Any]:
    """The head of a recording, ready for JSON.

    Args:
        segmenter: of the run.
        source_name: for display; without credentials.
        threads: CPU threads of inference, so that a replay uses as many; None if unknown.
    """
    return {
        "source": source_name,
        **head_of(segmenter),
        "onnx_sha256": segmenter.variant.sha256,
        "threads": threads,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """The versions of Python and of the installed packages that can change a mask."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
