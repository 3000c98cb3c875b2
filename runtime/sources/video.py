"""Video files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import SourceError
from ..recycle import ArrayPool
from .base import Source


class VideoSource(Source):
    """A video file, frame by frame.

    Raises:
        SourceError: the file is no video that OpenCV reads, or holds no frame.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SourceError(
                f"cannot read {path} as a video: it is damaged, empty or of a form OpenCV lacks"
            )
        self._frames, self._shape = ArrayPool(), (1, 1, 3)
        # The first frame is read now, so that a video without any is refused before anything starts.
        self._first = self._grab()
        if self._first is None:
            self.close()
            raise SourceError(f"the video {path} holds no frame that can be decoded")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else None

    def read(self) -> npt.NDArray[np.uint8] | None:
        """The next frame, uint8 [H, W, 3] BGR; None at the end."""
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        return self._grab()

    def close(self) -> None:
        """Closes the file."""
        self._capture.release()

    def _grab(self) -> npt.NDArray[np.uint8] | None:
        # OpenCV writes into the array where it has the frame's shape, and else makes one.
        good, frame = self._capture.read(self._frames.take(self._shape, np.uint8))
        if not good:
            return None
        self._shape = (frame.shape[0], frame.shape[1], 3)
        return np.asarray(frame, np.uint8)
