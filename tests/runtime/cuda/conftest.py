"""Devices of every kind: on a fake GPU everywhere, on a real one where there is one."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from edgeseg.runtime import cuda
from edgeseg.runtime.cuda import pycuda_device
from edgeseg.runtime.cuda.base import CudaDevice

FAKES = Path(__file__).resolve().parents[1] / "fakes"


def load_fake(name: str) -> ModuleType:
    """A module of the fakes, which belong to no package."""
    spec = importlib.util.spec_from_file_location(f"fake_{name}", FAKES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def gpu_module() -> ModuleType:
    return load_fake("gpu")


@pytest.fixture
def fake(gpu_module: ModuleType) -> object:
    """A GPU of the test's own."""
    return gpu_module.FakeGpu()


@pytest.fixture
def install_fakes(
    fake: object, gpu_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Puts a fake of ``cuda_python`` or ``pycuda`` where imports look."""

    def install(name: str) -> None:
        for module_name, module in load_fake(name).modules(fake, gpu_module.GpuError).items():
            monkeypatch.setitem(sys.modules, module_name, module)
        pycuda_device._primary_context.cache_clear()

    return install


@pytest.fixture
def open_kind(
    fake: object, gpu_module: ModuleType, install_fakes: Callable[[str], None]
) -> Callable[[str], CudaDevice]:
    """Opens a device of a kind: ``fake``, ``NAME on a fake``, or ``NAME`` on a real GPU, where there is one."""

    def open_it(kind: str) -> CudaDevice:
        if kind == "fake":
            return gpu_module.FakeDevice(fake)
        name = kind.removesuffix(" on a fake")
        if name != kind:
            install_fakes(name.replace("-", "_"))
        elif reason := cuda.why_no_device(implementation=name):
            pytest.skip(reason)
        return cuda.open_device(implementation=name)

    return open_it
