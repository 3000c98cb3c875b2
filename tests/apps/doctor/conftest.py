"""Machines made up for the doctor: a file system, programs, libraries and packages each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from edgeseg.apps.doctor.diagnosis import Diagnosis
from edgeseg.apps.doctor.examine import examine
from edgeseg.apps.doctor.host import Host, Library, ProgramResult

CORE = {
    "numpy": "1.26.4",
    "fastjsonschema": "2.21.1",
    "packaging": "24.1",
    "simplejpeg": "1.9.0",
    "tomli": "2.0.1",
}
PIP_RUNTIME = {**CORE, "onnxruntime": "1.23.0", "opencv-python": "4.12.0.88"}

OPENCV_BUILD = """
General configuration for OpenCV {version} =====================================

  GUI:                           {gui}
    QT:                          NO

  Media I/O:
    JPEG:                        build (ver 62)

  Video I/O:
    FFMPEG:                      {ffmpeg}
      avcodec:                   YES (59.37.100)
    GStreamer:                   {gstreamer}
    v4l/v4l2:                    YES (linux/videodev2.h)

  Parallel framework:            pthreads
"""


def opencv(version: str = "4.12.0", gui: str = "QT5", ffmpeg: str = "YES", gstreamer: str = "NO") -> Library:
    build = OPENCV_BUILD.format(version=version, gui=gui, ffmpeg=ffmpeg, gstreamer=gstreamer)
    return Library({"version": version, "build": build})


def onnxruntime(*providers: str, broken: Mapping[str, str] | None = None) -> Library:
    names = [f"{name}ExecutionProvider" for name in (*providers, "CPU")]
    return Library({"version": "1.23.0", "providers": names, "broken": dict(broken or {})})


def driver(cuda: str, *gpus: tuple[str, str, int], error: str = "") -> Library:
    listed = [{"name": n, "compute_capability": c, "memory_bytes": b} for n, c, b in gpus]
    return Library({"cuda": cuda, "error": error, "gpus": listed})


def x86(flags: str, cores: int = 4, model: str = "Some Desktop CPU @ 3.20GHz") -> str:
    return "\n".join(f"processor\t: {i}\nmodel name\t: {model}\nflags\t\t: {flags}\n" for i in range(cores))


def arm(part: str, cores: int, features: str) -> str:
    return "\n".join(f"processor\t: {i}\nFeatures\t: {features}\nCPU part\t: {part}\n" for i in range(cores))


def memory(total_gib: float, swap_gib: float = 0) -> str:
    kib = int(total_gib * 2**20)
    return (
        f"MemTotal: {kib} kB\nMemFree: {kib // 4} kB\nMemAvailable: {kib // 2} kB\n"
        f"SwapTotal: {int(swap_gib * 2**20)} kB\n"
    )


class Machine:
    """A machine to be examined; tests change its parts before they look."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.programs: dict[str, ProgramResult] = {}
        self.libraries: dict[str, Library] = {}
        self.environ: dict[str, str] = {"HOME": str(root / "home" / "somebody")}
        self.options: dict[str, Any] = {"arch": "x86_64", "in_venv": True, "python": (3, 11, 4)}
        self.packages: dict[str, str] = {}
        self.asked: list[str] = []

    def write(self, path: str, text: str = "") -> Path:
        at = self.root / path.lstrip("/")
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text, encoding="utf-8")
        return at

    def run(self, args: Sequence[str]) -> ProgramResult:
        self.asked.append(" ".join(args))
        return self.programs.get(Path(args[0]).name, ProgramResult(None))

    def inspect(self, name: str) -> Library:
        self.asked.append(name)
        return self.libraries.get(name, Library(None))

    def host(self) -> Host:
        return Host(self.root, self.environ, self.run, self.inspect, self.packages, **self.options)

    def findings(self) -> dict[str, Diagnosis]:
        return {finding.key: finding for some in examine(self.host()).values() for finding in some}


def bare(machine: Machine) -> None:
    """A CPU box after `pip install edgeseg`."""
    machine.write("/proc/cpuinfo", x86("fpu sse4_2 avx2"))
    machine.write("/proc/meminfo", memory(16, 2))
    machine.write("/etc/os-release", 'ID=ubuntu\nVERSION_ID="24.04"\n')
    machine.packages |= PIP_RUNTIME
    machine.libraries |= {"onnxruntime": onnxruntime(), "cv2": opencv()}


