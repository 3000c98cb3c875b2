"""Cameras that the operating system numbers, through V4L2."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.errors import SourceError
from .limits import child_environment
from .live import Interruption, LiveOptions
from .process.source import ChildCapture, ChildSource
from .uri import SourceUri


def camera_indices() -> list[int]:
    """The numbers of the present cameras (``/dev/video*``), in rising order."""
    devices = (path.name.removeprefix("video") for path in Path("/dev").glob("video*"))
    return sorted(int(number) for number in devices if number.isdigit())


class CameraSource(ChildSource):
    """A camera, captured in a child process.

    Args:
        uri: ``v4l2`` with the device; ``width``, ``height``, ``fps`` and ``fourcc`` are requested of it.
        options: the deadlines.
        interruption: ends waits.

    Raises:
        SourceError: there is no such camera, or it does not open. The message names the present ones.
    """

    def __init__(self, uri: SourceUri, options: LiveOptions, interruption: Interruption) -> None:
        device = uri.rest
        _check_is_there(uri.public_name, device)
        place = f"{uri.public_name} ({device})" if uri.public_name != device else device
        capture = ChildCapture(
            "edgeseg.runtime.sources.process.opencv:V4l2Capture",
            {"name": uri.public_name, "place": place, "device": device, **uri.options},
            child_environment(options.read_timeout_s, {"protocol_whitelist": "file"}),
        )
        super().__init__(uri.public_name, capture, options, interruption)


def _check_is_there(name: str, device: str) -> None:
    number = device.removeprefix("/dev/video")
    present = camera_indices()
    there = int(number) in present if number.isdigit() else os.path.exists(device)
    if not there:
        others = ", ".join(f"/dev/video{i}" for i in present) or "no /dev/video* at all"
        place = f"{name} ({device})" if name != device else device
        raise SourceError(f"there is no {place}; this machine has {others}")
