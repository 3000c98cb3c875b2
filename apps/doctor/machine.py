"""edgeseg's version, Python, the processor and the memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec

from .diagnosis import Diagnosis, gibibytes
from .host import Host
from .jetson import find_jetson

MIN_PYTHON = (3, 10)
CORE_PACKAGES = ("numpy", "fastjsonschema", "packaging", "simplejpeg")
"""Packages of the core install; ONNX Runtime and OpenCV have probes of their own."""

_BEFORE_3_11 = ("tomli",)
"""Packages that are part of Python from 3.11 on."""

_VNNI_FLAGS = ("amx_int8", "avx512_vnni", "avx_vnni")
_ARM_INT8 = {"asimddp": "dot product", "i8mm": "int8 matrix multiplication"}
_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd42": "Cortex-A78AE",
    "0xd83": "Neoverse V3AE",
}
_SMALL_MEMORY_BYTES = 6 << 30
_ENOUGH_SWAP_BYTES = 3 << 30


def probe_python(host: Host) -> list[Diagnosis]:
    """Examines edgeseg's version, this Python, and the small packages of the core install."""
    from ... import __version__

    text = ".".join(str(part) for part in host.python)
    old = host.python < MIN_PYTHON
    place = "a virtual environment" if host.in_venv else "the system's own"
    python = Diagnosis(
        "edgeseg.python",
        "Python",
        "problem" if old else "ok",
        f"{text}; edgeseg needs 3.10 or newer" if old else f"{text}, {place}",
        needed_for="everything" if old else "",
        facts={"version": text, "virtual_environment": host.in_venv},
    )
    wanted = CORE_PACKAGES + (_BEFORE_3_11 if host.python[:2] < (3, 11) else ())
    absent = [name for name in wanted if name not in host.installed]
    if absent:
        core_text = f"not installed: {', '.join(absent)}"
    else:
        core_text = ", ".join(f"{name} {host.installed[name]}" for name in wanted)
    core = Diagnosis(
        "edgeseg.core",
        "core packages",
        "missing" if absent else "ok",
        core_text,
        needed_for="running bundles" if absent else "",
        fix=(f"pip install {' '.join(absent)}",) if absent else (),
        facts={name: host.installed.get(name) for name in wanted},
    )
    own = Diagnosis("edgeseg.version", "edgeseg", "ok", __version__, facts={"version": __version__})
    return [own, python, core, _decoder()]


def _decoder() -> Diagnosis:
    """Checks for the compiled decode, which is built when edgeseg is installed."""
    if find_spec("edgeseg.runtime.decode._decode") is not None:
        return Diagnosis("edgeseg.decode", "decode", "ok", "compiled", facts={"compiled": True})
    return Diagnosis(
        "edgeseg.decode",
        "decode",
        "note",
        "not compiled: NumPy does the same, and takes a few times as long",
        needed_for="a fast decode on the host",
        fix=("sudo apt-get install gcc python3-dev", "pip install --force-reinstall --no-deps ."),
        facts={"compiled": False},
    )


def probe_machine(host: Host) -> list[Diagnosis]:
    """Examines the processor, its INT8 instructions, and the memory."""
    return [*_processor(host.read("/proc/cpuinfo") or "", host.arch), _memory(host)]


def _processor(cpuinfo: str, arch: str) -> list[Diagnosis]:
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    cores = len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE))
    part = _ARM_PARTS.get(fields.get("CPU part", ""), "")
    model = fields.get("model name") or fields.get("Model") or part or "unknown processor"
    counted = f"{cores} core{'' if cores == 1 else 's'}"
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    processor = Diagnosis(
        "machine.cpu",
        "processor",
        "ok" if cores else "note",
        f"{model}, {counted}, {arch}" if cores else f"{arch}; /proc/cpuinfo tells nothing",
        facts={"model": model, "cores": cores, "arch": arch},
    )
    return [processor, _int8(flags, arch)]


def _int8(flags: set[str], arch: str) -> Diagnosis:
    if arch in ("aarch64", "arm64"):
        has = [flag for flag in _ARM_INT8 if flag in flags]
        good = f"NEON with {' and '.join(_ARM_INT8[flag] for flag in has)}: it can pay off"
        poor = "NEON without dot product: it may be no faster than fp32; measure"
    else:
        has = [flag for flag in _VNNI_FLAGS if flag in flags]
        good = f"{', '.join(has)}: it can pay off"
        poor = "neither VNNI nor AVX2: run fp32 on this CPU"
        if "avx2" in flags:
            poor = (
                "AVX2 without VNNI: it may be slower than fp32, and its sums of products may saturate,"
                " which changes masks; measure both, or run fp32"
            )
    return Diagnosis(
        "machine.int8",
        "INT8 on the CPU",
        "ok" if has else "note",
        good if has else poor,
        facts={"instructions": has, "avx2": "avx2" in flags},
    )


def _memory(host: Host) -> Diagnosis:
    meminfo = host.read("/proc/meminfo") or ""
    total, free, swap = _bytes_of(meminfo, ("MemTotal", "MemAvailable", "SwapTotal"))
    facts = {"total_bytes": total, "available_bytes": free, "swap_bytes": swap}
    text = f"{gibibytes(total)}, {gibibytes(free)} free, swap {gibibytes(swap) if swap else 'none'}"
    if not total:
        return Diagnosis("machine.memory", "memory", "note", "/proc/meminfo has no figures", facts=facts)
    if find_jetson(host) and total < _SMALL_MEMORY_BYTES and swap < _ENOUGH_SWAP_BYTES:
        return Diagnosis(
            "machine.memory",
            "memory",
            "missing",
            f"{text}; more swap is wanted",
            needed_for="edgeseg build: TensorRT may want more memory than this board has",
            fix=(
                "sudo fallocate -l 4G /var/swapfile",
                "sudo chmod 600 /var/swapfile",
                "sudo mkswap /var/swapfile",
                "sudo swapon /var/swapfile",
            ),
            facts=facts,
        )
    return Diagnosis("machine.memory", "memory", "ok", text, facts=facts)


def _bytes_of(meminfo: str, names: Sequence[str]) -> list[int]:
    amounts = dict(re.findall(r"^(\w+):\s+(\d+) kB", meminfo, re.MULTILINE))
    return [int(amounts.get(name, 0)) * 1024 for name in names]
