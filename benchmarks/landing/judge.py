"""The judge of landing spots. It works on pixels of the truth and shares no code with the search for a spot."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Points
from ...embedding.ground import GroundView
from .world import SAFE_IDS

_RIM = np.linspace(0, 2 * math.pi, 72, endpoint=False)
_CELLS_PER_RADIUS = 30


def footprint_is_unsafe(
    truth: npt.NDArray[np.uint8], view: GroundView, spot_m: tuple[float, float], radius_m: float
) -> bool:
    """Returns True if a pixel under the footprint is truly unsafe, or a part of the footprint is out of view.

    Args:
        truth: uint8 [H, W], the true classes.
        view: the camera above the ground.
        spot_m: the middle of the footprint, metres north and east.
        radius_m: of the footprint.
    """
    height, width = truth.shape
    rim = _rim(view, spot_m, radius_m)
    if not _is_inside(rim, truth.shape):
        return True
    left, top = np.floor(rim.min(0)).astype(int).clip(0)
    right, bottom = (int(value) + 1 for value in np.ceil(rim.max(0)))
    rows, columns = np.mgrid[top : min(bottom, height), left : min(right, width)]
    ground = view.ground_of(np.column_stack([columns.ravel(), rows.ravel()]).astype(np.float64))
    inside = np.hypot(*(ground - spot_m).T) <= radius_m
    classes = truth[rows.ravel()[inside], columns.ravel()[inside]]
    return not bool(np.isin(classes, SAFE_IDS).all())


def footprint_is_in_view(view: GroundView, spot_m: tuple[float, float], radius_m: float) -> bool:
    """Returns True if a frame shows the whole footprint, so that its truth can judge it.

    Args:
        view, spot_m, radius_m: as for :func:`footprint_is_unsafe`.
    """
    return _is_inside(_rim(view, spot_m, radius_m), view.camera.size_hw)


def _rim(view: GroundView, spot_m: tuple[float, float], radius_m: float) -> Points:
    """Returns the pixels of points on the edge of a footprint, float64 [N, 2]."""
    return view.pixel_of(np.array(spot_m) + radius_m * np.column_stack([np.cos(_RIM), np.sin(_RIM)]))


def _is_inside(uv: Points, size_hw: tuple[int, ...]) -> bool:
    height, width = size_hw
    return bool(np.isfinite(uv).all() and (uv >= -0.5).all() and (uv <= (width - 0.5, height - 0.5)).all())


def a_spot_exists(truth: npt.NDArray[np.uint8], view: GroundView, radius_m: float) -> bool:
    """Returns True if an exhaustive search on a fine grid of the ground finds a footprint that is safe and in view."""
    height, width = truth.shape
    cell = radius_m / _CELLS_PER_RADIUS
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
    ground = view.ground_of(corners)
    start, end = ground.min(0), ground.max(0)
    rows, columns = (int(value) for value in np.ceil((end - start) / cell))
    cells_from_ground = np.array(
        [[0, 1 / cell, -start[1] / cell], [1 / cell, 0, -start[0] / cell], [0, 0, 1]]
    )
    safe = np.isin(truth, SAFE_IDS).astype(np.uint8)
    grid = cv2.warpPerspective(
        safe, cells_from_ground @ view.ground_from_pixel(), (columns, rows),
        flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0,
    )  # fmt: skip
    grid = cv2.copyMakeBorder(grid, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    room = cv2.distanceTransform(grid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return bool(room.max() * cell >= radius_m)
