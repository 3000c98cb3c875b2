"""Cameras: those of the system, and a Jetson's CSI cameras."""

from __future__ import annotations

import re

from .diagnosis import Diagnosis, Fact
from .host import Host
from .jetson import find_jetson


def probe_cameras(host: Host) -> list[Diagnosis]:
    """Examines the cameras under /dev, and the programs for CSI cameras."""
    return [_devices(host), *([_csi(host), _ffmpeg(host)] if find_jetson(host) else [])]


def _devices(host: Host) -> Diagnosis:
    key, label = "cameras.devices", "cameras"
    paths = [path for path in host.glob("/dev/video*") if path.name.removeprefix("video").isdigit()]
    # One camera has several nodes; only the first carries images.
    paths = [p for p in paths if (host.read(f"/sys/class/video4linux/{p.name}/index") or "0").strip() == "0"]
    paths.sort(key=lambda path: int(path.name.removeprefix("video")))
    readable = [path for path in paths if host.may_use(path)]
    facts: dict[str, Fact] = {
        "devices": [f"/dev/{path.name}" for path in paths],
        "readable": [f"/dev/{path.name}" for path in readable],
    }
    if not paths:
        text = "none under /dev; edgeseg run plays videos, images and the aerial world"
        return Diagnosis(key, label, "note", text, facts=facts)
    titles = [_title(host, path.name) for path in paths]
    if len(readable) < len(paths):
        closed = ", ".join(f"/dev/{path.name}" for path in paths if path not in readable)
        text = f"{', '.join(titles)}; you may not read {closed}"
        fix = ('sudo usermod -aG video "$USER"', "newgrp video")
        return Diagnosis(key, label, "problem", text, "edgeseg run with a camera", fix, facts)
    return Diagnosis(key, label, "ok", ", ".join(titles), facts=facts)


def _title(host: Host, node: str) -> str:
    name = (host.read(f"/sys/class/video4linux/{node}/name") or "").strip()
    return f"/dev/{node}" + (f" ({name})" if name else "")


def _csi(host: Host) -> Diagnosis:
    key, label = "cameras.csi", "CSI"
    asked = host.program("gst-inspect-1.0", "--exists", "nvarguscamerasrc")
    facts: dict[str, Fact] = {"nvarguscamerasrc": asked.status == 0}
    if asked.status == 0:
        text = "GStreamer has nvarguscamerasrc: --source csi://0, with an OpenCV that has GStreamer (docs/jetson.md)"
        return Diagnosis(key, label, "ok", text, facts=facts)
    if asked.timed_out:
        text = "gst-inspect-1.0 hangs; the camera daemon may be stuck"
        fix = ("sudo systemctl restart nvargus-daemon",)
        return Diagnosis(key, label, "problem", text, "CSI cameras", fix, facts)
    text = "GStreamer has no nvarguscamerasrc" if asked.found else "gst-inspect-1.0 is not installed"
    packages = "nvidia-l4t-gstreamer gstreamer1.0-tools gstreamer1.0-plugins-good"
    return Diagnosis(key, label, "missing", text, "CSI cameras", (f"sudo apt-get install {packages}",), facts)


def _ffmpeg(host: Host) -> Diagnosis:
    asked = host.program("ffmpeg", "-version")
    match = re.match(r"ffmpeg version (\S+)", asked.out)
    facts: dict[str, Fact] = {"version": match[1] if match else None}
    text = match[1] if match else "not installed; edgeseg does not need the program"
    return Diagnosis("cameras.ffmpeg", "ffmpeg", "ok" if match else "note", text, facts=facts)
