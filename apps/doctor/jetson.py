"""NVIDIA's Jetson boards: the model, JetPack, and the power mode."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .diagnosis import Diagnosis, release
from .host import Host

_JETPACK_OF_L4T = {32: 4, 34: 5, 35: 5, 36: 6, 38: 7, 39: 7}
_MIN_L4T = (36, 4)
"""JetPack 6.1, the first with TensorRT 10.3."""


@dataclass(frozen=True)
class Jetson:
    """A Jetson board.

    Attributes:
        model: the board's own name.
        l4t: version of Jetson Linux, such as ``36.4.3``; empty if unknown.
        jetpack: version of JetPack; only its major number if its package is not installed; may be empty.
        jetpack_installed: whether JetPack's own package, which brings CUDA and TensorRT, is installed.
    """

    model: str
    l4t: str
    jetpack: str
    jetpack_installed: bool


def find_jetson(host: Host) -> Jetson | None:
    """This machine's Jetson board; None if it is no Jetson."""
    model = host.read("/proc/device-tree/model") or host.read("/sys/firmware/devicetree/base/model") or ""
    compatible = host.read("/proc/device-tree/compatible") or ""
    tegra = host.read("/etc/nv_tegra_release") or ""
    if not tegra and "nvidia,tegra" not in compatible and "Jetson" not in model:
        return None
    match = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", tegra)
    l4t = f"{match[1]}.{match[2]}" if match else ""
    package = host.program("dpkg-query", "--show", "--showformat=${Version}", "nvidia-jetpack")
    installed = package.out.partition("+")[0].strip() if package.status == 0 else ""
    major = _JETPACK_OF_L4T.get(release(l4t)[0]) if l4t else None
    return Jetson(model.strip() or "Jetson", l4t, installed or str(major or ""), bool(installed))


def probe_jetson(host: Host) -> list[Diagnosis]:
    """Examines the board, Jetson Linux, JetPack and the power mode."""
    jetson = find_jetson(host)
    if jetson is None:
        return [Diagnosis("jetson.model", "board", "note", "not a Jetson", facts={"model": None}, quiet=True)]
    board = Diagnosis("jetson.model", "board", "ok", jetson.model, facts={"model": jetson.model})
    return [board, _jetpack(jetson), _power_mode(host)]


def _jetpack(jetson: Jetson) -> Diagnosis:
    facts = {"l4t": jetson.l4t or None, "jetpack": jetson.jetpack or None}
    text = f"JetPack {jetson.jetpack or 'of unknown version'}, L4T {jetson.l4t or 'of unknown version'}"
    if jetson.l4t and release(jetson.l4t) < _MIN_L4T:
        return Diagnosis(
            "jetson.jetpack",
            "JetPack",
            "problem",
            f"{text}; edgeseg's TensorRT backend needs JetPack 6.1 or later: flash the board anew",
            needed_for="TensorRT: 10.3 came with JetPack 6.1",
            facts=facts,
        )
    if not jetson.jetpack_installed:
        return Diagnosis(
            "jetson.jetpack",
            "JetPack",
            "missing",
            f"{text}; its package nvidia-jetpack is not installed",
            needed_for="CUDA, TensorRT and OpenCV with GStreamer, where they are missing below",
            fix=("sudo apt-get update", "sudo apt-get install nvidia-jetpack"),
            facts=facts,
        )
    return Diagnosis("jetson.jetpack", "JetPack", "ok", text, facts=facts)


def _power_mode(host: Host) -> Diagnosis:
    asked = host.program("nvpmodel", "-q")
    match = re.search(r"NV Power Mode:\s*(\S+)\s+(\d+)?", asked.out + "\n")
    if asked.status == 0 and match:
        number = f" (mode {match[2]})" if match[2] else ""
        return Diagnosis(
            "jetson.power",
            "power mode",
            "ok",
            f"{match[1]}{number}; all modes: nvpmodel -p --verbose",
            facts={"mode": match[1]},
        )
    if asked.timed_out:
        reason = "did not answer in time"
    elif asked.found:
        reason = "gives no mode"
    else:
        reason = "is not there"
    text = f"unknown; nvpmodel {reason}; try: sudo nvpmodel -q"
    return Diagnosis("jetson.power", "power mode", "note", text, facts={"mode": None})
