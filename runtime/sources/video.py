"""Video files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import SourceError
from ..recycle import ArrayPool
from .base import Source

_SHORT = 0.05
_SLACK_FRAMES = 3


class VideoSource(Source):
    """A video file, frame by frame.

    A file whose frames end well before its header says is an error and no end: it was cut off as it was copied or
    recorded, and who acts on its masks should know.

    Args:
        path: of the file.
        loop: begin again at the end, for ever.

    Raises:
        SourceError: the file is no video that OpenCV reads, or holds no frame.
    """

    def __init__(self, path: Path, loop: bool = False) -> None:
        self.name = str(path)
        self._path, self._loop = path, loop
        self._frames, self._shape = ArrayPool(), (1, 1, 3)
        self._first: npt.NDArray[np.uint8] | None = None
        self._claimed = 0.0
        self._open()

    def read(self) -> npt.NDArray[np.uint8] | None:
        """The next frame, uint8 [H, W, 3] BGR; None at the end.

        Raises:
            SourceError: the file ends much earlier than its header says.
        """
        frame = self._first if self._first is not None else self._grab()
        self._first = None
        if frame is None:
            self._check_is_whole()
            if self._loop and self._count:
                self.close()
                self._open()
                frame, self._first = self._first, None
        return frame

    def close(self) -> None:
        """Closes the file."""
        self._capture.release()

    def _open(self) -> None:
        self._count, self._last_s = 0, 0.0
        # Named, lest a file be passed to a back end that takes it for a pattern or a device.
        self._capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            self._capture = cv2.VideoCapture(str(self._path))
        if not self._capture.isOpened():
            raise SourceError(
                f"cannot read {self._path} as a video: it is damaged, empty or of a form OpenCV lacks"
            )
        # The first frame is read now, so that a video without any is refused before anything starts.
        self._first = self._grab()
        if self._first is None:
            self.close()
            raise SourceError(f"the video {self._path} holds no frame that can be decoded")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else None
        self._claimed = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)

    def _grab(self) -> npt.NDArray[np.uint8] | None:
        # OpenCV writes into the array where it has the frame's shape, and else makes one.
        good, frame = self._capture.read(self._frames.take(self._shape, np.uint8))
        if not good:
            return None
        self._shape = (frame.shape[0], frame.shape[1], 3)
        self._count += 1
        self._last_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return np.asarray(frame, np.uint8)

    def _check_is_whole(self) -> None:
        """Compares what came with what the header claims, by number and by time.

        Neither alone will do. Where the container has no index of frames, OpenCV makes their number up from duration
        and rate, which is wrong for a rate that varies; times are then right. Edit lists and streams that begin late
        shift times; numbers are then right. And good files lack a few frames at their ends.
        """
        missing = self._claimed - self._count
        if missing <= max(_SLACK_FRAMES, _SHORT * self._claimed) or self.fps is None:
            return
        claimed_s = self._claimed / self.fps
        if self._last_s >= (1 - _SHORT) * claimed_s - _SLACK_FRAMES / self.fps:
            return
        raise SourceError(
            f"the video {self._path} is cut off: read {self._count} frames of {self._claimed:.0f} that its header"
            " claims"
        )
