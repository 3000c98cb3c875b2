"""The fit of a camera model to views of a chessboard, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...core.arrays import Doubles, Matrix
from ...core.errors import DataError
from .chessboard import BoardView, Chessboard, FoundViews
from .model import CameraModel, Distortion

LEAST_VIEWS = 8
_OUTLIER = 3.0
"""A view whose error is so many times the median is left out, if it is above ``_OUTLIER_PX`` too."""
_OUTLIER_PX = 0.5
_MOST_FOCAL_ERROR = 0.02
_COVERAGE_CELLS = (8, 6)


@dataclass(frozen=True)
class CameraFit:
    """A fitted camera.

    Attributes:
        camera: the model.
        views: those that it was fitted to.
        error_px: root of the mean squared distance between found and projected corners.
        view_errors_px: the same of each view.
        left_out: names of views that were found and fit none of the others.
        focal_error: standard error of the focal length, as a share of it.
        coverage: share of the frame's parts, 8 x 6 of them, that hold a corner.
        distances_m: the least and the greatest distance of the board from the camera.
    """

    camera: CameraModel
    views: tuple[BoardView, ...]
    error_px: float
    view_errors_px: tuple[float, ...]
    left_out: tuple[str, ...]
    focal_error: float
    coverage: float
    distances_m: tuple[float, float]


@dataclass(frozen=True, eq=False)
class _Solution:
    camera: CameraModel
    turns: list[Doubles]
    places: list[Doubles]
    errors_px: Doubles


def fit_camera(
    found: FoundViews, board: Chessboard, model: Distortion, most_error_px: float = 1.0
) -> CameraFit:
    """Fits a camera.

    Args:
        found: the views.
        board: the board that they show.
        model: the kind of distortion.
        most_error_px: the largest error that is accepted.

    Raises:
        DataError: there are too few views, or they do not determine the camera, or it does not fit them.
    """
    views = found.views
    if len(views) < LEAST_VIEWS:
        raise DataError(
            f"{found.with_board} of {found.frames} frames show the whole board, and {len(views)} of them differ;"
            f" expected at least {LEAST_VIEWS} that do: hold the board near and far, tilted each way, and into each"
            " corner of the frame"
        )
    solution = _solve(views, board, found.size_hw, model)
    limit = max(_OUTLIER_PX, _OUTLIER * float(np.median(solution.errors_px)))
    kept = [index for index, error in enumerate(solution.errors_px) if error <= limit]
    left_out = tuple(view.name for index, view in enumerate(views) if index not in kept)
    if left_out and len(kept) >= LEAST_VIEWS:
        views = tuple(views[index] for index in kept)
        solution = _solve(views, board, found.size_hw, model)
    else:
        left_out = ()
    error = float(np.sqrt((solution.errors_px**2).mean()))
    if error > most_error_px:
        worst = views[int(solution.errors_px.argmax())].name
        raise DataError(
            f"the corners are off by {error:.2f} px from where a {model} camera would show them, in {worst} most;"
            f" expected at most {most_error_px:g}: keep the board flat and still, check its inner corners, and try"
            f" {'without' if model == 'fisheye' else 'with'} --fisheye"
        )
    focal_error = _focal_error(solution, board, error)
    if not focal_error <= _MOST_FOCAL_ERROR:
        raise DataError(
            f"the {len(views)} views leave the focal length open by {focal_error:.1%}; expected at most"
            f" {_MOST_FOCAL_ERROR:.0%}: tilt the board by 30 to 45 degrees, each way, near the camera and far from it"
        )
    places = np.array([np.linalg.norm(place) for place in solution.places])
    return CameraFit(
        solution.camera, views, error, tuple(solution.errors_px.tolist()), left_out, focal_error,
        _coverage(views, found.size_hw), (float(places.min()), float(places.max())),
    )  # fmt: skip


def _solve(
    views: tuple[BoardView, ...], board: Chessboard, size_hw: tuple[int, int], model: Distortion
) -> _Solution:
    """Returns the camera of least squared error."""
    size = (size_hw[1], size_hw[0])
    shape = (1, -1, 3) if model == "fisheye" else (-1, 1, 3)
    points = [board.points.reshape(shape).astype(np.float64 if model == "fisheye" else np.float32)] * len(
        views
    )
    corners = [view.corners.reshape(shape[0], shape[1], 2).astype(points[0].dtype) for view in views]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-9)
    try:
        if model == "fisheye":
            flags = cv2.CALIB_RECOMPUTE_EXTRINSIC | cv2.CALIB_FIX_SKEW
            focal = max(size) / np.pi
            start = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1]])
            _, k, d, turns, places = cv2.fisheye.calibrate(
                points, corners, size, start, np.zeros((4, 1)), flags=flags, criteria=criteria
            )
        else:
            _, k, d, turns, places = cv2.calibrateCamera(points, corners, size, None, None, criteria=criteria)
    except cv2.error as error:
        raise DataError(
            f"the views do not determine a {model} camera: tilt the board more, and hold it into each corner of the"
            " frame"
        ) from error
    coefficients = tuple(float(value) for value in np.ravel(d)[: 4 if model == "fisheye" else 5])
    if not (np.isfinite(k).all() and np.isfinite(coefficients).all()):
        raise DataError(f"the views do not determine a {model} camera: its numbers are not finite")
    fx, fy, cx, cy = (float(k[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2)))
    camera = CameraModel(size_hw, fx, fy, cx, cy, coefficients, model)
    turns, places = ([np.asarray(each, np.float64).reshape(3) for each in some] for some in (turns, places))
    errors = [
        float(np.sqrt(((_project(camera, board.points, *pose)[0] - view.corners) ** 2).sum(1).mean()))
        for view, pose in zip(views, zip(turns, places, strict=True), strict=True)
    ]
    return _Solution(camera, turns, places, np.array(errors))


def _project(camera: CameraModel, points: Doubles, turn: Doubles, place: Doubles) -> tuple[Doubles, Matrix]:
    """Returns the pixels of a board's points float64 [N, 2], and the derivatives by all numbers, [2N, any]."""
    coefficients = np.array(camera.distortion)
    if camera.model == "fisheye":
        uv, slopes = cv2.fisheye.projectPoints(points[:, None], turn, place, camera.matrix, coefficients)
    else:
        uv, slopes = cv2.projectPoints(points[:, None], turn, place, camera.matrix, coefficients)
    return np.asarray(uv.reshape(-1, 2)), np.asarray(slopes)


