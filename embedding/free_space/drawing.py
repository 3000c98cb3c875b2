"""Draws free space: the boundary in the frame, and a small bird's-eye grid."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Frame, Points
from .columns import DRIVABLE, OBSTACLE, Kinds
from .grid import FREE, OCCUPIED, Grid, GridFrame

_FREE_BGR, _OBSTACLE_BGR, _UNKNOWN_BGR = (90, 220, 90), (60, 60, 240), (130, 130, 130)
_DARK = (30, 26, 24)
_INSET_SHARE = 0.3
_LEAST_PX = 160


def draw_boundary(
    canvas_bgr: Frame, rows: npt.NDArray[np.int32], kinds: Kinds, size_hw: tuple[int, int]
) -> None:
    """Draws the first pixel that is not drivable in each column, in place: red at obstacles, grey at what is unknown.

    Args:
        canvas_bgr: uint8 [h, w, 3].
        rows: int32 [W], in rows of the frame; -1 where there is none.
        kinds: uint8 [W].
        size_hw: height and width of the frame.
    """
    height, width = canvas_bgr.shape[:2]
    scale_y, scale_x = height / size_hw[0], width / size_hw[1]
    x = np.round((np.arange(len(rows)) + 0.5) * scale_x - 0.5).astype(np.int32)
    y = np.round((rows + 0.5) * scale_y - 0.5).astype(np.int32)
    thick = max(1, round(min(height, width) / 240))
    shown = np.flatnonzero((rows >= 0) & (kinds != DRIVABLE))
    for run in np.split(shown, np.flatnonzero((np.diff(shown) > 1) | (np.diff(kinds[shown]) != 0)) + 1):
        if len(run):
            colour = _OBSTACLE_BGR if kinds[run[0]] == OBSTACLE else _UNKNOWN_BGR
            line = np.column_stack([x[run], y[run]])[:, None]
            cv2.polylines(canvas_bgr, [line], False, _DARK, thick + 2, cv2.LINE_AA)
            cv2.polylines(canvas_bgr, [line], False, colour, thick, cv2.LINE_AA)


def boundary_lines(
    rows: npt.NDArray[np.int32], kinds: Kinds, size_hw: tuple[int, int], step: int = 8
) -> list[Points]:
    """Returns the boundary as lines, float64 [N, 2] each, in shares of the frame's width and height.

    Args:
        rows: int32 [W], in rows of the frame; -1 where there is none.
        kinds: uint8 [W].
        size_hw: height and width of the frame.
        step: columns from one point to the next.
    """
    height, width = size_hw
    shown = np.flatnonzero((rows >= 0) & (kinds != DRIVABLE))
    runs = np.split(shown, np.flatnonzero(np.diff(shown) > 1) + 1)
    points = [np.unique(np.append(run[::step], run[-1:])) for run in runs]
    return [np.column_stack([(at + 0.5) / width, (rows[at] + 0.5) / height]) for at in points if len(at) > 1]


def draw_grid(canvas_bgr: Frame, grid: Grid, frame: GridFrame) -> None:
    """Draws the grid into the lower right corner, ahead upwards, in place; nothing on a very small canvas.

    Args:
        canvas_bgr: uint8 [h, w, 3].
        grid: int8 [rows, columns].
        frame: its place.
    """
    height, width = canvas_bgr.shape[:2]
    if min(height, width) < _LEAST_PX:
        return
    colours = np.full((*grid.shape, 3), _DARK, np.uint8)
    colours[grid == FREE], colours[grid == OCCUPIED] = _FREE_BGR, _OBSTACLE_BGR
    # From rows to the left and columns ahead, to ahead upwards and left to the left.
    seen = np.ascontiguousarray(colours.transpose(1, 0, 2)[::-1, ::-1])
    scale = min(_INSET_SHARE * height / seen.shape[0], 0.4 * width / seen.shape[1])
    size = max(1, round(seen.shape[1] * scale)), max(1, round(seen.shape[0] * scale))
    inset = cv2.resize(seen, size, interpolation=cv2.INTER_NEAREST if scale >= 1 else cv2.INTER_AREA)
    margin = round(min(height, width) / 40)
    top, left = height - margin - size[1], width - margin - size[0]
    place = canvas_bgr[top : top + size[1], left : left + size[0]]
    cv2.addWeighted(place, 0.25, inset, 0.75, 0, dst=place)
    _scale_lines(canvas_bgr, (left, top), size, frame)
    cv2.rectangle(canvas_bgr, (left - 1, top - 1), (left + size[0], top + size[1]), _UNKNOWN_BGR, 1)


def _scale_lines(
    canvas_bgr: Frame, left_top: tuple[int, int], size: tuple[int, int], frame: GridFrame
) -> None:
    """Marks the vehicle's reference, and each 5 m ahead of it."""
    (left, top), metre = left_top, size[1] / (frame.columns * frame.cell_m)
    middle = round(left + size[0] + frame.y_m * metre)
    text = max(0.3, min(canvas_bgr.shape[:2]) / 1600)
    step = 5 if frame.columns * frame.cell_m > 8 else 1
    for metres in range(0, int(frame.xs[-1]) + 1, step):
        y = round(top + size[1] - (metres - frame.x_m) * metre)
        cv2.line(canvas_bgr, (left, y), (left + size[0], y), _UNKNOWN_BGR, 1)
        if metres:
            # Above its line, but below the uppermost one.
            baseline = y - 2 if y - top > 30 * text else y + round(30 * text)
            cv2.putText(
                canvas_bgr, f"{metres} m", (left + 3, baseline), cv2.FONT_HERSHEY_SIMPLEX, text, (230, 230, 230),
                1, cv2.LINE_AA,
            )  # fmt: skip
    bottom = round(top + size[1] + frame.x_m * metre)
    cv2.circle(canvas_bgr, (middle, bottom), max(2, round(metre * 0.4)), (255, 255, 255), cv2.FILLED)
