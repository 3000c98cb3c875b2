"""What a measurement was made on: processor, memory, system, versions, and how busy the machine was."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

_FLAGS = (
    "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
    "asimddp", "bf16", "i8mm", "sve",
)  # fmt: skip
_PACKAGES = (
    "edgeseg", "numpy", "opencv-python", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "openvino",
    "torch", "onnx",
)  # fmt: skip
_IDLE_LOAD = 0.25
"""Load a core, over the last minute, above which the machine is called busy."""


def describe_machine(root: Path = Path("/")) -> dict[str, Any]:
    """Describes the machine, ready for JSON. Nothing in it names the machine or its user.

    Args:
        root: where the file system starts.
    """
    cpuinfo = _text(root / "proc/cpuinfo")
    model = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    total = re.search(r"^MemTotal:\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    system = re.search(r'^PRETTY_NAME="?(.*?)"?$', _text(root / "etc/os-release"), re.MULTILINE)
    cpus = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return {
        "cpu": model[1].strip() if model else platform.machine(),
        "arch": platform.machine(),
        "cpus": cpus,
        "virtual": "hypervisor" in has,
        "flags": [flag for flag in _FLAGS if flag in has],
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
        or "not told here",
        "memory_gib": round(int(total[1]) / 2**20, 1) if total else None,
        "os": system[1] if system else platform.system(),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "packages": _versions(),
        "load_before": round(load, 2),
        "busy": load > _IDLE_LOAD * cpus,
    }


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """The description for people, a line a subject."""
    lines = [
        f"{machine['cpu']}, {machine['cpus']} {'virtual ' if machine['virtual'] else ''}cores"
        f" ({', '.join(machine['flags']) or machine['arch']}), {machine['memory_gib']} GiB;"
        f" governor {machine['governor']}",
        f"{machine['os']}, kernel {machine['kernel']}, Python {machine['python']}; "
        + ", ".join(f"{name} {version}" for name, version in machine["packages"].items()),
        f"Load before the start: {machine['load_before']:.2f}",
    ]
    if machine["busy"]:
        lines[-1] += ". The machine was busy: contenders that spin for work suffer most, so measure again"
    return lines


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
