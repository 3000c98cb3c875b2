"""ONNX Runtime: its packages, its providers, and the start of a GPU's provider."""

from __future__ import annotations

from .diagnosis import Diagnosis, Fact
from .gpu import has_gpu
from .host import Host
from .jetson import find_jetson

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_SHARE_ONE_MODULE = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-qnn",
    "onnxruntime-rocm",
    "onnxruntime-training",
)
_CUDA_LIBRARIES = {"12": "cuda-libraries-12-9", "13": "cuda-libraries-13-0"}
_PURPOSE = "edgeseg run"
_GPU_PURPOSE = "edgeseg run --device cuda"


def probe_onnxruntime(host: Host) -> list[Diagnosis]:
    """Examines the package and its providers."""
    package = _package(host)
    return [package, *([] if package.status == "missing" else [_providers(host)])]


def _package(host: Host) -> Diagnosis:
    key, label = "onnxruntime.package", "ONNX Runtime"
    there = [name for name in _SHARE_ONE_MODULE if name in host.installed]
    library = host.library("onnxruntime")
    facts: dict[str, Fact] = {"version": None, "packages": there}
    if library.facts is None and not library.error:
        return Diagnosis(
            key, label, "missing", "not installed", _PURPOSE, ("pip install onnxruntime",), facts
        )
    if library.facts is None:
        again = there[0] if there else "onnxruntime"
        text = f"does not load: {library.error}"
        return Diagnosis(
            key, label, "problem", text, _PURPOSE, (f"pip install --force-reinstall {again}",), facts
        )
    version = str(library.facts["version"])
    facts["version"] = version
    if len(there) > 1:
        keep = _package_to_keep(host, there)
        text = f"{version}; {' and '.join(there)} are one Python module and overwrite each other"
        fix = (f"pip uninstall --yes {' '.join(there)}", f"pip install --no-deps {keep}")
        return Diagnosis(key, label, "problem", text, _PURPOSE, fix, facts)
    return Diagnosis(key, label, "ok", f"{version}, package {there[0] if there else 'unknown'}", facts=facts)


def _package_to_keep(host: Host, there: list[str]) -> str:
    if has_gpu(host) and "onnxruntime-gpu" in there:
        return "onnxruntime-gpu"
    return "onnxruntime" if "onnxruntime" in there else there[0]


def _providers(host: Host) -> Diagnosis:
    key, label = "onnxruntime.providers", "its providers"
    library = host.library("onnxruntime")
    if library.facts is None:
        return Diagnosis(
            key, label, "note", "unknown, as it does not load", facts={"available": []}, quiet=True
        )
    available = [str(name) for name in library.facts["providers"]]
    broken = {str(name): str(why) for name, why in library.facts.get("broken", {}).items()}
    usable = [name for name in available if name not in broken]
    facts: dict[str, Fact] = {"available": available, "usable": usable}
    names = ", ".join(name.removesuffix("ExecutionProvider") for name in usable) or "none"
    if CPU not in available:
        text = f"{names}; the CPU's is not among them"
        return Diagnosis(key, label, "problem", text, _PURPOSE, ("pip install onnxruntime",), facts)
    if broken and CUDA in broken:
        text = f"{names}; CUDA's cannot start: {broken[CUDA]} is not found (it comes from NVIDIA's apt repository)"
        return Diagnosis(key, label, "problem", text, _GPU_PURPOSE, _gpu_libraries(host, broken[CUDA]), facts)
    if has_gpu(host) and CUDA not in available:
        text = f"{names}; no CUDA, though there is a GPU"
        if find_jetson(host):
            text += ": Jetsons need a build of their own (docs/jetson.md); TensorRT does without"
            return Diagnosis(key, label, "note", text, facts=facts)
        fix = ("pip uninstall --yes onnxruntime", "pip install onnxruntime-gpu")
        return Diagnosis(key, label, "missing", text, _GPU_PURPOSE, fix, facts)
    return Diagnosis(key, label, "ok", names, facts=facts)


def _gpu_libraries(host: Host, library: str) -> tuple[str, ...]:
    if find_jetson(host):
        return ("sudo apt-get install nvidia-jetpack",)
    if library.startswith("libcudnn"):
        return ("sudo apt-get install cudnn",)
    # The build is for one major version of CUDA, which the missing library's name ends with.
    major = library.rpartition(".so.")[2].partition(".")[0]
    return (f"sudo apt-get install {_CUDA_LIBRARIES.get(major, 'cuda')}",)
