"""The fit of a camera to views of a chessboard, and what is refused because it cannot be trusted."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import DataError, UsageError
from edgeseg.core.source import Source
from edgeseg.embedding.camera.chessboard import BoardView, Chessboard, FoundViews, collect_views, find_board
from edgeseg.embedding.camera.fit import fit_camera
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.camera.sheet import calibration_sheet

from .chessboards import BOARD, BROWN, FISHEYE, SIZE_HW, image, images

CAMERAS = {"brown": BROWN, "fisheye": FISHEYE}


class Frames(Source):
    """Frames from memory."""

    def __init__(self, frames: list[np.ndarray], live: bool = False) -> None:
        self.name, self.live, self._frames = "memory", live, list(frames)

    def read(self) -> np.ndarray | None:
        return self._frames.pop(0) if self._frames else None

    def close(self) -> None:
        pass


def view(camera: CameraModel, turn: tuple[float, ...], place: tuple[float, ...], name: str) -> BoardView:
    """A view of the board by the camera's own arithmetic, without a image."""
    rotation, _ = cv2.Rodrigues(np.array(turn))
    middle = BOARD.points.mean(axis=0)
    corners = camera.project((BOARD.points - middle) @ rotation.T + place).astype(np.float32)
    return BoardView(name, corners, np.zeros((*SIZE_HW, 3), np.uint8))


