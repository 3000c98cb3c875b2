"""Loads the libraries that would tell their makers of it, with that switched off. Nothing else imports them."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

_ONNXRUNTIME_SWITCH = "ORT_DISABLE_TELEMETRY"
_OPENVINO_REPORTER = "openvino_telemetry"


def stay_silent() -> None:
    """Tells ONNX Runtime, before it is loaded, to send nothing and to keep no device id in the user's cache.

    Whoever has set the variable before has decided already. Child processes inherit it.
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
    """Imports OpenVINO, which reports each import to a web service and counts it in ``~/intel`` if it can.

    It has no switch for that. It does without where the package that reports is missing, so that is what it is shown
    while it is imported.

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