def desktop(machine: Machine) -> None:
    """A workstation with a GPU and everything in place."""
    bare(machine)
    machine.write("/proc/cpuinfo", x86("fpu avx2 avx_vnni", 16))
    machine.write(
        "/proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:12:55 UTC 2025\n",
    )
    machine.environ["DISPLAY"] = ":0"
    machine.packages |= {
        "tensorrt": "11.4.0",
        "tensorrt-cu13": "11.4.0",
        "cuda-bindings": "13.0.1",
        "onnxruntime-gpu": "1.23.0",
    }
    del machine.packages["onnxruntime"]
    machine.libraries |= {
        "libcuda": driver("13.0", ("NVIDIA GeForce RTX 4070", "8.9", 12 << 30)),
        "cuda": Library({}),
        "tensorrt": Library({"version": "11.4.0"}),
        "onnxruntime": onnxruntime("Tensorrt", "CUDA"),
    }


def _jetson(machine: Machine, model: str, soc: str, tegra: str) -> None:
    machine.options["arch"] = "aarch64"
    machine.write("/proc/device-tree/model", f"{model}\0")
    machine.write("/proc/device-tree/compatible", f"nvidia,p0000-0000\0nvidia,{soc}\0")
    machine.write("/etc/nv_tegra_release", f"{tegra}, GCID: 1, BOARD: generic, EABI: aarch64, DATE: today\n")
    machine.write("/etc/os-release", "ID=ubuntu\n")
    machine.write("/usr/local/cuda/bin/nvcc")
    machine.programs |= {
        "gst-inspect-1.0": ProgramResult(0),
        "nvpmodel": ProgramResult(0, "NV Power Mode: 15W\n0\n"),
    }
    machine.packages |= {**CORE, "onnxruntime": "1.23.0", "pycuda": "2025.1"}
    machine.libraries |= {
        "onnxruntime": onnxruntime(),
        "cv2": opencv("4.8.0", "GTK2", gstreamer="YES"),
        "pycuda": Library({"cuda": "12.6"}),
    }


def jetpack6(machine: Machine) -> None:
    """A Jetson Orin Nano with JetPack 6, set up as docs/jetson.md says."""
    _jetson(
        machine,
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        "tegra234",
        "# R36 (release), REVISION: 4.3",
    )
    machine.options["python"] = (3, 10, 12)
    machine.write("/proc/cpuinfo", arm("0xd42", 6, "fp asimd aes asimddp"))
    machine.write("/proc/meminfo", memory(7.4, 3.7))
    machine.write("/usr/lib/python3.10/dist-packages/tensorrt/__init__.py")
    machine.programs |= {
        "dpkg-query": ProgramResult(0, "6.2+b77"),
        "nvcc": ProgramResult(0, "Cuda compilation tools, release 12.6, V12.6.68"),
        "nvidia-smi": ProgramResult(0, "540.4.0\n"),
    }
    machine.libraries |= {
        "libcuda": driver("12.6", ("Orin", "8.7", int(7.4 * 2**30))),
        "tensorrt": Library({"version": "10.3.0"}),
    }


def jetpack7(machine: Machine) -> None:
    """A Jetson Thor with JetPack 7, set up as docs/jetson.md says."""
    _jetson(machine, "NVIDIA Jetson AGX Thor Developer Kit", "tegra264", "# R38 (release), REVISION: 2.0")
    machine.options["python"] = (3, 12, 3)
    machine.write("/proc/cpuinfo", arm("0xd83", 14, "fp asimd asimddp i8mm"))
    machine.write("/proc/meminfo", memory(122))
    machine.programs |= {
        "dpkg-query": ProgramResult(0, "7.0+b128"),
        "nvcc": ProgramResult(0, "Cuda compilation tools, release 13.0, V13.0.48"),
        "nvidia-smi": ProgramResult(0, "580.00\n"),
        "nvpmodel": ProgramResult(0, "NV Power Mode: 120W\n1\n"),
    }
    machine.libraries |= {
        "libcuda": driver("13.0", ("NVIDIA Thor", "11.0", 122 << 30)),
        "tensorrt": Library({"version": "10.13.3"}),
    }


@pytest.fixture
def make_machine(tmp_path: Path) -> Callable[..., Machine]:
    """Makes a machine of one of the kinds above."""

    def make(furnish: Callable[[Machine], None]) -> Machine:
        machine = Machine(tmp_path)
        furnish(machine)
        return machine

    return make


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a shell script on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def add(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)

    return add
