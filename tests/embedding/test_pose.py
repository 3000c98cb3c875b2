"""The pose at a frame's capture time: interpolated, never extrapolated, and a reason where it is not known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeseg.core.errors import UsageError
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import angles_of, quaternion
from edgeseg.embedding.pose import Mount, PoseHistory, PoseLimits


@pytest.fixture
def history() -> PoseHistory:
    """Samples at 10 and 10.1 seconds."""
    history = PoseHistory()
    for at, yaw, height, north in ((10.0, 0.0, 20.0, 1.0), (10.1, 0.1, 19.0, 2.0)):
        history.add_attitude(at, quaternion(0, 0, yaw))
        history.add_height(at, height)
        history.add_position(at, north, -north)
    return history


def test_between_samples_the_pose_is_interpolated(history: PoseHistory) -> None:
    pose = history.at(10.025)
    assert isinstance(pose, VehiclePose)
    assert angles_of(pose.attitude)[2] == pytest.approx(0.025)
    assert (pose.height_m, pose.north_m, pose.east_m) == pytest.approx((19.75, 1.25, -1.25))
    assert pose.at == 10.025


def test_after_the_last_sample_it_counts_for_a_while(history: PoseHistory) -> None:
    pose = history.at(10.19)
    assert isinstance(pose, VehiclePose)
    assert pose.height_m == 19.0
    assert history.at(10.21) == "no-attitude"


def test_before_the_first_sample_nothing_is_known(history: PoseHistory) -> None:
    assert history.at(9.99) == "no-attitude"
    assert isinstance(history.at(10.0), VehiclePose)


def test_a_gap_between_samples_is_not_bridged() -> None:
    history = PoseHistory()
    for at in (10.0, 10.5):
        history.add_attitude(at, quaternion(0, 0, 0))
        history.add_height(at, 20.0)
        history.add_position(at, 0.0, 0.0)
    assert history.at(10.25) == "no-attitude"


@pytest.mark.parametrize(("kind", "reason"), [("height", "no-height"), ("position", "no-position")])
def test_each_kind_has_its_reason(kind: str, reason: str) -> None:
    history = PoseHistory()
    history.add_attitude(10.0, quaternion(0, 0, 0))
    if kind == "position":
        history.add_height(10.0, 20.0)
    assert history.at(10.0) == reason


def test_samples_that_are_no_numbers_are_dropped() -> None:
    history = PoseHistory()
    history.add_attitude(10.0, np.array([math.nan, 0, 0, 0]))
    history.add_attitude(10.0, np.zeros(4))
    assert history.at(10.0) == "no-attitude"
    history.add_attitude(10.0, quaternion(0, 0, 0))
    for height in (math.nan, 0.0, -3.0, math.inf):
        history.add_height(10.0, height)
    assert history.at(10.0) == "no-height"
    history.add_height(10.0, 5.0)
    history.add_position(10.0, math.inf, 0.0)
    assert history.at(10.0) == "no-position"


def test_a_late_sample_does_not_replace_a_newer_one(history: PoseHistory) -> None:
    history.add_height(10.05, 99.0)
    pose = history.at(10.05)
    assert isinstance(pose, VehiclePose)
    assert pose.height_m == pytest.approx(19.5)


def test_memory_is_bounded() -> None:
    history = PoseHistory(PoseLimits(attitude_s=5.0, height_s=50.0, position_s=50.0))
    history.add_height(0.0, 20.0)
    history.add_position(0.0, 0.0, 0.0)
    for index in range(2000):
        history.add_attitude(index * 0.005, quaternion(0, 0, 0))
    assert history.at(1.0) == "no-attitude"
    assert isinstance(history.at(9.5), VehiclePose)


def test_a_restart_forgets(history: PoseHistory) -> None:
    history.clear()
    assert history.at(10.0) == "no-attitude"


def test_mounts_point_where_they_say() -> None:
    down, ahead, oblique = Mount.looking_down(), Mount.tilted(0), Mount.tilted(30)
    ray = np.array([0.0, 0.0, 1.0])
    assert down.body_from_camera @ ray == pytest.approx([0, 0, 1], abs=1e-12)
    assert ahead.body_from_camera @ ray == pytest.approx([1, 0, 0])
    assert oblique.body_from_camera @ ray == pytest.approx([math.cos(math.pi / 6), 0, 0.5])


def test_a_camera_that_looks_down_has_the_nose_at_its_upper_edge() -> None:
    u, v = 0.3, -0.2
    assert Mount.looking_down().body_from_camera @ np.array([u, v, 1]) == pytest.approx([-v, u, 1])


def test_impossible_limits_and_mounts_are_refused() -> None:
    with pytest.raises(UsageError, match="height_s is 0; expected more than 0"):
        PoseLimits(height_s=0)
    with pytest.raises(UsageError, match="tilted down by 120 degrees; expected -90 to 90"):
        Mount.tilted(120)
