"""The runtime stays lean: what it imports, and that importing does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = [
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "tensorrt",
    "tensorrt_rtx",
    "cuda",
    "openvino",
    "PIL",
    "matplotlib",
    "rasterio",
]


def modules_after(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def test_importing_all_of_the_runtime_loads_nothing_heavy() -> None:
    walk = (
        "import importlib, pkgutil, edgeseg.runtime as r\n"
        "for m in pkgutil.walk_packages(r.__path__, 'edgeseg.runtime.'): importlib.import_module(m.name)"
    )
    loaded = modules_after(walk)
    assert "edgeseg.runtime.pipeline" in loaded
    assert not loaded & {*HEAVY, "onnxruntime"}
    others = ("models", "data", "training", "calibration", "export")
    assert not [name for name in loaded if name.startswith(tuple(f"edgeseg.{part}" for part in others))]


def test_importing_edgeseg_loads_no_numpy() -> None:
    assert not modules_after("import edgeseg") & {*HEAVY, "numpy", "cv2", "onnxruntime"}


@pytest.mark.timeout(60)
def test_segmenting_loads_nothing_heavy(bundle_folder: Path) -> None:
    loaded = modules_after(
        "import numpy, edgeseg\n"
        f"with edgeseg.Segmenter({str(bundle_folder)!r}) as seg: seg(numpy.zeros((9, 9, 3), numpy.uint8))"
    )
    assert "onnxruntime" in loaded
    assert not loaded & set(HEAVY)
