"""Every name that is asked of a CUDA package exists in it: a GPU is not needed to know that."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest
from edgeseg.runtime.tensorrt import cuda
from edgeseg.runtime.tensorrt.cuda import pycuda_device

FOLDER = Path(cuda.__file__).parent

PYCUDA = {
    "init", "Error", "Device", "Device.count", "Context", "Context.pop", "Stream", "mem_alloc",
    "pagelocked_empty", "memcpy_htod_async", "memcpy_dtoh_async",
    "device_attribute", "device_attribute.MULTIPROCESSOR_COUNT",
}  # fmt: skip
"""Names that pycuda 2022.1 to 2026.1 have in ``pycuda.driver``, by their sources."""


def asked(file: str, *owners: str) -> set[str]:
    """The dotted names asked of some variable or attribute in a module, such as ``cudaError_t.cudaSuccess``."""
    found = set()
    for node in ast.walk(ast.parse((FOLDER / file).read_text(encoding="utf-8"))):
        path: list[str] = []
        inner: ast.expr | None = node if isinstance(node, ast.Attribute) else None
        while isinstance(inner, ast.Attribute):
            path.insert(0, inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            path.insert(0, inner.id)
            dotted = ".".join(path).removeprefix("self.")
            owner, _, name = dotted.partition(".")
            if owner in owners and name:
                found.add(name)
    return found


@pytest.mark.parametrize(
    ("module_name", "owners", "at_least"),
    [("runtime", ("runtime", "_runtime"), 20), ("driver", ("driver", "_driver"), 5)],
)
def test_cuda_python_has_every_name(module_name: str, owners: tuple[str, ...], at_least: int) -> None:
    module = pytest.importorskip(f"cuda.bindings.{module_name}", reason="cuda-python is not installed")
    names = asked("cuda_python_device.py", *owners)
    assert len(names) >= at_least
    assert not [name for name in names if not has(module, name)]


def test_a_name_that_is_not_there_would_be_found() -> None:
    module = pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed")
    assert not has(module, "cudaMallocTwice")
    assert not has(module, "cudaError_t.cudaErrorOfMine")


def test_pycuda_has_every_name() -> None:
    assert asked("pycuda_device.py", "driver", "_driver") == PYCUDA


def test_explanations_are_cudas_own() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed")
    driver = pytest.importorskip("cuda.bindings.driver")
    for explanation, name in pycuda_device._NAMES.items():
        code = runtime.cudaError_t(int(getattr(driver.CUresult, name)))
        assert runtime.cudaGetErrorString(code)[1].decode() == explanation


def has(module: ModuleType, name: str) -> bool:
    owner: object = module
    for part in name.split("."):
        if not hasattr(owner, part):
            return False
        owner = getattr(owner, part)
    return True
