"""The program of the child Python, which imports one library: it may print, crash or hang here.

The answer is one line of JSON on stdout; all output of a library goes to stderr.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...core.libraries import load_onnxruntime, load_openvino

_COMPUTE_CAPABILITY_MAJOR = 75
_COMPUTE_CAPABILITY_MINOR = 76
_NAME_BYTES = 100


def main(name: str) -> None:
    """Tries the library ``name`` and prints its facts, or the reason that it does not load."""
    answer_to = os.dup(1)
    os.dup2(2, 1)
    answer: dict[str, Any]
    try:
        answer = {"facts": INSPECTIONS[name]()}
    except ModuleNotFoundError as error:
        own = error.name is not None and error.name.split(".")[0] == name.split(".")[0]
        answer = {"error": "" if own else f"{error}"}
    except Exception as error:  # the doctor reports any error of a library
        first = (str(error).strip().splitlines() or [""])[0]
        answer = {"error": f"{type(error).__name__}: {first}"}
    os.write(answer_to, json.dumps(answer).encode())
    # Without unloading the library: a crash at that point must not hide the answer.
    os._exit(0)


def onnxruntime() -> dict[str, Any]:
    """Version, providers, and those of the providers' libraries that do not load."""
    ort = load_onnxruntime()
    providers = list(ort.get_available_providers())
    folder = Path(str(ort.__file__)).parent / "capi"
    broken = {}
    for provider, stem in (("CUDAExecutionProvider", "cuda"), ("TensorrtExecutionProvider", "tensorrt")):
        file = folder / f"libonnxruntime_providers_{stem}.so"
        if provider in providers and file.is_file():
            broken[provider] = _why_unloadable(folder / "libonnxruntime_providers_shared.so", file)
    return {
        "version": ort.__version__,
        "providers": providers,
        "broken": {k: v for k, v in broken.items() if v},
    }


def _why_unloadable(shared: Path, file: Path) -> str:
    try:
        ctypes.CDLL(str(shared), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(file))
    except OSError as error:
        # Other errors come from loading it outside of ONNX Runtime.
        library, _, reason = str(error).partition(": ")
        return library if "cannot open shared object file" in reason else ""
    return ""


def openvino() -> dict[str, Any]:
    """Version, devices, and the CPU's default precision."""
    module = load_openvino()
    core = module.Core()
    devices = list(core.available_devices)
    precision = ""
    if "CPU" in devices:
        precision = core.get_property("CPU", "INFERENCE_PRECISION_HINT").get_type_name()
    return {"version": str(module.__version__).split("-")[0], "devices": devices, "cpu_precision": precision}


def cv2() -> dict[str, Any]:
    """Version and build information."""
    module = importlib.import_module("cv2")
    return {"version": module.__version__, "build": module.getBuildInformation()}


def tensorrt() -> dict[str, Any]:
    """Version of NVIDIA TensorRT."""
    return {"version": str(importlib.import_module("tensorrt").__version__)}


def tensorrt_rtx() -> dict[str, Any]:
    """Version of TensorRT for RTX."""
    return {"version": str(importlib.import_module("tensorrt_rtx").__version__)}


def pycuda() -> dict[str, Any]:
    """The CUDA version that PyCUDA was compiled for."""
    driver = importlib.import_module("pycuda.driver")
    return {"cuda": ".".join(str(part) for part in driver.get_version()[:2])}


def cuda() -> dict[str, Any]:
    """Loads cuda-python's runtime bindings; there are no facts."""
    importlib.import_module("cuda.bindings.runtime")
    return {}


def libcuda() -> dict[str, Any]:
    """The driver's data on the GPUs, read without any Python package."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        if "cannot open shared object file" in str(error):
            raise ModuleNotFoundError("libcuda.so.1", name="libcuda") from error
        raise
    version = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    facts: dict[str, Any] = {
        "cuda": f"{version.value // 1000}.{version.value % 1000 // 10}",
        "error": _error_name(driver, driver.cuInit(0)),
        "gpus": [],
    }
    if facts["error"]:
        return facts
    count = ctypes.c_int()
    facts["error"] = _error_name(driver, driver.cuDeviceGetCount(ctypes.byref(count)))
    facts["gpus"] = [_gpu(driver, index) for index in range(count.value)]
    return facts


def _gpu(driver: ctypes.CDLL, index: int) -> dict[str, Any]:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_size_t()
    for status in (
        driver.cuDeviceGet(ctypes.byref(device), index),
        driver.cuDeviceGetName(name, _NAME_BYTES, device),
        driver.cuDeviceGetAttribute(ctypes.byref(major), _COMPUTE_CAPABILITY_MAJOR, device),
        driver.cuDeviceGetAttribute(ctypes.byref(minor), _COMPUTE_CAPABILITY_MINOR, device),
        driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
    ):
        if status:
            raise OSError(f"the driver gives no data on GPU {index}: {_error_name(driver, status)}")
    return {
        "name": name.value.decode("utf-8", "replace"),
        "compute_capability": f"{major.value}.{minor.value}",
        "memory_bytes": memory.value,
    }


def _error_name(driver: ctypes.CDLL, status: int) -> str:
    if not status:
        return ""
    name = ctypes.c_char_p()
    driver.cuGetErrorName(status, ctypes.byref(name))
    return (name.value or f"CUDA error {status}".encode()).decode()


INSPECTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "cuda": cuda,
    "cv2": cv2,
    "libcuda": libcuda,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "pycuda": pycuda,
    "tensorrt": tensorrt,
    "tensorrt_rtx": tensorrt_rtx,
}
