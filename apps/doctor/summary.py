"""The summary: the functions that work on this machine now, and what the others need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .diagnosis import Diagnosis
from .onnxruntime import CPU, CUDA

_GOOD = ("ok", "note")


@dataclass(frozen=True)
class Summary:
    """The conclusion.

    Attributes:
        can: the functions, by a stable name for scripts; True if they work.
        text: the same in one or two sentences.
    """

    can: Mapping[str, bool]
    text: str


def summarize(findings: Iterable[Diagnosis]) -> Summary:
    """Makes the summary from all findings."""
    by_key = {finding.key: finding for finding in findings}

    def good(key: str) -> bool:
        return key in by_key and by_key[key].status in _GOOD

    def loads(key: str) -> bool:
        return key in by_key and by_key[key].facts.get("version") is not None

    core = good("edgeseg.python") and good("edgeseg.core") and loads("opencv.package")
    usable = _list(by_key, "onnxruntime.providers", "usable")
    gpu = "gpu.device" in by_key and by_key["gpu.device"].status == "ok"
    ort = core and loads("onnxruntime.package")
    trt = any(
        key in by_key and by_key[key].status == "ok" for key in ("tensorrt.tensorrt", "tensorrt.tensorrt_rtx")
    )
    rtx = "tensorrt.tensorrt_rtx" in by_key and by_key["tensorrt.tensorrt_rtx"].status == "ok"
    memory = "cuda.device_memory" in by_key and by_key["cuda.device_memory"].status == "ok"
    can = {
        "onnxruntime_cpu": ort and CPU in usable,
        "onnxruntime_cuda": ort and gpu and CUDA in usable,
        "tensorrt_run": core and gpu and trt and memory,
        "tensorrt_build": core and ((gpu and trt) or rtx),
        "train_and_export": ort
        and "training.packages" in by_key
        and by_key["training.packages"].status == "ok",
    }
    return Summary(can, f"{_runs_text(can)} {_about_tensorrt(can, by_key, core, gpu, trt)}")


def _list(by_key: Mapping[str, Diagnosis], key: str, fact: str) -> list[str]:
    value = by_key[key].facts.get(fact) if key in by_key else None
    return value if isinstance(value, list) else []


def _runs_text(can: Mapping[str, bool]) -> str:
    if not can["onnxruntime_cpu"]:
        return "This machine cannot run bundles yet: correct what is marked above."
    devices = "the CPU" + (" and on CUDA" if can["onnxruntime_cuda"] else "")
    also = ", and trains and exports networks" if can["train_and_export"] else ""
    return f"This machine runs bundles with ONNX Runtime on {devices}{also}."


def _about_tensorrt(
    can: Mapping[str, bool], by_key: Mapping[str, Diagnosis], core: bool, gpu: bool, trt: bool
) -> str:
    if can["tensorrt_run"]:
        return "TensorRT: ready to build engines and to run them."
    lacks = []
    if not core:
        lacks.append("the core packages above are not in order")
    if not gpu:
        device = by_key.get("gpu.device")
        none = device is None or device.status == "note"
        lacks.append("there is no NVIDIA GPU" if none else "its GPU is not usable")
    if not trt:
        lacks.append("no TensorRT that edgeseg supports")
    memory = by_key.get("cuda.device_memory")
    if gpu and (memory is None or memory.status != "ok"):
        lacks.append("no pycuda or cuda-python that works")
    ahead = "; engines for other machines can be built here" if can["tensorrt_build"] else ""
    return f"TensorRT: not yet: {', '.join(lacks)}{ahead}."
