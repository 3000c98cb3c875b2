"""The CPU: its identity, the share of it that the process may use, and the threads that work on a frame."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_IDENTIFYING = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features",
)  # fmt: skip


@dataclass(frozen=True)
class Threads:
    """The numbers of CPU threads that work on a frame.

    Attributes:
        inference: threads for inference; None for the backend's own choice.
        decode: threads for the decode; None for as many as for inference, or one if that is the backend's own choice.
    """

    inference: int | None = None
    decode: int | None = None

    @classmethod
    def for_pipeline(cls, inference: int, cpus: int) -> Threads:
        """Returns the threads for a pipeline, which decodes a frame while it infers the next one.

        Args:
            inference: threads for inference.
            cpus: number of CPUs that may be used. The decode gets those that inference leaves free, at least one.
        """
        return cls(inference, max(1, cpus - inference))


@lru_cache(maxsize=1)
def cpu_identity() -> str:
    """Returns the CPU's model and features in one line. CPUs with the same line run the same code equally well."""
    fields: dict[str, str] = {}
    try:
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    except OSError:  # not Linux, or no /proc: only the platform's own name is known
        fields = {"model name": platform.processor()}
    return "; ".join([platform.machine(), *(fields[name] for name in _IDENTIFYING if name in fields)])


def usable_cpus(root: Path = Path("/")) -> int:
    """Returns the number of CPUs that the process may use.

    That is the number in its affinity mask, and at most its control groups' quota, rounded up.

    Args:
        root: the folder of ``proc`` and ``sys``.
    """
    return max(1, min([_affinity(), *(math.ceil(quota) for quota in _quotas(root))]))


def all_cpus_are_usable() -> bool:
    """Returns True if the process may use every CPU of the machine."""
    return usable_cpus() >= (os.cpu_count() or 1)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> list[float]:
    """Returns the quota, in CPUs, of each control group of the process and of the groups around it, if limited."""
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        # In a container the path is often the host's, and the limit is at the root of the mount.
        inner = Path(group.lstrip("/"))
        for folder in (mount / inner, *(mount / parent for parent in inner.parents)):
            if controllers:
                quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
            else:
                quota, _, period = _read(folder / "cpu.max").partition(" ")
            if quota.strip().isdigit() and period.strip().isdigit() and int(period):
                quotas.append(int(quota) / int(period))
    return quotas


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # this kernel has no such file, so it sets no limit
        return ""
