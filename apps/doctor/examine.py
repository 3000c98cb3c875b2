"""Runs the probes in parallel. A probe that crashes or hangs becomes a finding and does not stop the doctor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .cache import probe_cache
from .cameras import probe_cameras
from .cuda import probe_cuda
from .diagnosis import Diagnosis
from .extras import probe_extras
from .gpu import probe_gpu
from .host import LIBRARY_SECONDS, Host
from .jetson import probe_jetson
from .machine import probe_machine, probe_python
from .onnxruntime import probe_onnxruntime
from .opencv import probe_opencv
from .openvino import probe_openvino
from .tensorrt import probe_tensorrt
from .training import probe_training

PROBE_SECONDS = 2 * LIBRARY_SECONDS + 5
"""A probe waits for two libraries at most, one after the other, and a few programs."""


@dataclass(frozen=True)
class Probe:
    """One subject of the examination, with its own heading.

    Attributes:
        key: the start of its findings' keys.
        title: its heading.
        look: returns the findings.
    """

    key: str
    title: str
    look: Callable[[Host], list[Diagnosis]]


PROBES = (
    Probe("edgeseg", "edgeseg", probe_python),
    Probe("machine", "Machine", probe_machine),
    Probe("jetson", "Jetson", probe_jetson),
    Probe("gpu", "NVIDIA GPU", probe_gpu),
    Probe("cuda", "CUDA", probe_cuda),
    Probe("tensorrt", "TensorRT", probe_tensorrt),
    Probe("onnxruntime", "ONNX Runtime", probe_onnxruntime),
    Probe("openvino", "OpenVINO", probe_openvino),
    Probe("opencv", "OpenCV", probe_opencv),
    Probe("cameras", "Cameras", probe_cameras),
    Probe("training", "Training and export", probe_training),
    Probe("extras", "Extras", probe_extras),
    Probe("cache", "Engine cache", probe_cache),
)

Findings = Mapping[Probe, list[Diagnosis]]


def examine(host: Host, probes: tuple[Probe, ...] = PROBES, seconds: float = PROBE_SECONDS) -> Findings:
    """Runs all probes at once.

    Args:
        host: the machine.
        probes: the subjects.
        seconds: timeout for all of them together.

    Returns:
        Each probe's findings, in the order of ``probes``.
    """
    findings: dict[str, list[Diagnosis]] = {}
    # Daemons: a thread that hangs on a dead disk must not keep the process alive.
    threads = [
        threading.Thread(target=_run_probe, args=(probe, host, findings), name=probe.key, daemon=True)
        for probe in probes
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {probe: findings.get(probe.key) or [_hung(probe, seconds)] for probe in probes}


def _run_probe(probe: Probe, host: Host, findings: dict[str, list[Diagnosis]]) -> None:
    try:
        findings[probe.key] = probe.look(host)
    except Exception as error:  # a fault in one probe must not hide the others' findings
        text = f"the doctor's own fault: {type(error).__name__}: {error}"
        findings[probe.key] = [Diagnosis(f"{probe.key}.probe", "this check", "problem", text)]


def _hung(probe: Probe, seconds: float) -> Diagnosis:
    text = f"did not end within {seconds:g} s; a driver or a disk hangs"
    return Diagnosis(f"{probe.key}.probe", "this check", "problem", text)
