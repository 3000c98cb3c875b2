"""TensorRT in its two flavours, and edgeseg's support of the installed versions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .cuda import cuda_python
from .diagnosis import Diagnosis, Fact, release
from .gpu import NO_GPU, driver_cuda, has_gpu
from .host import Host
from .jetson import find_jetson


@dataclass(frozen=True)
class _Flavour:
    module: str
    title: str
    extra: str
    at_least: tuple[int, ...]
    below: tuple[int, ...] | None
    range: str
    requirement: str


_NVIDIA = _Flavour("tensorrt", "TensorRT", "tensorrt", (10, 3), (12,), "10.3 to 11.x", "tensorrt>=10.3,<12")
_RTX = _Flavour("tensorrt_rtx", "TensorRT RTX", "rtx", (1, 1), None, "1.1 or later", "tensorrt-rtx>=1.1")
_NEWEST_CUDA = 13
_PURPOSE = "edgeseg build and edgeseg run --backend tensorrt"


def probe_tensorrt(host: Host) -> list[Diagnosis]:
    """Examines NVIDIA TensorRT and TensorRT for RTX."""
    return [_probe(host, _NVIDIA), _probe(host, _RTX)]


def _probe(host: Host, flavour: _Flavour) -> Diagnosis:
    key, label = f"tensorrt.{flavour.module}", flavour.title
    library = host.library(flavour.module)
    if library.facts is None:
        return _absent(host, flavour, library.error)
    version = str(library.facts["version"])
    facts: dict[str, Fact] = {"version": version, "supported": True}
    numbers = release(version)
    if numbers < flavour.at_least or (flavour.below and numbers >= flavour.below):
        return Diagnosis(
            key,
            label,
            "problem",
            f"{version}; edgeseg supports {flavour.range}",
            _PURPOSE,
            _install(host, flavour) if find_jetson(host) else (f'pip install "{flavour.requirement}"',),
            {"version": version, "supported": False},
        )
    wheel, driver = _cuda_of_wheel(host, flavour), driver_cuda(host)
    if wheel and driver and wheel > driver[0]:
        return Diagnosis(
            key,
            label,
            "problem",
            f"{version} is for CUDA {wheel}, and the driver runs CUDA {driver[0]} at most;"
            " renew the driver, or take the older build",
            _PURPOSE,
            (
                f"pip uninstall --yes {' '.join(_wheels(host, flavour))}",
                f"pip install {flavour.module.replace('_', '-')}-cu{driver[0]}",
            ),
            facts,
        )
    if has_gpu(host):
        text = f"{version}, supported"
    elif flavour is _RTX:
        text = f"{version}, supported; builds without a GPU"
    else:
        text = f"{version}, supported; {NO_GPU} to use it"
    return Diagnosis(key, label, "ok", text, facts=facts)


def _absent(host: Host, flavour: _Flavour, error: str) -> Diagnosis:
    key, label = f"tensorrt.{flavour.module}", flavour.title
    facts: dict[str, Fact] = {"version": None, "supported": False}
    jetson = find_jetson(host)
    if error:
        again: tuple[str, ...] = (f"pip install --force-reinstall {flavour.module.replace('_', '-')}",)
        if jetson:
            again = _install(host, flavour)
        return Diagnosis(key, label, "problem", f"does not load: {error}", _PURPOSE, again, facts)
    if flavour is _RTX:
        if jetson:
            return Diagnosis(key, label, "note", "not for Jetsons", facts=facts, quiet=True)
        return Diagnosis(key, label, "note", "not installed", facts=facts)
    if jetson:
        return _hidden_from_venv(host, facts) or Diagnosis(
            key, label, "missing", "not installed", _PURPOSE, _install(host, flavour), facts
        )
    if not has_gpu(host):
        return Diagnosis(key, label, "note", f"not installed; {NO_GPU} to use it", facts=facts)
    if host.library(_RTX.module).facts is not None:
        return Diagnosis(key, label, "note", "not installed; TensorRT for RTX is used instead", facts=facts)
    return Diagnosis(key, label, "missing", "not installed", _PURPOSE, _install(host, flavour), facts)


def _hidden_from_venv(host: Host, facts: dict[str, Fact]) -> Diagnosis | None:
    """The finding that this Python environment does not see JetPack's module; None if there is no such module."""
    at = [*host.glob("/usr/lib/python3*/dist-packages/tensorrt")]
    if not at:
        return None
    made_for = re.search(r"python3\.(\d+)", at[0].as_posix())
    if made_for and (3, int(made_for[1])) != host.python[:2]:
        here = ".".join(str(part) for part in host.python[:2])
        text = f"JetPack's is for Python 3.{made_for[1]}, and this is Python {here}"
        fix = (f"python3.{made_for[1]} -m venv --system-site-packages .venv-jetpack",)
    else:
        text = "JetPack's is there, and hidden from this Python environment"
        fix = ("python3 -m venv --system-site-packages .venv",)
    return Diagnosis("tensorrt.tensorrt", _NVIDIA.title, "problem", text, _PURPOSE, fix, facts)


def _install(host: Host, flavour: _Flavour) -> tuple[str, ...]:
    if find_jetson(host):
        pip_ones = _wheels(host, flavour)
        # pip's package would hide JetPack's, and is not built for the board.
        remove = (f"pip uninstall --yes {' '.join(pip_ones)}",) if pip_ones and host.in_venv else ()
        return (*remove, "sudo apt-get install tensorrt python3-libnvinfer")
    driver = driver_cuda(host)
    if driver and driver[0] < _NEWEST_CUDA:
        # The extra installs the newest version, for a CUDA that this driver does not run.
        return (f"pip install {flavour.module.replace('_', '-')}-cu{driver[0]} {cuda_python(host)}",)
    return (f'pip install "edgeseg[{flavour.extra}]"',)


def _wheels(host: Host, flavour: _Flavour) -> list[str]:
    prefix = flavour.module.replace("_", "-")
    return sorted(name for name in host.installed if re.fullmatch(rf"{prefix}(-cu\d+.*)?", name))


def _cuda_of_wheel(host: Host, flavour: _Flavour) -> int | None:
    prefix = flavour.module.replace("_", "-")
    for name in host.installed:
        match = re.fullmatch(rf"{prefix}-cu(\d+)", name)
        if match:
            return int(match[1])
    return None