def views(
    camera: CameraModel, count: int = 12, tilt: float = 0.5, noise_px: float = 0.0, spread: float = 0.3
) -> FoundViews:
    rng = np.random.default_rng(1)
    made = []
    for index in range(count):
        turn = (*rng.uniform(-tilt, tilt, 2).tolist(), float(rng.uniform(-0.2, 0.2)))
        depth = 0.28 if camera.model == "fisheye" else 0.5
        if tilt:
            depth *= float(rng.uniform(0.7, 1.3))
        place = ((index % 3 - 1) * spread * depth, (index // 3 % 3 - 1) * 0.7 * spread * depth, depth)
        one = view(camera, turn, place, f"v{index}")
        made.append(
            replace(
                one, corners=(one.corners + rng.normal(0, noise_px, one.corners.shape)).astype(np.float32)
            )
        )
    return FoundViews(tuple(made), count, count, SIZE_HW)


def off_px(camera: CameraModel, truth: CameraModel) -> np.ndarray:
    """The distance at which two cameras show the same directions, over the part of the frame that boards reach.

    A board does not know which way a camera looks, so that one may be turned against the other.
    """
    rows, columns = np.mgrid[60:421:30, 60:581:40].astype(np.float64)
    uv = np.column_stack([columns.ravel(), rows.ravel()])
    one, other = (each.rays(uv) for each in (truth, camera))
    one, other = (rays / np.linalg.norm(rays, axis=1)[:, None] for rays in (one, other))
    u, _, v = np.linalg.svd(one.T @ other)
    return np.linalg.norm(camera.project(one @ u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v) - uv, axis=1)


@pytest.mark.parametrize("truth", CAMERAS.values(), ids=CAMERAS)
def test_exact_corners_give_the_camera(truth: CameraModel) -> None:
    fit = fit_camera(views(truth), BOARD, truth.model)
    assert fit.camera.size_hw == SIZE_HW
    assert fit.camera.model == truth.model
    assert (fit.camera.fx, fit.camera.fy, fit.camera.cx, fit.camera.cy) == pytest.approx(
        (truth.fx, truth.fy, truth.cx, truth.cy), abs=0.05
    )
    assert fit.camera.distortion[:2] == pytest.approx(truth.distortion[:2], abs=0.01)
    assert fit.error_px < 0.001
    assert off_px(fit.camera, truth).max() < 0.02
    assert fit.left_out == ()
    assert len(fit.views) == len(fit.view_errors_px) == 12
    assert 0.3 < fit.coverage <= 1


@pytest.mark.parametrize("truth", CAMERAS.values(), ids=CAMERAS)
def test_rendered_boards_give_the_camera(truth: CameraModel) -> None:
    found = collect_views(Frames(images(truth)), BOARD)
    assert (found.frames, found.with_board, len(found.views)) == (9, 9, 9)
    fit = fit_camera(found, BOARD, truth.model)
    assert fit.error_px < 0.15
    # What the blur and the noise of the images leave: the corners are found to a tenth of a pixel.
    assert (fit.camera.fx, fit.camera.fy) == pytest.approx((truth.fx, truth.fy), rel=0.003)
    assert (fit.camera.cx, fit.camera.cy) == pytest.approx((truth.cx, truth.cy), abs=1.5)
    assert np.median(off_px(fit.camera, truth)) < 0.3
    assert fit.focal_error < 0.005
    sheet = calibration_sheet(fit, BOARD)
    assert sheet.shape[1:] == (1280, 3)
    green = (sheet[..., 1] > 120) & (sheet[..., 0] < 110) & (sheet[..., 2] < 70)
    assert green.sum() > 10 * len(BOARD.points)


def test_the_stated_error_of_the_focal_length_is_right() -> None:
    """Over many draws of the noise, the focal length strays as far as it is said to."""
    strays, said = [], []
    for seed in range(12):
        found = views(BROWN)
        rng = np.random.default_rng(seed)
        noisy = tuple(
            replace(one, corners=(one.corners + rng.normal(0, 0.3, one.corners.shape)).astype(np.float32))
            for one in found.views
        )
        fit = fit_camera(replace(found, views=noisy), BOARD, "brown")
        strays.append(fit.camera.fx / BROWN.fx - 1)
        said.append(fit.focal_error)
    assert 0.4 < np.std(strays) / np.mean(said) < 1.8


def test_a_view_that_fits_none_of_the_others_is_left_out() -> None:
    found = views(BROWN, noise_px=0.05)
    bent = found.views[4].corners.copy()
    bent[::2, 0] += 6.0
    wrong = tuple(replace(one, corners=bent) if one.name == "v4" else one for one in found.views)
    fit = fit_camera(replace(found, views=wrong), BOARD, "brown")
    assert fit.left_out == ("v4",)
    assert fit.error_px < 0.2
    assert len(fit.views) == 11


def test_too_few_views_are_refused() -> None:
    with pytest.raises(
        DataError, match="5 of 5 frames show the whole board, and 5 of them differ; expected at least 8"
    ):
        fit_camera(views(BROWN, 5), BOARD, "brown")


def test_views_that_are_too_similar_count_once() -> None:
    one = image(BROWN, (0.3, -0.2, 0.0), (0.0, 0.0, 0.4))
    found = collect_views(Frames([one] * 9), BOARD)
    assert (found.frames, found.with_board, len(found.views)) == (9, 9, 1)
    with pytest.raises(DataError, match="9 of 9 frames show the whole board, and 1 of them differ"):
        fit_camera(found, BOARD, "brown")


@pytest.mark.parametrize("model", ["brown", "fisheye"])
def test_boards_that_were_never_tilted_do_not_determine_the_focal_length(model: str) -> None:
    with pytest.raises(DataError, match=r"(leave the focal length open by|do not determine a|are off by)"):
        fit_camera(views(CAMERAS[model], tilt=0.0, noise_px=0.2), BOARD, CAMERAS[model].model)


def test_a_bad_error_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"the corners are off by \d\.\d\d px from where a brown camera would show them"
    ):
        fit_camera(views(BROWN, noise_px=1.5), BOARD, "brown")


def test_the_wrong_model_is_found_out() -> None:
    with pytest.raises(DataError, match="and try with --fisheye"):
        fit_camera(views(FISHEYE, spread=2.0), BOARD, "brown", most_error_px=0.3)


def test_frames_without_the_board_are_counted() -> None:
    plain = np.full((*SIZE_HW, 3), 120, np.uint8)
    board = image(BROWN, (0.1, 0.2, 0.0), (0.0, 0.0, 0.4))
    assert find_board(plain, BOARD) is None
    told: list[tuple[int, int]] = []
    found = collect_views(Frames([plain, board, plain]), BOARD, lambda *numbers: told.append(numbers))
    assert (found.frames, found.with_board, len(found.views)) == (3, 1, 1)
    assert told == [(1, 0), (2, 1), (3, 1)]


def test_a_large_frame_is_searched_in_small_and_measured_in_full() -> None:
    camera = BROWN.scaled((960, 1280))
    large = image(camera, (0.2, 0.2, 0.0), (0.0, 0.0, 0.4))
    corners = find_board(large, BOARD)
    assert corners is not None
    rotation, _ = cv2.Rodrigues(np.array([0.2, 0.2, 0.0]))
    expected = camera.project((BOARD.points - BOARD.points.mean(axis=0)) @ rotation.T + (0.0, 0.0, 0.4))
    if np.linalg.norm(corners[0] - expected[0]) > 50:  # a board may be read from either end
        corners = corners[::-1]
    off = np.linalg.norm(corners - expected, axis=1)
    assert np.median(off) < 0.2
    assert off.max() < 0.8  # edges are softer here than a lens makes them


def test_what_cannot_be_calibrated_is_refused() -> None:
    plain = np.full((*SIZE_HW, 3), 120, np.uint8)
    with pytest.raises(
        UsageError, match="memory is live and has no end; record a film or take images of the board"
    ):
        collect_views(Frames([], live=True), BOARD)
    with pytest.raises(UsageError, match="memory has no frames; expected images or a film of a chessboard"):
        collect_views(Frames([]), BOARD)
    with pytest.raises(
        DataError, match="is 320 x 480, those before it 640 x 480; expected images of one camera"
    ):
        collect_views(Frames([plain, plain[:, :320]]), BOARD)
    with pytest.raises(UsageError, match="a board of 2 x 6 inner corners; expected 3 to 100 along each side"):
        Chessboard(2, 6, 0.025)
    with pytest.raises(UsageError, match=r"squares of 25 m; expected 0\.0001 to 10 metres, such as 25mm"):
        Chessboard(9, 6, 25.0)


def test_a_source_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.embedding.camera.chessboard.find_board", lambda frame_bgr, board: None)
    plain = np.full((8, 8, 3), 120, np.uint8)
    with pytest.raises(
        UsageError, match=r"memory has more than 2000 frames; expected .* a film of up to 8 minutes"
    ):
        collect_views(Frames([plain] * 2001), BOARD)
