"""Images of the frames on which two runs differ most, side by side."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ...core.arrays import Frame
from ...core.errors import OutputError
from ...core.labels import LabelMap
from ...runtime.overlay import Overlay
from ...runtime.painter import Painter
from .comparison import Difference

_GAP_PX = 6
_CHANGED_BGR = (60, 60, 255)
_DIM = 0.45


class DifferenceImages:
    """Draws each difference as one image: frame, before, after, and the pixels that differ.

    Args:
        labels: the classes.
        before: title of the reference class maps.
        after: title of the class maps under test.
    """

    def __init__(self, labels: LabelMap, before: str, after: str) -> None:
        self._overlay = Overlay(labels)
        self._titles = ("frame", before, after)

    def draw(self, difference: Difference) -> Frame:
        """Draws a difference: uint8 [2 H + gap, 2 W + gap, 3] BGR."""
        frame_bgr = difference.frame_bgr
        where = cv2.convertScaleAbs(frame_bgr, alpha=_DIM)
        where[difference.before != difference.after] = _CHANGED_BGR
        titles = (*self._titles, f"{difference.share:.2%} of the pixels differ")
        views = (
            frame_bgr.copy(),
            self._overlay.blend(frame_bgr, difference.before),
            self._overlay.blend(frame_bgr, difference.after),
            np.asarray(where, np.uint8),
        )
        for view, title in zip(views, titles, strict=True):
            Painter(view).badge([title])
        height, width = frame_bgr.shape[:2]
        canvas = np.full((2 * height + _GAP_PX, 2 * width + _GAP_PX, 3), 255, np.uint8)
        for number, view in enumerate(views):
            top, left = (number // 2) * (height + _GAP_PX), (number % 2) * (width + _GAP_PX)
            canvas[top : top + height, left : left + width] = view
        return canvas

    def write(self, difference: Difference, path: Path) -> None:
        """Writes a difference as a PNG.

        Raises:
            OutputError: it cannot be written.
        """
        good, data = cv2.imencode(".png", self.draw(difference))
        if not good:
            raise OutputError(f"OpenCV cannot encode {path}")
        try:
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
