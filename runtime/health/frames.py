"""Checks for frames that show nothing: black, white, or repeated again and again."""

from __future__ import annotations

import numpy as np

from ...core.arrays import Frame
from ..reasons import DARK, FROZEN, RESOLUTION_CHANGED, SATURATED

_DARK_LEVEL, _SATURATED_LEVEL = 16, 250
"""A covered lens stays below the first level, even with sensor noise. Clipped pixels are above the second."""

_SHARE = 0.95
"""The share of pixels that must be dark or saturated. A clock drawn by a camera covers less than the rest."""

_SAMPLES_A_SIDE = 64
_ROWS_COMPARED = 32


class FrameChecks:
    """Checks the frames of one source, in their order, in a fraction of a millisecond each.

    Args:
        live: True if a frame of another size or a repeated frame is a fault; in a file both may be intended.
        frozen_after_s: seconds for which one frame may be repeated; 0 for no limit.
        contents: True to check for black and white frames.
    """

    def __init__(self, live: bool, frozen_after_s: float, contents: bool = True) -> None:
        self._live, self._frozen_after_s, self._contents = live, frozen_after_s, contents
        self._newest: Frame | None = None
        self._newest_at = self._unchanged_since = 0.0

    def check(self, frame_bgr: Frame, captured_at: float) -> str:
        """Returns a frame's fault, a word of :mod:`edgeseg.runtime.reasons`; empty if nothing is wrong.

        Args:
            frame_bgr: uint8 [H, W, 3]. The newest is kept, to be compared with the next.
            captured_at: ``edgeseg.now()`` in seconds.
        """
        before, self._newest = self._newest, frame_bgr if self._live else None
        pause, self._newest_at = captured_at - self._newest_at, captured_at
        if self._live and before is not None and before.shape != frame_bgr.shape:
            self._unchanged_since = captured_at
            return RESOLUTION_CHANGED
        # After a pause, such as a lost camera, one frame equal to the last does not show a frozen camera yet.
        if before is None or pause > self._frozen_after_s or not _same(before, frame_bgr):
            self._unchanged_since = captured_at
        reason = content_fault(frame_bgr) if self._contents else ""
        if reason:
            return reason
        frozen = self._live and 0 < self._frozen_after_s < captured_at - self._unchanged_since
        return FROZEN if frozen else ""


def content_fault(frame_bgr: Frame) -> str:
    """Returns ``dark`` if nearly all pixels are black, ``saturated`` if nearly all are white; else empty.

    Args:
        frame_bgr: uint8 [H, W, 3].
    """
    step_y, step_x = (max(1, side // _SAMPLES_A_SIDE) for side in frame_bgr.shape[:2])
    blue, green, red = (frame_bgr[::step_y, ::step_x, channel].ravel() for channel in range(3))
    enough = _SHARE * len(blue)
    # One channel is nearly always enough to show that nothing is wrong.
    if np.count_nonzero(green <= _DARK_LEVEL) >= enough:
        brightest = np.maximum(np.maximum(blue, green), red)
        return DARK if np.count_nonzero(brightest <= _DARK_LEVEL) >= enough else ""
    if np.count_nonzero(green >= _SATURATED_LEVEL) >= enough:
        darkest = np.minimum(np.minimum(blue, green), red)
        return SATURATED if np.count_nonzero(darkest >= _SATURATED_LEVEL) >= enough else ""
    return ""


def _same(one: Frame, other: Frame) -> bool:
    """Returns True if two frames of one size are equal. Compares a few rows first: these nearly always differ."""
    step = max(1, one.shape[0] // _ROWS_COMPARED)
    return bool(np.array_equal(one[::step], other[::step]) and np.array_equal(one, other))
