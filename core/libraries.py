"""Loads the libraries that send telemetry, with telemetry switched off. No other module imports them."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

_ONNXRUNTIME_SWITCH = "ORT_DISABLE_TELEMETRY"
_OPENVINO_REPORTER = "openvino_telemetry"


def stay_silent() -> None:
    """Makes ONNX Runtime, before it is loaded, send nothing and keep no device id in the user's cache.

    A value that the user has set stays. Child processes inherit the variable.
    """
    os.environ.setdefault(_ONNXRUNTIME_SWITCH, "1")


def load_onnxruntime() -> Any:
    """Imports ONNX Runtime.

    Raises:
        ImportError: it is not installed, or does not load.
    """
    stay_silent()
    return importlib.import_module("onnxruntime")


def load_openvino() -> Any:
    """Imports OpenVINO without its telemetry: it would report each import to a web service and count it in ``~/intel``.

    OpenVINO has no switch for that. It works without the package that reports, so that package is hidden during the
    import.

    Raises:
        ImportError: it is not installed, or does not load.
    """
    known = sys.modules.get(_OPENVINO_REPORTER)
    if "openvino" not in sys.modules:
        sys.modules[_OPENVINO_REPORTER] = None  # type: ignore[assignment]  # the import system's word for: not there
    try:
        return importlib.import_module("openvino")
    finally:
        if known is not None:
            sys.modules[_OPENVINO_REPORTER] = known
        elif _OPENVINO_REPORTER in sys.modules and sys.modules[_OPENVINO_REPORTER] is None:
            del sys.modules[_OPENVINO_REPORTER]