def _focal_error(solution: _Solution, board: Chessboard, error_px: float) -> float:
    """Returns the standard error of the focal length as a share of it; infinite if it is not determined at all.

    The numbers of the camera are common to all views, each view has six of its own, which are eliminated.
    """
    camera = solution.camera
    count = 4 + len(camera.distortion)
    information = np.zeros((count, count))
    for turn, place in zip(solution.turns, solution.places, strict=True):
        _, slopes = _project(camera, board.points, turn, place)
        # OpenCV's order: brown: turn, place, f, c, distortion; fisheye: f, c, distortion, turn, place, skew.
        own = slopes[:, 8:14] if camera.model == "fisheye" else slopes[:, :6]
        common = slopes[:, :8] if camera.model == "fisheye" else slopes[:, 6 : 6 + count]
        cross = common.T @ own
        information += common.T @ common - cross @ np.linalg.pinv(own.T @ own) @ cross.T
    # Both coordinates share the squared distance.
    variance = np.diag(np.linalg.pinv(information, rcond=1e-15)) * error_px**2 / 2
    return float(np.sqrt(max(variance[:2])) / min(camera.fx, camera.fy))


def _coverage(views: tuple[BoardView, ...], size_hw: tuple[int, int]) -> float:
    corners = np.concatenate([view.corners for view in views])
    columns, rows = _COVERAGE_CELLS
    cells = np.floor(corners / (size_hw[1] / columns, size_hw[0] / rows)).astype(int)
    return len({tuple(cell) for cell in cells.tolist()}) / (columns * rows)
