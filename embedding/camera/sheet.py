"""A image of a calibration: where corners were seen, how far they are off, and the views themselves."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .chessboard import Chessboard
from .fit import CameraFit

_WIDTH = 1280
_COLUMNS = 6
_GAP = 8
_CAPTION_PX = 20
_INK, _FAINT, _PAPER = (40, 35, 31), (205, 205, 205), (255, 255, 255)
_GOOD, _BAD = (90, 160, 40), (50, 50, 220)


def calibration_sheet(fit: CameraFit, board: Chessboard) -> npt.NDArray[np.uint8]:
    """Draws a calibration.

    Args:
        fit: the fitted camera with its views.
        board: the board that they show.

    Returns:
        uint8 [H, W, 3] BGR: at the top the corners of all views in one frame, and a view without the lens's bend;
        below them each view with its corners and its error.
    """
    half = (_WIDTH - 3 * _GAP) // 2
    top = [_coverage(fit, half), _straightened(fit, half)]
    small = (_WIDTH - (_COLUMNS + 1) * _GAP) // _COLUMNS
    tiles = [_view(fit, index, board, small) for index in range(len(fit.views))]
    rows = [top, *(tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS))]
    height = sum(row[0].shape[0] + _GAP for row in rows) + _GAP
    sheet = np.full((height, _WIDTH, 3), _PAPER, np.uint8)
    y = _GAP
    for row in rows:
        x = _GAP
        for tile in row:
            sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
            x += tile.shape[1] + _GAP
        y += row[0].shape[0] + _GAP
    return sheet


def _coverage(fit: CameraFit, width: int) -> npt.NDArray[np.uint8]:
    frame_height, frame_width = fit.camera.size_hw
    scale = width / frame_width
    tile = np.full((round(frame_height * scale), width, 3), 245, np.uint8)
    for share in np.arange(1, 8) / 8:
        x = round(share * width)
        cv2.line(tile, (x, 0), (x, tile.shape[0]), _FAINT, 1)
    for share in np.arange(1, 6) / 6:
        y = round(share * tile.shape[0])
        cv2.line(tile, (0, y), (width, y), _FAINT, 1)
    most = max(fit.view_errors_px)
    for view, error in zip(fit.views, fit.view_errors_px, strict=True):
        bad = error / most if most > 1 else 0.0
        colour = tuple(round(g + bad * (b - g)) for g, b in zip(_GOOD, _BAD, strict=True))
        for x, y in (view.corners + 0.5) * scale:
            cv2.circle(tile, (round(float(x)), round(float(y))), 2, colour, cv2.FILLED, cv2.LINE_AA)
    text = f"{len(fit.views)} views, {fit.coverage:.0%} of the frame, {fit.error_px:.2f} px"
    return _labelled(tile, text)


def _straightened(fit: CameraFit, width: int) -> npt.NDArray[np.uint8]:
    """The view whose corners reach farthest from the middle, without the lens's bend."""
    height = fit.camera.size_hw[0]
    middle = (np.array(fit.camera.size_hw[::-1]) - 1) / 2
    reach = [float(np.linalg.norm(view.corners - middle, axis=1).max()) for view in fit.views]
    view = fit.views[int(np.argmax(reach))]
    frame = view.frame_bgr
    if fit.camera.is_distorted:
        frame = np.asarray(cv2.remap(frame, *fit.camera.rectification(), cv2.INTER_LINEAR), np.uint8)
    size = (width, round(height * width / fit.camera.size_hw[1]))
    tile = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    return _labelled(tile, f"{view.name} without the lens's bend")


def _view(fit: CameraFit, index: int, board: Chessboard, width: int) -> npt.NDArray[np.uint8]:
    view, (frame_height, frame_width) = fit.views[index], fit.camera.size_hw
    scale = width / frame_width
    size = (width, round(frame_height * scale))
    tile = np.asarray(cv2.resize(view.frame_bgr, size, interpolation=cv2.INTER_AREA), np.uint8)
    corners = (view.corners + 0.5) * scale - 0.5
    for line in corners.reshape(board.rows, board.columns, 2):
        cv2.polylines(tile, [np.round(line).astype(np.int32)[:, None]], False, _BAD, 1, cv2.LINE_AA)
    for x, y in corners.tolist():
        cv2.circle(tile, (round(x), round(y)), 2, _GOOD, cv2.FILLED, cv2.LINE_AA)
    first = corners[0]  # its place shows which way the board was read
    cv2.circle(tile, (round(float(first[0])), round(float(first[1]))), 5, _BAD, 1, cv2.LINE_AA)
    return _labelled(tile, f"{view.name}: {fit.view_errors_px[index]:.2f} px")


def _labelled(tile: npt.NDArray[np.uint8], text: str) -> npt.NDArray[np.uint8]:
    size = 0.45 if tile.shape[1] > 400 else 0.36
    shown = text if len(text) <= tile.shape[1] // 7 else text[: tile.shape[1] // 7 - 1] + "…"
    shown = shown.encode("ascii", "replace").decode("ascii")
    caption = np.full((_CAPTION_PX, tile.shape[1], 3), _PAPER, np.uint8)
    cv2.putText(caption, shown, (5, 14), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
    tile = np.concatenate([tile, caption])
    cv2.rectangle(tile, (0, 0), (tile.shape[1] - 1, tile.shape[0] - 1), _FAINT, 1)
    return tile
