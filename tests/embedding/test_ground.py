"""The ground in view: held against the aerial world's own camera, whose signs are not an autopilot's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from edgeseg.benchmarks.landing.world import MOUNT, camera_of
from edgeseg.data.aerial.camera import Pose
from edgeseg.data.aerial.canvas import PX_PER_M
from edgeseg.embedding.camera.model import CameraModel
from edgeseg.embedding.ground import GroundView
from edgeseg.embedding.pose import Mount

from .conftest import SIZE_HW, MakePose

CORNERS = np.array([[0, 0], [639, 0], [639, 359], [0, 359], [200.5, 17.0]])


def aerial(**changes: float) -> Pose:
    return replace(Pose(x=300.0, y=700.0, height_m=25.0, yaw=0.0, pitch=0.0, roll=0.0), **changes)


@pytest.mark.parametrize(
    "pose",
    [
        aerial(), aerial(pitch=0.25), aerial(pitch=-0.25), aerial(roll=0.25), aerial(roll=-0.25), aerial(yaw=2.0),
        aerial(yaw=-2.5, pitch=0.2, roll=-0.15, height_m=8.0),
    ],
)  # fmt: skip
def test_the_ground_is_where_the_world_draws_it(pose: Pose) -> None:
    view = GroundView.of(camera_of((360, 640)), MOUNT, pose.of_vehicle(0.0))
    drawn = pose.frame_to_map((360, 640)) @ np.column_stack([CORNERS, np.ones(5)]).T
    x, y = drawn[:2] / drawn[2] / PX_PER_M
    assert view.ground_of(CORNERS) == pytest.approx(np.column_stack([-y, x]), abs=1e-9)


def test_the_signs_are_those_of_an_autopilot(camera: CameraModel, pose: MakePose) -> None:
    middle = np.array([[159.5, 119.5]])

    def seen(**angles: float) -> np.ndarray:
        return GroundView.of(camera, Mount.looking_down(), pose(**angles)).ground_of(middle)[0]

    assert seen(pitch=10)[0] > 3  # nose up: the camera looks ahead, to the north
    assert seen(roll=10)[1] < -3  # right side down: the camera looks to the left, to the west
    assert seen(pitch=10, yaw=90)[1] > 3


def test_pixels_and_ground_are_inverse(camera: CameraModel, pose: MakePose) -> None:
    view = GroundView.of(
        camera, Mount.looking_down((0.2, -0.1, 0.3)), pose(north_m=5, east_m=-7, roll=8, pitch=-12, yaw=130)
    )
    uv = np.random.default_rng(0).uniform((0, 0), (319, 239), (100, 2))
    assert view.pixel_of(view.ground_of(uv)) == pytest.approx(uv, abs=1e-9)
    lifted = view.ground_from_pixel() @ np.column_stack([uv, np.ones(100)]).T
    assert pytest.approx(view.ground_of(uv), abs=1e-9) == (lifted[:2] / lifted[2]).T


def test_the_place_of_the_camera_on_the_vehicle_counts(camera: CameraModel, pose: MakePose) -> None:
    view = GroundView.of(camera, Mount.looking_down((1.0, 0.5, 0.25)), pose(yaw=90))
    assert (view.north_m, view.east_m) == pytest.approx((-0.5, 1.0))
    assert view.height_m == pytest.approx(19.75)


def test_the_sky_is_not_ground(camera: CameraModel, pose: MakePose) -> None:
    view = GroundView.of(camera, Mount.tilted(10), pose())
    above, below = view.ground_of(np.array([[159.5, 0.0], [159.5, 239.0]]))
    assert np.isnan(above).all()
    assert below[0] > 0
    assert np.isnan(view.metres_per_pixel(np.array([[159.5, 0.0]]))).all()


def test_a_pixel_is_as_large_as_height_and_tilt_say(camera: CameraModel, pose: MakePose) -> None:
    middle = np.array([[159.5, 119.5]])
    flat = GroundView.of(camera, Mount.looking_down(), pose()).metres_per_pixel(middle)[0]
    assert flat == pytest.approx([20 / 320, 20 / 320], rel=1e-6)
    tilt = np.radians(30)
    tilted = GroundView.of(camera, Mount.looking_down(), pose(pitch=30)).metres_per_pixel(middle)[0]
    assert tilted == pytest.approx([20 / 320 / np.cos(tilt), 20 / 320 / np.cos(tilt) ** 2], rel=1e-3)


def test_a_lens_bends_the_ground(camera: CameraModel, pose: MakePose) -> None:
    bent = replace(camera, distortion=(-0.3, 0.1, 0.0, 0.0))
    view = GroundView.of(bent, Mount.looking_down(), pose())
    plain = GroundView.of(camera, Mount.looking_down(), pose())
    uv = np.array([[10.0, 10.0], [159.5, 119.5]])
    assert np.abs(view.ground_of(uv)[0] - plain.ground_of(uv)[0]).max() > 0.3
    assert view.ground_of(uv)[1] == pytest.approx(plain.ground_of(uv)[1], abs=1e-9)
    assert view.pixel_of(view.ground_of(uv)) == pytest.approx(uv, abs=1e-3)
    assert view.camera.size_hw == SIZE_HW
