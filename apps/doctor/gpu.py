"""The GPU and its driver, examined without any Python package."""

from __future__ import annotations

import re
from typing import Any

from .diagnosis import Diagnosis, Severity, gibibytes, release
from .host import Host, ProgramResult
from .jetson import find_jetson

_PCI_NVIDIA = "0x10de"
_PCI_DISPLAY = "0x03"
_HIDING = ("", "-1", "none")
NO_GPU = "there is no NVIDIA GPU"


def has_gpu(host: Host) -> bool:
    """True if the driver gives edgeseg a GPU."""
    return bool(_driver_facts(host).get("gpus"))


def driver_cuda(host: Host) -> tuple[int, ...]:
    """The newest CUDA that the driver runs, such as ``(12, 6)``; empty if there is no driver."""
    return release(str(_driver_facts(host).get("cuda", "")))


def probe_gpu(host: Host) -> list[Diagnosis]:
    """Examines the GPUs and the driver."""
    return [*_gpus(host), _driver(host)]


def _driver_facts(host: Host) -> dict[str, Any]:
    return dict(host.library("libcuda").facts or {})


def _has_nvidia_hardware(host: Host) -> bool:
    if find_jetson(host):
        return True
    for device in host.glob("/sys/bus/pci/devices/*"):
        at = "/" + device.relative_to(host.root).as_posix()
        vendor, kind = host.read(f"{at}/vendor") or "", host.read(f"{at}/class") or ""
        if vendor.strip() == _PCI_NVIDIA and kind.startswith(_PCI_DISPLAY):
            return True
    return False


def _gpus(host: Host) -> list[Diagnosis]:
    asked = host.library("libcuda")
    facts = _driver_facts(host)
    if facts.get("gpus"):
        return [
            Diagnosis(
                "gpu.device" if index == 0 else f"gpu.device{index}",
                "GPU" if index == 0 else f"GPU {index}",
                "ok",
                f"{gpu['name']}, compute capability {gpu['compute_capability']},"
                f" {gibibytes(gpu['memory_bytes'])}{' shared with the CPU' if find_jetson(host) else ''}",
                facts=gpu,
            )
            for index, gpu in enumerate(facts["gpus"])
        ]
    nothing = {"name": None}
    if asked.error or facts.get("error"):
        why = asked.error or str(facts["error"])
        hidden = host.environ.get("CUDA_VISIBLE_DEVICES")
        if hidden in _HIDING and why == "CUDA_ERROR_NO_DEVICE":
            text = f"hidden: CUDA_VISIBLE_DEVICES is set to {hidden!r}"
            return [_gpu_trouble("problem", text, ("unset CUDA_VISIBLE_DEVICES",))]
        if why == "CUDA_ERROR_NO_DEVICE" and not _has_nvidia_hardware(host):
            return [Diagnosis("gpu.device", "GPU", "note", NO_GPU, facts=nothing)]
        text = (
            f"the driver's CUDA library fails: {why}; a driver renewed since the last start needs a restart"
        )
        return [_gpu_trouble("problem", text, ("sudo reboot",))]
    if find_jetson(host):
        text = "the board's, which CUDA does not reach: libcuda.so.1 is not found"
        return [_gpu_trouble("missing", text, ("sudo apt-get install nvidia-l4t-cuda",))]
    if _has_nvidia_hardware(host):
        text = "an NVIDIA GPU is there, its driver is not (in a container: start it with --gpus all)"
        return [_gpu_trouble("missing", text, _driver_install(host))]
    return [Diagnosis("gpu.device", "GPU", "note", NO_GPU, facts=nothing)]


def _gpu_trouble(status: Severity, text: str, fix: tuple[str, ...]) -> Diagnosis:
    return Diagnosis("gpu.device", "GPU", status, text, "TensorRT and CUDA", fix, {"name": None})


def _driver_install(host: Host) -> tuple[str, ...]:
    system = host.read("/etc/os-release") or ""
    if re.search(r"^ID=\"?ubuntu", system, re.MULTILINE):
        return ("sudo ubuntu-drivers install", "sudo reboot")
    return ("sudo apt-get install nvidia-driver", "sudo reboot")


def _driver(host: Host) -> Diagnosis:
    kernel = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", host.read("/proc/driver/nvidia/version") or "")
    version = kernel[1] if kernel else ""
    smi = ProgramResult(None)
    if not version:
        smi = host.program("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        version_text = re.search(r"\d+\.[\d.]+", smi.out)
        version = version_text[0] if smi.status == 0 and version_text else ""
    cuda = ".".join(str(part) for part in driver_cuda(host))
    facts = {"version": version or None, "cuda": cuda or None}
    if not version and not cuda:
        trouble = smi.timed_out or (smi.found and smi.status != 0)
        if trouble:
            text = "nvidia-smi hangs" if smi.timed_out else "nvidia-smi fails"
            return Diagnosis(
                "gpu.driver", "driver", "problem", text, "TensorRT and CUDA", ("sudo reboot",), facts
            )
        return Diagnosis("gpu.driver", "driver", "note", "none", facts=facts, quiet=True)
    text = f"{version or 'of unknown version'}, runs up to CUDA {cuda or 'of unknown version'}"
    return Diagnosis("gpu.driver", "driver", "ok", text, facts=facts)
