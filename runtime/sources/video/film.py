"""One film being decoded: the contract, and OpenCV's FFmpeg behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ....core.native_name import native_name
from ...recycle import ArrayPool
from ..process.capture import Frame


class FilmError(Exception):
    """A film cannot be opened.

    Args:
        codec: what its pictures are coded in, where that is known; else empty.
    """

    def __init__(self, codec: str = "") -> None:
        super().__init__(codec)
        self.codec = codec


class Picture(NamedTuple):
    """A frame.

    Attributes:
        frame: uint8 [H, W, 3] BGR.
        time_s: when it is to be shown, in seconds from the film's begin.
        damaged: whether the decoder says that it is not whole.
    """

    frame: Frame
    time_s: float
    damaged: bool = False


class Film(ABC):
    """Decodes a film from its begin to its end. It is open from its construction on.

    Attributes:
        fps: frames a second that it claims; None where it does not know.
        claimed: frames that its header claims or its length suggests; 0 where neither is known.
    """

    fps: float | None = None
    claimed: float = 0.0

    @abstractmethod
    def read(self) -> Picture | None:
        """The next frame; None at the end."""

    @abstractmethod
    def close(self) -> None:
        """Closes the file. Closing twice is harmless."""


class OpenCvFilm(Film):
    """Decodes through OpenCV.

    Args:
        path: of the file.

    Raises:
        FilmError: OpenCV does not take it for a video, or gives no frame of it.
    """

    def __init__(self, path: Path) -> None:
        self._frames, self._shape = ArrayPool(), (1, 1, 3)
        with native_name(path) as name:
            # The back end is named, lest a file be passed to one that takes it for a pattern or a device.
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
            if not self._capture.isOpened():
                self._capture = cv2.VideoCapture(name)
        if not self._capture.isOpened():
            raise FilmError
        # The first frame is read now, so that a film without any is refused before anything starts.
        self._first = self._grab()
        if self._first is None:
            code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
            self.close()
            raise FilmError(codec_name(code))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else None
        self.claimed = max(0.0, self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def read(self) -> Picture | None:
        """The next frame; None at the end."""
        picture, self._first = self._first, None
        return picture if picture is not None else self._grab()

    def close(self) -> None:
        """Closes the file."""
        self._capture.release()

    def _grab(self) -> Picture | None:
        # OpenCV writes into the array where it has the frame's shape, and else makes one.
        good, frame = self._capture.read(self._frames.take(self._shape, np.uint8))
        if not good:
            return None
        self._shape = (frame.shape[0], frame.shape[1], 3)
        return Picture(np.asarray(frame, np.uint8), self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)


_NAMES = {"av01": "AV1", "hevc": "HEVC", "hev1": "HEVC", "hvc1": "HEVC", "h264": "H.264", "avc1": "H.264"}
_NAMES |= {"vp80": "VP8", "vp90": "VP9", "vp09": "VP9", "vvc1": "VVC", "fmp4": "MPEG-4", "mpg2": "MPEG-2"}


def codec_name(code: int) -> str:
    """A codec's name for people, by the four letters that OpenCV gives as a number; empty where there are none."""
    letters = code.to_bytes(4, "little").decode("latin-1") if 0 < code < 1 << 32 else ""
    return _NAMES.get(letters.lower(), letters.strip() if letters.isprintable() else "")
