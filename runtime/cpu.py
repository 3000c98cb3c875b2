"""Which CPU this is, and how much of it the process may use."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_TELLING = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features",
)  # fmt: skip


@lru_cache(maxsize=1)
def cpu_identity() -> str:
    """One line that two CPUs share only where code made for one runs as well on the other: model and features."""
    told: dict[str, str] = {}
    try:
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            told.setdefault(name.strip(), value.strip())
    except OSError:  # not Linux, or no /proc: the platform's own words are all there is
        told = {"model name": platform.processor()}
    return "; ".join([platform.machine(), *(told[name] for name in _TELLING if name in told)])


def usable_cores() -> int:
    """How many cores the process may run on, which its affinity mask, or a container's, limits."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def all_cores_are_usable() -> bool:
    """Whether the process may run on every core of the machine."""
    return usable_cores() == (os.cpu_count() or 1)
