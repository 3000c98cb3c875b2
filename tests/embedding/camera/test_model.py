"""The camera model: pixels to rays and back, other frame sizes, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import UsageError
from edgeseg.embedding.camera.model import CameraModel

PLAIN = CameraModel((480, 640), 438.0, 437.0, 305.0, 243.0)
BROWN = replace(PLAIN, distortion=(-0.36, 0.11, 0.001, 0.0005, 0.0))
FISHEYE = CameraModel((480, 640), 300.0, 301.0, 320.0, 240.0, (0.05, 0.01, -0.002, 0.001), "fisheye")
CAMERAS = {"plain": PLAIN, "brown": BROWN, "fisheye": FISHEYE}


@pytest.fixture(params=CAMERAS)
def camera(request: pytest.FixtureRequest) -> CameraModel:
    return CAMERAS[request.param]


def pixels(count: int = 300) -> np.ndarray:
    return np.random.default_rng(1).uniform((0, 0), (639, 479), (count, 2))


def test_pixels_come_back_from_their_rays(camera: CameraModel) -> None:
    uv = pixels()
    assert camera.project(camera.rays(uv) * 7.0) == pytest.approx(uv, abs=1e-4)


def test_the_middle_looks_straight_ahead(camera: CameraModel) -> None:
    assert camera.rays(np.array([[camera.cx, camera.cy]])) == pytest.approx(np.array([[0, 0, 1]]), abs=1e-9)


def test_directions_behind_the_camera_have_no_pixel(camera: CameraModel) -> None:
    assert np.isnan(camera.project(np.array([[0.0, 0.0, -1.0]]))).all()


def test_a_field_of_view_gives_the_focal_length() -> None:
    camera = CameraModel.from_field_of_view((720, 1280), 60.0)
    assert camera.fx == pytest.approx(1108.5, abs=0.1)
    left, right = camera.rays(np.array([[-0.5, 0.0], [1279.5, 0.0]]))
    assert np.degrees(np.arctan(right[0]) - np.arctan(left[0])) == pytest.approx(60.0)


def test_a_resized_frame_sees_the_same_rays(camera: CameraModel) -> None:
    uv = pixels()
    half = camera.scaled((240, 320))
    assert half.rays((uv + 0.5) / 2 - 0.5) == pytest.approx(camera.rays(uv), abs=1e-5)


def test_a_cropped_frame_is_refused() -> None:
    with pytest.raises(
        UsageError, match="calibrated at 640 x 480 and gives frames of 640 x 360: another aspect"
    ):
        PLAIN.scaled((360, 640))


@pytest.mark.parametrize("camera", [BROWN, FISHEYE], ids=["brown", "fisheye"])
def test_the_maps_straighten_a_frame(camera: CameraModel) -> None:
    x, y = camera.rectification()
    to = camera.rectified()
    rows, columns = np.mgrid[100:400:50, 100:600:50]
    uv = np.column_stack([columns.ravel(), rows.ravel()]).astype(np.float64)
    asked = np.column_stack([x[rows.ravel(), columns.ravel()], y[rows.ravel(), columns.ravel()]])
    assert camera.project(to.rays(uv)) == pytest.approx(asked, abs=1e-2)
    assert not to.is_distorted


def test_a_pinhole_is_its_own_rectification() -> None:
    assert PLAIN.rectified() is PLAIN
    frame = np.random.default_rng(0).integers(0, 255, (480, 640), np.uint8)
    assert (cv2.remap(frame, *PLAIN.rectification(), cv2.INTER_NEAREST) == frame).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fx": 0.0}, "focal lengths of 0 and 437 pixels: expected a size and focal lengths above 0"),
        ({"cx": float("nan")}, "numbers that are not finite"),
        (
            {"distortion": (0.1, 0.2, 0.3)},
            "3 distortion coefficients; a brown model has 0, 4, 5, 8, 12 or 14",
        ),
        (
            {"distortion": (0.1,) * 5, "model": "fisheye"},
            "5 distortion coefficients; a fisheye model has 0 or 4",
        ),
    ],
)
def test_impossible_cameras_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(PLAIN, **change)


@pytest.mark.parametrize("degrees", [0.0, 180.0, float("nan")])
def test_impossible_fields_of_view_are_refused(degrees: float) -> None:
    with pytest.raises(UsageError, match="expected more than 0 and less than 180"):
        CameraModel.from_field_of_view((480, 640), degrees)
