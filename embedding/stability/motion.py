"""Motion between two frames of one camera: where each pixel was in the frame before, and whether it still looks alike.

All of it works on small grey images, because a class map needs no finer motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Floats, Frame
from ..ground import GroundView

Grey = npt.NDArray[np.uint8]

LEAST_SIDE_PX = 96
"""OpenCV's dense flow reads past the end of images that are much narrower than they are long."""

_LATTICE_PX = 8
"""The motion over flat ground is so smooth that a point in each block of this size is enough."""
_NOWHERE = -1e6
_NO_GUESS: Any = None
"""In place of a first guess of the flow. OpenCV takes it, and its type stubs do not know."""


def small_size(size_hw: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """Returns the height and width of a frame's small image, its longer side at most ``longest_px``."""
    share = min(1.0, longest_px / max(size_hw))
    return max(1, round(size_hw[0] * share)), max(1, round(size_hw[1] * share))


def small_grey(frame_bgr: Frame, small_hw: tuple[int, int]) -> Grey:
    """Returns a frame as a small grey image, uint8 [h, w]."""
    half_wh = frame_bgr.shape[1] // 2, frame_bgr.shape[0] // 2
    if half_wh[0] >= 2 * small_hw[1] and half_wh[1] >= 2 * small_hw[0]:
        # In two steps it is faster.
        frame_bgr = np.asarray(cv2.resize(frame_bgr, half_wh, interpolation=cv2.INTER_AREA), np.uint8)
    small = cv2.resize(frame_bgr, (small_hw[1], small_hw[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


class DenseFlow:
    """The dense optical flow between two small grey images (Kroeger et al., ECCV 2016, as in OpenCV)."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def positions(self, now: Grey, before: Grey) -> Floats:
        """Returns where each pixel of ``now`` was in ``before``.

        Args:
            now, before: uint8 [h, w].

        Returns:
            float32 [h, w, 2], columns and rows.
        """
        height, width = now.shape
        below, right = max(0, LEAST_SIDE_PX - height), max(0, LEAST_SIDE_PX - width)
        if below or right:
            now, before = (
                np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
                for image in (now, before)
            )
        moved = np.asarray(self._flow.calc(now, before, _NO_GUESS)[:height, :width], np.float32)
        moved[..., 0] += np.arange(width, dtype=np.float32)
        moved[..., 1] += np.arange(height, dtype=np.float32)[:, None]
        return moved


def ground_positions(now: GroundView, before: GroundView, small_hw: tuple[int, int]) -> Floats:
    """Returns where the flat ground that each pixel shows was in the frame before.

    Args:
        now, before: the camera at the two frames, for frames of their full size.
        small_hw: height and width of the small images.

    Returns:
        float32 [h, w, 2], columns and rows of the small image; far outside of it where no ground is seen.
    """
    height, width = small_hw
    scale = np.array([now.camera.size_hw[1] / width, now.camera.size_hw[0] / height])
    columns, rows = (
        np.arange(0, side + _LATTICE_PX, _LATTICE_PX, dtype=np.float64) for side in (width, height)
    )
    small = np.stack(np.meshgrid(columns, rows), axis=-1)  # [rows, columns, 2]
    full = (small.reshape(-1, 2) + 0.5) * scale - 0.5
    then = (before.pixel_of(now.ground_of(full)) + 0.5) / scale - 0.5
    lattice = np.nan_to_num(then, nan=_NOWHERE).reshape(small.shape).astype(np.float32)
    step = np.array([[1 / _LATTICE_PX, 0, 0], [0, 1 / _LATTICE_PX, 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(lattice, step, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )


def moved_along(planes: npt.NDArray[np.uint8], positions: Floats) -> npt.NDArray[np.uint8]:
    """Returns what pixels had where they were before, interpolated; 0 for what was out of view.

    Args:
        planes: uint8 [h, w, 4], of the frame before.
        positions: float32 [h, w, 2], where each pixel was then.
    """
    x, y = cv2.split(positions)
    moved = cv2.remap(planes, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(moved, np.uint8)


@dataclass(frozen=True)
class Likeness:
    """The likeness of two frames where motion says that they show the same.

    Attributes:
        alike: uint8 [h, w], 255 where a pixel was in view and has its grey of before, else 0.
        share: of the pixels that were in view, the share that is alike; 0 if none was.
        in_view: share of the pixels that were in view.
    """

    alike: Grey
    share: float
    in_view: float


def likeness(now: Grey, before: Grey, positions: Floats, most_steps: float) -> Likeness:
    """Compares the grey of pixels with that of where they were. A change of the whole frame's light does not count.

    Args:
        now, before: uint8 [h, w].
        positions: float32 [h, w, 2], where each pixel of ``now`` was in ``before``.
        most_steps: grey levels by which pixels that are alike differ at most, on average over 3 x 3 pixels.
    """
    height, width = now.shape
    x, y = cv2.split(positions)
    seen = cv2.bitwise_and(cv2.inRange(x, 0, width - 1), cv2.inRange(y, 0, height - 1))
    count = cv2.countNonZero(seen)
    if not count:
        return Likeness(np.asarray(seen, np.uint8), 0.0, 0.0)
    warped = cv2.remap(before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    apart = cv2.subtract(now, warped, dtype=cv2.CV_16S)
    apart = cv2.blur(apart, (3, 3))
    light = cv2.mean(apart, seen)[0]
    near = cv2.inRange(apart, light - most_steps, light + most_steps)
    alike = np.asarray(cv2.bitwise_and(seen, near), np.uint8)
    return Likeness(alike, cv2.countNonZero(alike) / count, count / now.size)
