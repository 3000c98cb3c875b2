"""Rendered chessboards: images of a camera whose every number is known, distortion and all."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from edgeseg.embedding.camera.chessboard import Chessboard
from edgeseg.embedding.camera.model import CameraModel

BOARD = Chessboard(9, 6, 0.025)
SIZE_HW = (480, 640)
BROWN = CameraModel(SIZE_HW, 520.0, 515.0, 326.0, 233.0, (-0.25, 0.08, 0.001, -0.0007, 0.01))
FISHEYE = CameraModel(SIZE_HW, 250.0, 252.0, 322.0, 236.0, (0.06, -0.02, 0.01, -0.003), "fisheye")


@lru_cache
def _rays(camera: CameraModel) -> np.ndarray:
    """The directions of all pixels, float32 [H, W, 3]; between each fourth, interpolated."""
    step, margin = 4, 2
    height, width = camera.size_hw
    rows, columns = (
        np.arange(-margin, side // step + margin) * step + (step - 1) / 2 for side in (height, width)
    )
    across, along = np.meshgrid(columns, rows)
    coarse = camera.rays(np.column_stack([across.ravel(), along.ravel()])).reshape(*across.shape, 3)
    fine = cv2.resize(coarse, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
    cut = fine[margin * step : margin * step + height, margin * step : margin * step + width]
    return np.ascontiguousarray(cut, np.float32)


def image(
    camera: CameraModel, turn: tuple[float, float, float], place: tuple[float, float, float]
) -> np.ndarray:
    """Renders a board, uint8 [H, W, 3]: each pixel looks along its own ray at the plane of the board.

    Args:
        camera: the camera.
        turn: the board's rotation vector.
        place: the board's middle, from the camera, in metres.
    """
    height, width = camera.size_hw
    rays = _rays(camera).reshape(-1, 3)
    rotation = cv2.Rodrigues(np.array(turn))[0].astype(np.float32)
    middle = np.array(place, np.float32)
    # The plane's points p = place + R (x, y, 0) on the ray: solve for x, y.
    normal = rotation[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (normal @ middle) / (rays @ normal)
        on_board = (rays * scale[:, None] - middle) @ rotation
    x = on_board[:, 0] / BOARD.square_m + (BOARD.columns + 1) / 2
    y = on_board[:, 1] / BOARD.square_m + (BOARD.rows + 1) / 2
    seen = (scale > 0) & np.isfinite(scale)
    inside = seen & (x >= 0) & (x < BOARD.columns + 1) & (y >= 0) & (y < BOARD.rows + 1)
    white = seen & (x >= -1) & (x < BOARD.columns + 2) & (y >= -1) & (y < BOARD.rows + 2)
    with np.errstate(invalid="ignore"):
        # Edges as soft as a lens's: hard ones would be wrong by parts of a pixel.
        checks = 127.5 - 102.5 * np.tanh(8 * np.sin(np.pi * x) * np.sin(np.pi * y))
    grey = np.where(inside, checks, np.where(white, 230, 120)).astype(np.float32).reshape(height, width)
    blurred = cv2.GaussianBlur(grey, (0, 0), 0.6)
    noise = np.random.default_rng(int(abs(turn[0]) * 1e6)).normal(0, 2, blurred.shape)
    return cv2.cvtColor(np.clip(blurred + noise, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


@lru_cache
def images(camera: CameraModel, count: int = 9, seed: int = 4) -> list[np.ndarray]:
    """Renders boards near and far, tilted each way, in all parts of the frame."""
    rng = np.random.default_rng(seed)
    wide = camera.model == "fisheye"
    made = []
    for index in range(count):
        turn = tuple(float(value) for value in rng.uniform(-0.6, 0.6, 3) * (1, 1, 0.5))
        depth = rng.uniform(0.16, 0.3) if wide else rng.uniform(0.3, 0.6)
        across, down = (-0.25, 0.0, 0.25)[index % 3], (-0.18, 0.0, 0.18)[index // 3 % 3]
        place = (across * depth * (1.8 if wide else 1), down * depth * (1.8 if wide else 1), float(depth))
        made.append(image(camera, turn, place))
    return made
