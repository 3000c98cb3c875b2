"""The resize of a frame to the network's input. Normalization and channel order are inside the graph."""

from __future__ import annotations

import cv2
import numpy as np

from ..core.arrays import Frame
from ..core.errors import DataError


def check_frame(frame_bgr: Frame) -> None:
    """Checks that a frame is an image that the runtime accepts.

    Raises:
        DataError: the frame is not uint8 [H, W, 3] with at least one pixel.
    """
    if not isinstance(frame_bgr, np.ndarray):
        raise DataError(f"a frame must be a NumPy array, uint8 [H, W, 3] BGR; got {type(frame_bgr).__name__}")
    if frame_bgr.dtype != np.uint8:
        raise DataError(f"a frame must be uint8 [H, W, 3] BGR, 0 to 255; got {frame_bgr.dtype}")
    if frame_bgr.ndim != 3 or frame_bgr.shape[2] != 3:
        hint = (
            "; convert it with cv2.cvtColor" if frame_bgr.ndim == 2 or frame_bgr.shape[-1] in (1, 4) else ""
        )
        raise DataError(f"a frame must be uint8 [H, W, 3] BGR; got the shape {list(frame_bgr.shape)}{hint}")
    if frame_bgr.size == 0:
        raise DataError(f"a frame must have pixels; got the shape {list(frame_bgr.shape)}")


def resize_into(frame_bgr: Frame, target: Frame) -> None:
    """Resizes a frame into the memory that the network reads, without keeping the aspect ratio.

    Args:
        frame_bgr: uint8 [H, W, 3].
        target: uint8 [h, w, 3], contiguous; overwritten. Also BGR.

    Raises:
        DataError: the frame is not such an array.
    """
    check_frame(frame_bgr)
    height, width = target.shape[:2]
    cv2.resize(frame_bgr, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)


class Preprocessor:
    """Resizes frames into one reused buffer: the next call overwrites the result.

    Args:
        size_hw: the network's input height and width.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._buffer = np.empty((1, *size_hw, 3), np.uint8)

    def __call__(self, frame_bgr: Frame) -> Frame:
        """Resizes a frame, uint8 [H, W, 3], to the network's size, uint8 [1, h, w, 3].

        Raises:
            DataError: the frame is not such an array.
        """
        resize_into(frame_bgr, self._buffer[0])
        return self._buffer
