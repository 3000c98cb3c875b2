"""OpenCV's captures, which run in the child: V4L2 cameras, GStreamer pipelines, RTSP."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from ....core.arrays import Frame
from ....core.images import jpeg, jpeg_decode
from ...clock import now
from ...reasons import CORRUPT
from ..lag import Lag, skip_backlog
from .capture import Capture, CaptureError, Grabbed

_WAITS = 8
_LONG_WAIT, _LONG_WAIT_SECONDS = 2.5, 0.05
"""A wait for a frame of more than this many times the mean plus this many seconds: the frame may be older than its
arrival."""


class OpenCvCapture(Capture):
    """The common part of OpenCV's captures.

    :class:`Lag` computes a frame's age from its stamp: a driver or pipeline may have kept it for long while this
    process was stopped or busy. A frame without a stamp after an unusual pause may be as old as the pause.

    Args:
        spec: ``name``, for messages.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._name = str(spec["name"])
        self._lag = Lag()
        self._waits: deque[float] = deque(maxlen=_WAITS)
        self._capture = self._open(spec)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else None

    def _open(self, spec: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def _lost(self) -> str:
        return f"{self._name} gives no frames any more"

    def read(self, into: Frame | None) -> Grabbed:
        """Waits for the next frame."""
        asked_at = now()
        if not self._capture.grab():
            raise CaptureError(self._lost())
        at = self._captured_at(asked_at, now())
        good, frame = self._capture.retrieve(into)
        if not good or frame is None:
            raise CaptureError(self._lost())
        return Grabbed(frame, at)

    def close(self) -> None:
        """Releases the device."""
        self._capture.release()

    def _captured_at(self, asked_at: float, at: float) -> float:
        """Returns the earliest time at which the grabbed frame may have been captured."""
        stamp_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        stamped_at = self._lag.captured_at(at, stamp_ms / 1000 if stamp_ms > 0 else None)
        if self._lag.known:
            return stamped_at
        usual, wait = sum(self._waits) / max(1, len(self._waits)), at - asked_at
        unusual = len(self._waits) == _WAITS and wait > _LONG_WAIT * usual + _LONG_WAIT_SECONDS
        self._waits.append(wait)
        return asked_at if unusual else at


class V4l2Capture(OpenCvCapture):
    """A V4L2 camera. If it sends JPEG, each image is checked before it is decoded: OpenCV accepts one that was cut off.

    Args:
        spec: ``name``, ``place`` and ``device``; ``width``, ``height``, ``fps``, ``fourcc`` if requested.
    """

    def _open(self, spec: Mapping[str, Any]) -> Any:
        capture = cv2.VideoCapture(spec["device"], cv2.CAP_V4L2)
        if not capture.isOpened():
            raise CaptureError(
                f"{spec['place']} does not open; another program may hold it, or you may lack the rights (group video)"
            )
        self._compressed = False
        fourcc = spec.get("fourcc")
        if fourcc:
            # First, because sizes and rates depend on it.
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
        for name, key in _ASKED.items():
            if name in spec:
                capture.set(key, float(spec[name]))
        self.notes = tuple(_differences(capture, spec))
        if _fourcc_of(capture) in ("MJPG", "JPEG"):
            self._compressed = bool(capture.set(cv2.CAP_PROP_CONVERT_RGB, 0))
        return capture

    def _lost(self) -> str:
        return f"{self._name} gives no frames any more; is it still plugged in?"

    def read(self, into: Frame | None) -> Grabbed:
        """Waits for the next frame."""
        if not self._compressed:
            return super().read(into)
        grabbed = super().read(None)
        data = grabbed.frame.tobytes()
        if not data.startswith(jpeg.START):
            # This OpenCV or driver decodes although it accepted the setting not to.
            self._compressed = False
            self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 1)
            return super().read(into)
        frame, damage, form = jpeg_decode.decode(data, into=into)
        if form:
            raise CaptureError(f"{self._name} sends an image that {form}, which is not read", hopeless=True)
        if frame is None:
            width, height = (int(self._capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, _HEIGHT))
            frame = np.zeros((max(1, height), max(1, width), 3), np.uint8)
        return Grabbed(frame, grabbed.at, CORRUPT if damage else "")


_HEIGHT = cv2.CAP_PROP_FRAME_HEIGHT
_ASKED = {"width": cv2.CAP_PROP_FRAME_WIDTH, "height": _HEIGHT, "fps": cv2.CAP_PROP_FPS}


def _fourcc_of(capture: Any) -> str:
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    return code.to_bytes(4, "little", signed=False).decode("latin-1") if 0 < code < 1 << 32 else ""


def _differences(capture: Any, spec: Mapping[str, Any]) -> list[str]:
    """Returns a line for each setting that differs from the request."""
    notes = []
    for name, key in _ASKED.items():
        if name in spec and abs(capture.get(key) - float(spec[name])) > 0.01 * float(spec[name]):
            notes.append(f"asked for {name}={spec[name]}, the camera gives {capture.get(key):g}")
    if "fourcc" in spec and _fourcc_of(capture) != spec["fourcc"]:
        notes.append(f"asked for fourcc={spec['fourcc']}, the camera gives {_fourcc_of(capture)}")
    return [f"{note}; `edgeseg cameras` lists what it can" for note in notes]


class GStreamerCapture(OpenCvCapture):
    """A GStreamer pipeline that ends in an ``appsink``.

    Args:
        spec: ``name`` and ``pipeline``.
    """

    def _open(self, spec: Mapping[str, Any]) -> Any:
        if not has_gstreamer(cv2.getBuildInformation()):
            raise CaptureError(
                f"{self._name} needs an OpenCV with GStreamer, and the one installed has none: use JetPack's or the"
                " system's own (apt-get install python3-opencv, and pip uninstall opencv-python)",
                hopeless=True,
            )
        capture = cv2.VideoCapture(spec["pipeline"], cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            raise CaptureError(f"the pipeline of {self._name} does not start")
        return capture


def has_gstreamer(build_information: str) -> bool:
    """Returns True if an OpenCV was built with GStreamer, from the text of ``cv2.getBuildInformation``."""
    return re.search(r"^\s*GStreamer:\s*YES", build_information, re.MULTILINE) is not None


class RtspCapture(OpenCvCapture):
    """An RTSP stream through OpenCV's FFmpeg. Its options come from the environment, see ``rtsp.py``.

    Args:
        spec: ``name``, ``url``, ``open_timeout_s``, ``read_timeout_s``.
    """

    notes = (
        "OpenCV silently scales its frames back where the stream changes its size, so that such a change may go"
        ' unnoticed: pip install "edgeseg[rtsp]"',
    )

    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__(spec)
        self._pending: Grabbed | None = skip_backlog(self._next, self.fps)

    def _open(self, spec: Mapping[str, Any]) -> Any:
        deadlines = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            int(1000 * spec["open_timeout_s"]),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            int(1000 * spec["read_timeout_s"]),
        ]
        capture = cv2.VideoCapture(spec["url"], cv2.CAP_FFMPEG, deadlines)
        if not capture.isOpened():
            raise CaptureError(f"{self._name} does not open")
        return capture

    def read(self, into: Frame | None) -> Grabbed:
        """Waits for the next frame."""
        grabbed, self._pending = self._pending, None
        return grabbed or super().read(into)

    def _next(self) -> Grabbed:
        return super().read(None)
