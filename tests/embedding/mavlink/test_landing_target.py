"""LANDING_TARGET from a spot: the numbers that each autopilot reads, and nothing where the spot is not valid."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import matrix_of, quaternion
from edgeseg.embedding.landing.spot import LandingSpot
from edgeseg.embedding.mavlink.landing_target import AUTOPILOTS, Autopilot, LandingTarget, landing_target

FRD = (3.0, -2.0, 10.0)
SPOT = LandingSpot(True, "", 12.345678, frd_m=FRD, distance_m=math.dist(FRD, (0, 0, 0)), required_m=1.5)
POSE = VehiclePose(12.345678, quaternion(0.1, -0.2, 2.0), 9.5, 100.0, -50.0)


def sent(spot: LandingSpot = SPOT, autopilot: Autopilot = "ardupilot") -> LandingTarget:
    """The message for a spot that must have one."""
    target = landing_target(spot, autopilot, POSE, down_m=-9.0)
    assert target is not None
    return target


def test_ardupilot_gets_the_body_s_axes() -> None:
    target = landing_target(SPOT, "ardupilot")  # it needs no pose
    assert target is not None
    assert (target.frame, target.position_valid, target.type) == (12, 1, 3)
    assert (target.x, target.y, target.z) == FRD
    assert target.distance == pytest.approx(np.linalg.norm(FRD))


def test_ardupilot_reads_the_same_direction_from_the_angles_as_from_the_position() -> None:
    """Its unit vector is (-tan(angle_y), tan(angle_x), 1), made one long."""
    target = sent()
    seen = np.array([-math.tan(target.angle_y), math.tan(target.angle_x), 1.0])
    assert seen / np.linalg.norm(seen) == pytest.approx(np.array(FRD) / target.distance)


@pytest.mark.parametrize(
    ("frd", "signs"),
    [((1, 0, 5), (0, -1)), ((-1, 0, 5), (0, 1)), ((0, 1, 5), (1, 0)), ((0, -1, 5), (-1, 0))],
    ids=["ahead", "behind", "right", "left"],
)
def test_the_angles_point_right_and_backwards(
    frd: tuple[float, float, float], signs: tuple[int, int]
) -> None:
    target = sent(replace(SPOT, frd_m=frd))
    assert tuple(np.sign([target.angle_x, target.angle_y])) == signs


def test_px4_gets_the_place_from_its_local_origin() -> None:
    target = sent(autopilot="px4")
    expected = np.array([100.0, -50.0, -9.0]) + matrix_of(POSE.attitude) @ np.array(FRD)
    assert (target.frame, target.position_valid) == (1, 1)
    assert (target.x, target.y, target.z) == pytest.approx(tuple(expected))


def test_px4_over_the_spot_gets_its_own_place_and_the_ground_below() -> None:
    level = VehiclePose(1.0, quaternion(0, 0, 1.0), 9.5, 7.0, 8.0)
    target = landing_target(replace(SPOT, frd_m=(0, 0, 9.5)), "px4", level, down_m=-9.0)
    assert target is not None
    assert (target.x, target.y, target.z) == pytest.approx((7.0, 8.0, 0.5))


@pytest.mark.parametrize("autopilot", AUTOPILOTS)
def test_the_time_is_that_of_the_capture(autopilot: Autopilot) -> None:
    assert sent(autopilot=autopilot).time_usec == 12_345_678


def test_the_size_is_the_angle_of_the_footprint() -> None:
    target = sent(replace(SPOT, frd_m=(0, 0, 10.0)))
    assert target.size_x == target.size_y == pytest.approx(2 * math.atan(0.15))
    assert sent(replace(SPOT, required_m=math.nan)).size_x == 0


@pytest.mark.parametrize("autopilot", AUTOPILOTS)
@pytest.mark.parametrize(
    "spot",
    [
        replace(SPOT, valid=False, reason="unstable"),
        LandingSpot(False, "no-clear-area", 12.0),
        replace(SPOT, frd_m=(math.nan, 0, 5)),
        replace(SPOT, frd_m=(0, math.inf, 5)),
        replace(SPOT, frd_m=(1, 1, 0)),
        replace(SPOT, frd_m=(1, 1, -5)),
        replace(SPOT, captured_at=math.nan),
        replace(SPOT, captured_at=-1.0),
    ],
    ids=["candidate", "none", "nan", "infinite", "level", "above", "no time", "before the clock began"],
)
def test_what_is_not_valid_has_no_message(autopilot: Autopilot, spot: LandingSpot) -> None:
    assert landing_target(spot, autopilot, POSE, down_m=-9.0) is None


def test_px4_gets_nothing_where_its_own_place_is_not_known() -> None:
    assert landing_target(SPOT, "px4", None, down_m=-9.0) is None
    assert landing_target(SPOT, "px4", POSE) is None
    assert landing_target(SPOT, "px4", replace(POSE, north_m=math.nan), down_m=-9.0) is None


@pytest.mark.parametrize("autopilot", AUTOPILOTS)
def test_pymavlink_packs_and_reads_every_field(autopilot: Autopilot) -> None:
    dialect = pytest.importorskip("pymavlink.dialects.v20.common")
    mav = dialect.MAVLink(None, srcSystem=1, srcComponent=191)
    target = sent(autopilot=autopilot)
    read = mav.decode(bytearray(mav.landing_target_encode(**target.fields).pack(mav)))
    for name, value in target.fields.items():
        assert getattr(read, name) == pytest.approx(value, rel=1e-6), name
