"""The machine of a measurement: processor, memory, system, versions and load."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterable
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
_LOOK_SECONDS = 0.5
_IDLE = 0.1
"""The share of the processors' time, in a sample before the start, up to which the machine counts as idle. The load
average would include the minute before, such as an earlier measurement."""


def describe_machine(root: Path = Path("/")) -> dict[str, Any]:
    """Describes the machine, ready for JSON, without the names of the machine and its user.

    Args:
        root: the root of the file system.
    """
    cpuinfo = _text(root / "proc/cpuinfo")
    model = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    total = re.search(r"^MemTotal:\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    system = re.search(r'^PRETTY_NAME="?(.*?)"?$', _text(root / "etc/os-release"), re.MULTILINE)
    cpus = len(os.sched_getaffinity(0))
    busy = _busy_share(root / "proc/stat")
    return {
        "cpu": model[1].strip() if model else platform.machine(),
        "arch": platform.machine(),
        "cpus": cpus,
        "virtual": "hypervisor" in has,
        "flags": [flag for flag in _FLAGS if flag in has],
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or "unknown",
        "memory_gib": round(int(total[1]) / 2**20, 1) if total else None,
        "os": system[1] if system else platform.system(),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "packages": installed_versions(_PACKAGES),
        "busy_before": round(busy, 3),
        "busy": busy > _IDLE,
    }


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """Returns the description for display, with one line for each subject."""
    lines = [
        f"{machine['cpu']}, {machine['cpus']} {'virtual ' if machine['virtual'] else ''}cores"
        f" ({', '.join(machine['flags']) or machine['arch']}), {machine['memory_gib']} GiB;"
        f" governor {machine['governor']}",
        f"{machine['os']}, kernel {machine['kernel']}, Python {machine['python']}; "
        + ", ".join(f"{name} {version}" for name, version in machine["packages"].items()),
        f"Processors busy before the start: {100 * machine['busy_before']:.0f} % of the time",
    ]
    if machine["busy"]:
        lines[-1] += ". That is much: contenders that spin for work suffer most, so measure again"
    return lines


def _busy_share(stat: Path) -> float:
    """Returns the used share of all processors' time during a sample; 0 if the system does not report it."""
    before = _ticks(stat)
    time.sleep(_LOOK_SECONDS)
    after = _ticks(stat)
    total = sum(after) - sum(before)
    idle = sum(after[3:5]) - sum(before[3:5])  # both idle and waiting for a disk count as idle
    return 1 - idle / total if total > 0 else 0.0


def _ticks(stat: Path) -> list[int]:
    first = _text(stat).partition("\n")[0].split()
    return [int(ticks) for ticks in first[1:9]]


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Returns the version of each installed package."""
    versions = {}
    for package in packages:
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
