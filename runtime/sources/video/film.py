"""The decoder of one film: the interface, and the one through OpenCV's FFmpeg."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ....core.arrays import Frame
from ....core.native_name import native_name
from ...recycle import ArrayPool


class FilmError(Exception):
    """A film cannot be opened.

    Args:
        codec: the codec of its frames, if that is known; else empty.
    """

    def __init__(self, codec: str = "") -> None:
        super().__init__(codec)
        self.codec = codec


class FilmFrame(NamedTuple):
    """A frame.

    Attributes:
        frame: uint8 [H, W, 3] BGR.
        time_s: the time at which it is shown, in seconds from the film's start.
        damaged: True if the decoder reports that it is not whole.
    """

    frame: Frame
    time_s: float
    damaged: bool = False


class Film(ABC):
    """Decodes a film from its start to its end. Its construction opens it.

    Attributes:
        fps: the frames a second that it claims; None if it does not know.
        claimed: the number of frames that its header claims or its length suggests; 0 if neither is known.
    """

    fps: float | None = None
    claimed: float = 0.0

    @abstractmethod
    def read(self) -> FilmFrame | None:
        """The next frame; None at the end."""

    @abstractmethod
    def close(self) -> None:
        """Closes the file. Closing twice is harmless."""


class OpenCvFilm(Film):
    """Decodes through OpenCV.

    Args:
        path: of the file.

    Raises:
        FilmError: OpenCV does not recognize it as a video, or gives no frame of it.
    """

    def __init__(self, path: Path) -> None:
        self._frames, self._shape = ArrayPool(), (1, 1, 3)
        with native_name(path) as name:
            # Without a named backend, OpenCV could try one that reads the name as a pattern or a device.
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
            if not self._capture.isOpened():
                self._capture = cv2.VideoCapture(name)
        if not self._capture.isOpened():
            raise FilmError
        # The first frame is read now, so that a film without frames is refused before the run starts.
        self._first = self._grab()
        if self._first is None:
            code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
            self.close()
            raise FilmError(codec_name(code))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else None
        self.claimed = max(0.0, self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def read(self) -> FilmFrame | None:
        """The next frame; None at the end."""
        image, self._first = self._first, None
        return image if image is not None else self._grab()

    def close(self) -> None:
        """Closes the file."""
        self._capture.release()

    def _grab(self) -> FilmFrame | None:
        # OpenCV writes into the array if it has the frame's shape, else makes a new one.
        good, frame = self._capture.read(self._frames.take(self._shape, np.uint8))
        if not good:
            return None
        self._shape = (frame.shape[0], frame.shape[1], 3)
        return FilmFrame(np.asarray(frame, np.uint8), self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)


_NAMES = {"av01": "AV1", "hevc": "HEVC", "hev1": "HEVC", "hvc1": "HEVC", "h264": "H.264", "avc1": "H.264"}
_NAMES |= {"vp80": "VP8", "vp90": "VP9", "vp09": "VP9", "vvc1": "VVC", "fmp4": "MPEG-4", "mpg2": "MPEG-2"}


def codec_name(code: int) -> str:
    """A codec's name for display, from the four letters that OpenCV gives as a number; empty if there are none."""
    letters = code.to_bytes(4, "little").decode("latin-1") if 0 < code < 1 << 32 else ""
    return _NAMES.get(letters.lower(), letters.strip() if letters.isprintable() else "")
