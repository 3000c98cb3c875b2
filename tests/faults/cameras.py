"""A camera of none, in the place of V4L2's, that misbehaves as a driver does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from edgeseg.core.arrays import Frame
from edgeseg.runtime.clock import now
from edgeseg.runtime.sources.process.capture import Capture, CaptureError, Grabbed

from .switches import Switches

UNPLUGGED, STALLS, OPEN_HANGS, CRASHES = (
    "camera-unplugged",
    "camera-stalls",
    "camera-open-hangs",
    "camera-crashes",
)
_FPS = 25.0
_SIZE_HW = (120, 160)


class FaultyCapture(Capture):
    """Stands in for :class:`~edgeseg.runtime.sources.process.opencv.V4l2Capture`, in the capturing process.

    Args:
        spec: as for the real one; nothing of it is needed.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.fps = _FPS
        self._switches = Switches.of_environment()
        self._number = 0
        self._switches.hang(OPEN_HANGS)

    def read(self, into: Frame | None) -> Grabbed:
        """The next frame, or what is switched on."""
        time.sleep(1 / _FPS)
        captured_at = now()  # first: whatever is switched on later comes after this frame
        if self._switches.value(UNPLUGGED):
            raise CaptureError("camera 0 gives no frames any more; is it still plugged in?")
        self._switches.hang(STALLS)
        if self._switches.value(CRASHES):
            os.kill(os.getpid(), signal.SIGSEGV)
            signal.pause()  # the signal may reach another thread first, and no frame is to follow
        self._number += 1
        return Grabbed(stripes(self._number, _SIZE_HW), captured_at)

    def close(self) -> None:
        """There is nothing to let go."""


def stripes(number: int, size_hw: tuple[int, int]) -> Frame:
    """A frame that differs from its neighbours: dark, grey and bright stripes that wander."""
    height, width = size_hw
    which = ((np.arange(width) + 4 * number) // max(4, width // 6)) % 3
    levels = np.array([40, 128, 215], np.uint8)[which]
    return np.ascontiguousarray(np.broadcast_to(levels[None, :, None], (height, width, 3)))
