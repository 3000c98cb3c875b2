"""A machine with a GPU, for processes that find this folder on their path: the fakes of ``tests/runtime/fakes``."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from pathlib import Path
from types import ModuleType
from typing import Any

_FAKES = Path(__file__).resolve().parents[2] / "support" / "fakes"
HANGS_AT = (1, 3)
"""The batch whose first build in a cache waits until it is cancelled."""


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fake_{name}", _FAKES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_gpu = _load("gpu")
FAKE = _gpu.FakeGpu()
MODULES = _load("cuda_python").modules(FAKE, _gpu.GpuError)


def tensorrt() -> ModuleType:
    """TensorRT's module; edgeseg's own builder is kept but for the calls of TensorRT's."""
    from edgeseg.runtime.tensorrt import builder

    fakes = _load("tensorrt")

    def build(tensorrt: Any, model: bytes, request: Any, messages: Any, tracker: Any) -> bytes | None:
        options = request.options
        marker = Path(os.environ["EDGESEG_CACHE"]) / "was-cancelled"
        hangs = options.batch == HANGS_AT and not marker.exists()
        if hangs:
            marker.touch()
        tracker.start("Building Engine", None, 4)
        for step in range(4):
            if not tracker.step("Building Engine", step):
                return None
            if hangs:
                ends_at = time.monotonic() + 60
                while tracker.step("Building Engine", step):
                    assert time.monotonic() < ends_at, "nobody cancelled the build"
                    time.sleep(0.01)
                return None
        head = {"batch": options.batch, "size": request.input_size_hw, "classes": options.frame_size_hw}
        return bytes(fakes.MAGIC + json.dumps(head).encode() + b"\n" + model)

    builder._build = build
    module: ModuleType = fakes.FakeTensorRT(FAKE).module
    return module
