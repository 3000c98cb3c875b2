"""``edgeseg cameras``: the cameras of this machine, and their modes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..core.printable import printable_lines

if TYPE_CHECKING:
    from ..runtime.sources.csi_sensors import CsiSensor
    from ..runtime.sources.v4l2 import Camera, Format

_NONE = """no cameras: there is no /dev/video* that captures, and no CSI sensor in a device tree.
A USB camera should appear as /dev/video0 once it is plugged in; dmesg tells.
In a container, pass it: docker run --device /dev/video0
Without one: --source film.mp4, rtsp://HOST/PATH, http://HOST/stream.mjpg, or aerial:7"""
_RAW_SENSORS = "tegra-video"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``edgeseg cameras``."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(args: argparse.Namespace) -> int:
    """Prints the cameras; returns 0, even if there are none."""
    from ..runtime.sources.csi_sensors import list_sensors
    from ..runtime.sources.v4l2 import list_cameras

    cameras, sensors = list_cameras(), list_sensors()
    if args.json:
        found = {"cameras": [asdict(each) for each in cameras], "csi": [asdict(each) for each in sensors]}
        print(json.dumps(found, indent=2))
    else:
        print(printable_lines(table(cameras, sensors)))
    return 0


def table(cameras: Sequence[Camera], sensors: Sequence[CsiSensor]) -> str:
    """The cameras and sensors as text."""
    if not cameras and not sensors:
        return _NONE
    lines: list[str] = []
    for camera in cameras:
        lines.append(
            f"{camera.device}  {camera.name or '?'}"
            + (f"  ({camera.driver}, {camera.bus})" if camera.driver else "")
        )
        if camera.problem:
            lines.append(f"  {camera.problem}")
        if camera.by_id:
            lines.append(f"  stays the same when plugged in again: --source v4l2://{camera.by_id}")
        if camera.driver == _RAW_SENSORS:
            lines.append("  the sensor's raw pixels; take csi:// for images")
        for form in camera.formats:
            lines.append(f"  {form.fourcc}  {form.text}")
            lines += [f"    {mode}" for mode in _modes(form)]
    for sensor in sensors:
        name = " ".join(filter(None, (sensor.badge, sensor.name)))
        lines.append(f"csi://{sensor.number}  {name or 'a CSI sensor'}  (in the device tree; through Argus)")
    example = _example(cameras)
    return "\n".join([*lines, *([f"for example: --source '{example}'"] if example else [])])


def _modes(form: Format) -> list[str]:
    lines = []
    for mode in form.modes:
        rates = ", ".join(f"{rate:g}" for rate in mode.fps)
        size = f"{mode.width}x{mode.height}" + (f" ({mode.step})" if mode.step else "")
        lines.append(size + (f" at {rates} fps" if rates else ""))
    return lines


def _example(cameras: Sequence[Camera]) -> str:
    """A URI for the first mode of the first camera that has one."""
    for camera in cameras:
        for form in camera.formats if camera.driver != _RAW_SENSORS else ():
            for mode in form.modes:
                rate = f"&fps={mode.fps[0]:g}" if mode.fps else ""
                size = f"width={mode.width}&height={mode.height}{rate}"
                return f"v4l2://{camera.device}?{size}&fourcc={form.fourcc}"
    return ""
