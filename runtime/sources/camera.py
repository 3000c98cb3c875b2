"""Cameras that the operating system knows by a number."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import SourceError
from ..recycle import ArrayPool
from .base import Source


def camera_indices() -> list[int]:
    """The numbers of the cameras (``/dev/video*``) that are there, rising."""
    devices = (path.name.removeprefix("video") for path in Path("/dev").glob("video*"))
    return sorted(int(number) for number in devices if number.isdigit())


class CameraSource(Source):
    """A camera, by its index.

    Raises:
        SourceError: there is no such camera, or it does not open. The message names those there are.
    """

    live = True

    def __init__(self, index: int) -> None:
        self.name = f"camera {index}"
        present = camera_indices()
        if index not in present:
            there = ", ".join(f"/dev/video{i}" for i in present) or "no /dev/video* at all"
            raise SourceError(f"there is no camera {index} (/dev/video{index}); this machine has {there}")
        self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise SourceError(
                f"camera {index} (/dev/video{index}) does not open; another program may hold it,"
                " or you may lack the rights (group video)"
            )
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or None
        self._frames, self._shape = ArrayPool(), (1, 1, 3)

    def read(self) -> npt.NDArray[np.uint8] | None:
        """Waits for the camera's next frame, uint8 [H, W, 3] BGR. A camera has no end.

        Raises:
            SourceError: the camera gives no frame.
        """
        # OpenCV writes into the array where it has the frame's shape, and else makes one.
        good, frame = self._capture.read(self._frames.take(self._shape, np.uint8))
        if not good:
            raise SourceError(f"{self.name} gives no frames any more; is it still plugged in?")
        self._shape = (frame.shape[0], frame.shape[1], 3)
        return np.asarray(frame, np.uint8)

    def close(self) -> None:
        """Lets the camera go."""
        self._capture.release()
