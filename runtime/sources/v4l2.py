"""The kernel's information about a camera: name, driver, formats, sizes and rates (V4L2, ``linux/videodev2.h``).

Nothing is captured, and no other program is needed. A broken driver may hang in any of these calls, so
:func:`list_cameras` makes them in a child.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Ioctl = Callable[[int, int, bytearray], int]

_SECONDS = 3.0
_CODE = (
    "import sys; sys.path[:] = sys.argv[2:]; from edgeseg.runtime.sources.v4l2 import main; main(sys.argv[1])"
)

_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_FORMAT = struct.Struct("=III32sII12x")
_FRAME_SIZE = struct.Struct("=III24x8x")
_FRAME_INTERVAL = struct.Struct("=IIIII24x8x")


def _request(direction: int, number: int, size: int) -> int:
    """``_IOC`` of the kernel's common architectures: x86 and ARM."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


_QUERYCAP = _request(2, 0, _CAPABILITY.size)
_ENUM_FMT = _request(3, 2, _FORMAT.size)
_ENUM_FRAMESIZES = _request(3, 74, _FRAME_SIZE.size)
_ENUM_FRAMEINTERVALS = _request(3, 75, _FRAME_INTERVAL.size)

_DEVICE_CAPS = 0x80000000
_CAPTURE, _CAPTURE_MPLANE = 0x00000001, 0x00001000
_BUFFER_CAPTURE, _BUFFER_CAPTURE_MPLANE = 1, 9
_DISCRETE = 1
_MOST = 256
"""The most entries of an enumeration, because a broken driver's may never end."""


@dataclass(frozen=True)
class Mode:
    """A frame size of a camera in one format.

    Attributes:
        width, height: in pixels; the largest if ``step`` is not empty.
        fps: its rates, in falling order; the ends if the driver gives a range.
        step: the smallest size and the steps as text for display, if the driver gives a range; else empty.
    """

    width: int
    height: int
    fps: Sequence[float] = ()
    step: str = ""


@dataclass(frozen=True)
class Format:
    """A pixel format of a camera.

    Attributes:
        fourcc: such as ``MJPG``.
        text: the driver's name of it.
        modes: its sizes.
    """

    fourcc: str
    text: str
    modes: Sequence[Mode] = ()


@dataclass(frozen=True)
class Camera:
    """A device.

    Attributes:
        device: such as ``/dev/video0``.
        name: the driver's name of it.
        driver: such as ``uvcvideo``.
        bus: the place where it is plugged in.
        formats: its pixel formats.
        problem: the reason that nothing more is known, in one line; else empty.
        by_id: a name that stays the same, below ``/dev/v4l/by-id``; empty if there is none.
    """

    device: str
    name: str = ""
    driver: str = ""
    bus: str = ""
    formats: Sequence[Format] = field(default_factory=tuple)
    problem: str = ""
    by_id: str = ""


def main(device: str) -> None:
    """Prints :func:`describe`'s result for a device, as JSON; null if it is not a camera."""
    fd = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    print(json.dumps(describe(fd)))


def describe(fd: int, ioctl: Ioctl = fcntl.ioctl) -> dict[str, Any] | None:
    """Reads an open device's description; None if it captures no video, like the second node of many cameras.

    Raises:
        OSError: it is not a V4L2 device.
    """
    buffer = bytearray(_CAPABILITY.size)
    ioctl(fd, _QUERYCAP, buffer)
    driver, card, bus, _, capabilities, device_caps = _CAPABILITY.unpack(buffer)
    own = device_caps if capabilities & _DEVICE_CAPS else capabilities
    if not own & (_CAPTURE | _CAPTURE_MPLANE):
        return None
    kind = _BUFFER_CAPTURE if own & _CAPTURE else _BUFFER_CAPTURE_MPLANE
    formats = []
    for index in range(_MOST):
        answer = _ask(ioctl, fd, _ENUM_FMT, _FORMAT, index, kind, 0, b"", 0, 0)
        if answer is None:
            break
        _, _, _, text, code, _ = answer
        modes = [mode for size in _sizes(ioctl, fd, code) for mode in size]
        formats.append({"fourcc": _fourcc(code), "text": _text(text), "modes": modes})
    return {"name": _text(card), "driver": _text(driver), "bus": _text(bus), "formats": formats}


