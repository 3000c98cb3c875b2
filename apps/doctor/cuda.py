"""CUDA's toolkit, and the Python package for device memory."""

from __future__ import annotations

import re

from .diagnosis import Diagnosis, release
from .gpu import NO_GPU, driver_cuda, has_gpu
from .host import Host
from .jetson import find_jetson

_NVCC = "/usr/local/cuda/bin/nvcc"


def probe_cuda(host: Host) -> list[Diagnosis]:
    """Examines the CUDA toolkit and the package for device memory."""
    return [_toolkit(host), _device_memory(host)]


def _toolkit(host: Host) -> Diagnosis:
    asked, on_path = host.program("nvcc", "--version"), True
    if not asked.found and host.path(_NVCC).exists():
        asked, on_path = host.program(str(host.path(_NVCC)), "--version"), False
    match = re.search(r"release (\d+\.\d+)", asked.out)
    facts = {"version": match[1] if match else None, "on_path": bool(match) and on_path}
    if match:
        text = f"{match[1]}" + ("" if on_path else f" in {_NVCC.removesuffix('/nvcc')}, which is not on PATH")
        return Diagnosis("cuda.toolkit", "toolkit", "ok", text, facts=facts)
    wanted = find_jetson(host) is not None and "pycuda" not in host.installed
    if wanted:
        return Diagnosis(
            "cuda.toolkit",
            "toolkit",
            "missing",
            "nvcc is not found",
            needed_for="installing pycuda, which is compiled on the board",
            fix=("sudo apt-get install nvidia-cuda-dev",),
            facts=facts,
        )
    return Diagnosis(
        "cuda.toolkit",
        "toolkit",
        "note",
        "not installed; edgeseg does not need it here",
        facts=facts,
        quiet=not has_gpu(host),
    )


def _device_memory(host: Host) -> Diagnosis:
    jetson = find_jetson(host)
    pycuda, bindings = host.library("pycuda"), host.library("cuda")
    versions = {
        "pycuda": host.installed.get("pycuda"),
        "cuda-python": host.installed.get("cuda-bindings") or host.installed.get("cuda-python"),
    }
    loaded = {"pycuda": pycuda.facts is not None, "cuda-python": bindings.facts is not None}
    there = [name for name, good in loaded.items() if good]
    facts = {**versions, "usable": there}
    key, label, purpose = "cuda.device_memory", "device memory", "running TensorRT engines"
    driver = driver_cuda(host)
    if there == ["cuda-python"] and driver and release(versions["cuda-python"] or "")[:1] > driver[:1]:
        text = f"cuda-python {versions['cuda-python']} is newer than the driver, which runs CUDA {driver[0]}"
        return Diagnosis(key, label, "problem", text, purpose, (f"pip install {cuda_python(host)}",), facts)
    if there:
        text = ", ".join(f"{name} {versions[name] or ''}".strip() for name in there)
        return Diagnosis(key, label, "ok", text, facts=facts)
    fix = _compile_pycuda(host) if jetson else (f"pip install {cuda_python(host)}",)
    for name, library in (("pycuda", pycuda), ("cuda-python", bindings)):
        if library.error:
            broken = f"{name} does not load: {library.error}"
            again = fix if jetson else (f"pip install --force-reinstall {cuda_python(host)}",)
            return Diagnosis(key, label, "problem", broken, purpose, again, facts)
    if not has_gpu(host) and jetson is None:
        text = f"neither pycuda nor cuda-python; not needed, as {NO_GPU}"
        return Diagnosis(key, label, "note", text, facts=facts, quiet=True)
    return Diagnosis(
        key, label, "missing", "neither pycuda nor cuda-python is installed", purpose, fix, facts
    )


def cuda_python(host: Host) -> str:
    """The requirement, quoted for a shell, of a cuda-python that the driver supports."""
    driver = driver_cuda(host)
    return f'"cuda-python<{driver[0] + 1}"' if driver else "cuda-python"


def _compile_pycuda(host: Host) -> tuple[str, ...]:
    # Its installation finds CUDA through the nvcc on PATH.
    at = "" if host.program("nvcc", "--version").found else f"PATH={_NVCC.removesuffix('/nvcc')}:$PATH "
    return (f"{at}pip install pycuda",)
