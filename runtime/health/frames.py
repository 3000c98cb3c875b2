"""Finds frames that show nothing: black, white, or the same one again and again."""

from __future__ import annotations

import numpy as np

from ..preprocess import Frame
from ..reasons import DARK, FROZEN, RESOLUTION_CHANGED, SATURATED

_DARK_LEVEL, _SATURATED_LEVEL = 16, 250
"""A covered lens with its sensor's noise stays below the one; clipped pixels are above the other."""

_SHARE = 0.95
"""Of the pixels; a clock that a camera writes into its picture covers less than the rest."""

_SAMPLES_A_SIDE = 64
_ROWS_COMPARED = 32


class FrameChecks:
    """Looks at the frames of one source, in their order, in a fraction of a millisecond each.

    Args:
        live: whether a frame of another size or a repeated frame says something is amiss; in a file both may be meant.
        frozen_after_s: for how many seconds one frame may be repeated; 0 for any time.
        contents: whether black and white frames are told.
    """

    def __init__(self, live: bool, frozen_after_s: float, contents: bool = True) -> None:
        self._live, self._frozen_after_s, self._contents = live, frozen_after_s, contents
        self._newest: Frame | None = None
        self._newest_at = self._unchanged_since = 0.0

    def check(self, frame_bgr: Frame, captured_at: float) -> str:
        """Why a frame is not to be believed, a word of :mod:`edgeseg.runtime.reasons`; empty where nothing is wrong.

        Args:
            frame_bgr: uint8 [H, W, 3]. The newest is kept to be compared with the next.
            captured_at: ``edgeseg.now()`` in seconds.
        """
        before, self._newest = self._newest, frame_bgr if self._live else None
        pause, self._newest_at = captured_at - self._newest_at, captured_at
        if self._live and before is not None and before.shape != frame_bgr.shape:
            self._unchanged_since = captured_at
            return RESOLUTION_CHANGED
        # After a pause, as of a camera that was lost, one frame like the last says nothing yet.
        if before is None or pause > self._frozen_after_s or not _same(before, frame_bgr):
            self._unchanged_since = captured_at
        reason = content_fault(frame_bgr) if self._contents else ""
        if reason:
            return reason
        frozen = self._live and 0 < self._frozen_after_s < captured_at - self._unchanged_since
        return FROZEN if frozen else ""


def content_fault(frame_bgr: Frame) -> str:
    """``dark`` where nearly all pixels are black, ``saturated`` where nearly all are white; else empty.

    Args:
        frame_bgr: uint8 [H, W, 3].
    """
    step_y, step_x = (max(1, side // _SAMPLES_A_SIDE) for side in frame_bgr.shape[:2])
    blue, green, red = (frame_bgr[::step_y, ::step_x, channel].ravel() for channel in range(3))
    enough = _SHARE * len(blue)
    # One channel tells nearly always that nothing is amiss.
    if np.count_nonzero(green <= _DARK_LEVEL) >= enough:
        brightest = np.maximum(np.maximum(blue, green), red)
        return DARK if np.count_nonzero(brightest <= _DARK_LEVEL) >= enough else ""
    if np.count_nonzero(green >= _SATURATED_LEVEL) >= enough:
        darkest = np.minimum(np.minimum(blue, green), red)
        return SATURATED if np.count_nonzero(darkest >= _SATURATED_LEVEL) >= enough else ""
    return ""


def _same(one: Frame, other: Frame) -> bool:
    """Whether two frames of one size are equal; a few rows tell nearly always that they are not."""
    step = max(1, one.shape[0] // _ROWS_COMPARED)
    return bool(np.array_equal(one[::step], other[::step]) and np.array_equal(one, other))