def _sizes(ioctl: Ioctl, fd: int, code: int) -> Iterator[list[dict[str, Any]]]:
    for index in range(_MOST):
        buffer = bytearray(_FRAME_SIZE.size)
        struct.pack_into("=II", buffer, 0, index, code)
        if not _answered(ioctl, fd, _ENUM_FRAMESIZES, buffer):
            return
        kind = struct.unpack_from("=I", buffer, 8)[0]
        if kind == _DISCRETE:
            width, height = struct.unpack_from("=II", buffer, 12)
            yield [{"width": width, "height": height, "fps": _rates(ioctl, fd, code, width, height)}]
            continue
        least_w, most_w, step_w, least_h, most_h, step_h = struct.unpack_from("=6I", buffer, 12)
        step = f"from {least_w}x{least_h} in steps of {step_w}x{step_h}"
        rates = _rates(ioctl, fd, code, most_w, most_h)
        yield [{"width": most_w, "height": most_h, "fps": rates, "step": step}]
        return


def _rates(ioctl: Ioctl, fd: int, code: int, width: int, height: int) -> list[float]:
    """Returns frames a second, in falling order; the driver gives the time between two frames."""
    rates: list[float] = []
    for index in range(_MOST):
        buffer = bytearray(_FRAME_INTERVAL.size)
        struct.pack_into("=IIII", buffer, 0, index, code, width, height)
        if not _answered(ioctl, fd, _ENUM_FRAMEINTERVALS, buffer):
            break
        kind = struct.unpack_from("=I", buffer, 16)[0]
        # A range has three fractions: shortest, longest, step.
        ends = struct.unpack_from("=4I", buffer, 20)
        for above, below in (ends[:2],) if kind == _DISCRETE else (ends[:2], ends[2:]):
            if above:
                rates.append(round(below / above, 3))
        if kind != _DISCRETE:
            break
    return sorted(set(rates), reverse=True)


def _ask(ioctl: Ioctl, fd: int, request: int, form: struct.Struct, *values: object) -> tuple[Any, ...] | None:
    buffer = bytearray(form.pack(*values))
    return form.unpack(buffer) if _answered(ioctl, fd, request, buffer) else None


def _answered(ioctl: Ioctl, fd: int, request: int, buffer: bytearray) -> bool:
    """Returns True if there is such an entry; EINVAL ends an enumeration, ENOTTY means that the driver has none."""
    try:
        ioctl(fd, request, buffer)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTTY):
            return False
        raise
    return True


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def _fourcc(code: int) -> str:
    return (code & 0x7FFFFFFF).to_bytes(4, "little").decode("latin-1").strip()


def list_cameras(folder: Path = Path("/dev"), seconds: float = _SECONDS) -> list[Camera]:
    """Returns the cameras below ``/dev``. Each is queried in a child, which is killed if the driver hangs.

    Args:
        folder: the folder of the devices.
        seconds: the time limit for each.
    """
    nodes = [path for path in folder.glob("video*") if path.name.removeprefix("video").isdigit()]
    nodes.sort(key=lambda path: int(path.name.removeprefix("video")))
    names = {os.path.realpath(link): str(link) for link in sorted(folder.glob("v4l/by-id/*"))}
    found = [_inspect(str(node), seconds, names.get(os.path.realpath(node), "")) for node in nodes]
    return [camera for camera in found if camera is not None]


def _inspect(device: str, seconds: float, by_id: str) -> Camera | None:
    if not os.access(device, os.R_OK | os.W_OK):
        problem = 'you may not open it: sudo usermod -aG video "$USER", then log in again'
        return Camera(device, problem=problem, by_id=by_id)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CODE, device, *sys.path],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Camera(device, problem=f"its driver does not answer within {seconds:g} s", by_id=by_id)
    if done.returncode:
        words = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it ended"])[-1]
        return Camera(device, problem=f"it cannot be asked: {words[:200]}", by_id=by_id)
    answer = json.loads(done.stdout)
    if answer is None:
        return None
    formats = tuple(
        Format(each["fourcc"], each["text"], tuple(Mode(**mode) for mode in each["modes"]))
        for each in answer.pop("formats")
    )
    return Camera(device, **answer, formats=formats, by_id=by_id)
