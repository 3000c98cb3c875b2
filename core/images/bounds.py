"""Limits on the pixels of images and streams. A header of a few bytes can claim any size."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

MOST_PIXELS = 1 << 28
"""Pixels of one image: 16384 x 16384, 768 MiB as BGR."""

MOST_LIVE_PIXELS = 1 << 26
"""Pixels of one live frame: 8192 x 8192, 192 MiB as BGR. Several are held at once, from capture to sinks."""

MOST_PIXELS_A_SECOND = 1 << 30
"""Limit for one camera or server: a little more than 7680 x 4320 at 30 frames a second."""

VARIABLE = "OPENCV_IO_MAX_IMAGE_PIXELS"
"""The environment variable with the limit on one image. OpenCV reads it too."""


def most_pixels() -> int:
    """The most pixels of one image: the value of the environment variable, else ``MOST_PIXELS``."""
    text = os.environ.get(VARIABLE, "")
    return int(text) if text.isascii() and text.isdigit() else MOST_PIXELS


def most_live_pixels() -> int:
    """The most pixels of one frame of a camera or server."""
    return min(MOST_LIVE_PIXELS, most_pixels())


class PixelBudget:
    """A leaky bucket for the pixels that a source has decoded. Its capacity is the pixels of one second.

    Args:
        a_second: pixels that leak out each second.
        clock: seconds that never go back.
    """

    def __init__(
        self, a_second: int = MOST_PIXELS_A_SECOND, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._a_second, self._clock = a_second, clock
        self._level, self._at = 0.0, clock()

    def take(self, pixels: int) -> bool:
        """Adds a number of pixels. Returns False if they do not fit, and then adds none."""
        now = self._clock()
        level = max(0.0, self._level - (now - self._at) * self._a_second)
        fits = level + pixels <= self._a_second
        self._level, self._at = level + pixels if fits else level, now
        return fits
