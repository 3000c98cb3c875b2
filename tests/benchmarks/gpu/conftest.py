"""A tiny prepared folder, and a machine that has a GPU as far as the proof can tell."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgeseg.benchmarks.gpu.child import run_order
from edgeseg.benchmarks.gpu.order import StepOrder
from edgeseg.benchmarks.gpu.prepare import ExportRecipe, Preparation, prepare
from edgeseg.runtime.tensorrt import builder
from edgeseg.runtime.tensorrt.cuda import cuda_python_device, pycuda_device

FAKE_SITE = Path(__file__).resolve().parents[1] / "fake_site"
RECIPE = ExportRecipe("unet", "random", 3, {"width": 4, "depth": 2}, (32, 48))
SETTING = Preparation((RECIPE,), frames=2, frame_size_hw=(48, 64), int8=True, images=2)


@pytest.fixture(scope="session")
def prepared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A U-Net of two stages in FP16 and INT8. Do not change it."""
    folder = tmp_path_factory.mktemp("gpu") / "prepared"
    prepare(folder, SETTING)
    return folder


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a fake GPU and a fake TensorRT where this process and its children look for them; gives the GPU."""
    path = os.pathsep.join(filter(None, [str(FAKE_SITE), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.syspath_prepend(str(FAKE_SITE))
    for name in list(sys.modules):
        if name in ("cuda", "tensorrt", "fake_machine") or name.startswith("cuda."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builder, "_build", builder._build)  # the fake TensorRT puts its own there
    for device in (pycuda_device, cuda_python_device):
        device._primary_context.cache_clear()
    yield importlib.import_module("fake_machine").FAKE
    for name in list(sys.modules):
        if name in ("cuda", "tensorrt", "fake_machine") or name.startswith("cuda."):
            del sys.modules[name]
    for device in (pycuda_device, cuda_python_device):
        device._primary_context.cache_clear()


@pytest.fixture
def step(fake_gpu: Any, prepared_folder: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a step in this process on the fake GPU: ``step("networks", "fp16")``; gives what it told."""

    def run(module: str, function: str, **changes: Any) -> dict[str, Any]:
        order = StepOrder(
            module=f"edgeseg.benchmarks.gpu.{module}",
            function=function,
            **{
                "prepared": str(prepared_folder),
                "out": str(tmp_path / "step"),
                "network": "unet",
                "precisions": ("fp16", "int8"),
                "frames": 5,
                "seconds": 0.1,
                "torch_device": "cpu",
                **changes,
            },
        )
        return run_order(order, tmp_path / "result.json")

    return run
