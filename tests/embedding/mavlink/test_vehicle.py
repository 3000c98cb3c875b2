"""The vehicle's pose from messages: late ones, missing ones, and heights above different things."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import angles_of, quaternion
from edgeseg.embedding.mavlink.vehicle import Vehicle

OURS = 1000.0
"""Our time when the autopilot started; TIMESYNC has told it."""


@pytest.fixture
def vehicle() -> Vehicle:
    vehicle = Vehicle()
    sent_ns = round(OURS * 1e9)
    vehicle.sync.ask(sent_ns)
    vehicle.sync.take(1, sent_ns, sent_ns + 2)
    assert vehicle.sync.offset_s == pytest.approx(-OURS)
    return vehicle


def tell(vehicle: Vehicle, kind: str, boot_s: float, late_s: float = 0.01, **fields: Any) -> None:
    """Gives a message that arrives so late."""
    times = {"time_boot_ms": round(boot_s * 1e3), "time_usec": round(boot_s * 1e6)}
    vehicle.take(SimpleNamespace(get_type=lambda: kind, **times, **fields), OURS + boot_s + late_s)


def attitude(vehicle: Vehicle, boot_s: float, roll: float = 0.0, late_s: float = 0.01) -> None:
    tell(vehicle, "ATTITUDE", boot_s, late_s, roll=roll, pitch=0.0, yaw=0.0)


def position(vehicle: Vehicle, boot_s: float, north: float = 0.0, down: float = -9.0) -> None:
    tell(vehicle, "LOCAL_POSITION_NED", boot_s, x=north, y=2.0, z=down)


def ranged(vehicle: Vehicle, boot_s: float, cm: int, **other: int) -> None:
    fields = {"min_distance": 20, "max_distance": 4000, "orientation": 25, "signal_quality": 0, **other}
    tell(vehicle, "DISTANCE_SENSOR", boot_s, current_distance=cm, **fields)


def relative(vehicle: Vehicle, boot_s: float, mm: int) -> None:
    tell(vehicle, "GLOBAL_POSITION_INT", boot_s, relative_alt=mm)


def height(vehicle: Vehicle, boot_s: float) -> float | str:
    attitude(vehicle, boot_s)
    position(vehicle, boot_s)
    pose = vehicle.poses.at(OURS + boot_s + 1e-6)
    return pose.height_m if isinstance(pose, VehiclePose) else pose


def test_late_and_jittered_attitudes_do_no_harm(vehicle: Vehicle) -> None:
    """A roll of one radian a second, by messages up to 0.4 s late, some behind later ones, is read off exactly."""
    rng = np.random.default_rng(4)
    sent = [(10 + 0.04 * i, float(rng.uniform(0.005, 0.4))) for i in range(100)]
    for boot_s, late_s in sorted(sent, key=lambda message: message[0] + message[1]):
        attitude(vehicle, boot_s, roll=boot_s - 12, late_s=late_s)
        ranged(vehicle, boot_s, 800)
        position(vehicle, boot_s)
    for boot_s in np.arange(10.5, 13.5, 0.0137):
        pose = vehicle.poses.at(OURS + boot_s)
        if isinstance(pose, VehiclePose):
            assert angles_of(pose.attitude)[0] == pytest.approx(boot_s - 12, abs=1e-6)
    assert isinstance(vehicle.poses.at(OURS + 12.0), VehiclePose)


def test_a_quaternion_is_an_attitude_too(vehicle: Vehicle) -> None:
    q = quaternion(0.1, 0.2, 3.0)
    tell(vehicle, "ATTITUDE_QUATERNION", 10, q1=q[0], q2=q[1], q3=q[2], q4=q[3])
    ranged(vehicle, 10, 1000)
    position(vehicle, 10)
    pose = vehicle.poses.at(OURS + 10 + 1e-6)
    assert isinstance(pose, VehiclePose)
    assert angles_of(pose.attitude) == pytest.approx((0.1, 0.2, 3.0))
    assert pose.height_m == pytest.approx(10 * math.cos(0.1) * math.cos(0.2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_none_are_dropped(vehicle: Vehicle, bad: float) -> None:
    attitude(vehicle, 10, roll=bad)
    tell(vehicle, "ATTITUDE_QUATERNION", 10, q1=bad, q2=0, q3=0, q4=0)
    tell(vehicle, "ATTITUDE_QUATERNION", 10, q1=0, q2=0, q3=0, q4=0)
    assert vehicle.poses.at(OURS + 10) == "no-attitude"
    position(vehicle, 10, down=bad)
    assert math.isnan(vehicle.down_at(OURS + 10))


def test_without_an_attitude_a_range_is_no_height(vehicle: Vehicle) -> None:
    ranged(vehicle, 10, 1000)
    assert height(vehicle, 10) == "no-height"


@pytest.mark.parametrize(
    "other",
    [
        {"cm": 20}, {"cm": 10}, {"cm": 4000}, {"cm": 5000}, {"cm": 0},
        {"cm": 900, "orientation": 0}, {"cm": 900, "signal_quality": 1},
    ],
    ids=["at least", "below", "at most", "beyond", "zero", "looks ahead", "bad signal"],
)  # fmt: skip
def test_what_a_range_finder_does_not_see_is_no_height(vehicle: Vehicle, other: dict[str, int]) -> None:
    attitude(vehicle, 10)
    ranged(vehicle, 10, **other)
    assert height(vehicle, 10) == "no-height"


def test_a_range_of_a_vehicle_on_its_side_is_no_height(vehicle: Vehicle) -> None:
    attitude(vehicle, 10, roll=1.2)
    ranged(vehicle, 10, 900)
    assert height(vehicle, 10.01) == "no-height"


def test_a_better_height_counts_and_a_worse_one_only_after_a_while(vehicle: Vehicle) -> None:
    relative(vehicle, 10, 50_000)
    assert (height(vehicle, 10), vehicle.height_above) == (50, "home")
    tell(vehicle, "ALTITUDE", 10.1, bottom_clearance=42.0, altitude_relative=50.0)
    assert (height(vehicle, 10.1), vehicle.height_above) == (42, "terrain")
    ranged(vehicle, 10.2, 3900)
    assert (height(vehicle, 10.2), vehicle.height_above) == (39, "range finder")
    relative(vehicle, 10.3, 50_000)
    assert height(vehicle, 10.3) == 39
    for boot_s in (11.0, 11.8):
        relative(vehicle, boot_s, 48_000)
    assert (height(vehicle, 11.8), vehicle.height_above) == (48, "home")


def test_an_altitude_without_clearance_is_above_home(vehicle: Vehicle) -> None:
    tell(vehicle, "ALTITUDE", 10, bottom_clearance=math.nan, altitude_relative=33.0)
    assert (height(vehicle, 10), vehicle.height_above) == (33, "home")


def test_down_is_interpolated_and_not_extrapolated(vehicle: Vehicle) -> None:
    position(vehicle, 10.0, down=-9.0)
    position(vehicle, 10.1, down=-8.0)
    assert vehicle.down_at(OURS + 10.05) == pytest.approx(-8.5, abs=1e-6)
    assert vehicle.down_at(OURS + 10.2) == -8
    assert math.isnan(vehicle.down_at(OURS + 9.99))
    assert math.isnan(vehicle.down_at(OURS + 10.4))
    position(vehicle, 11.0, down=-1.0)
    assert math.isnan(vehicle.down_at(OURS + 10.5))


def test_a_restart_forgets_everything(vehicle: Vehicle, caplog: pytest.LogCaptureFixture) -> None:
    attitude(vehicle, 500)
    ranged(vehicle, 500, 900)
    position(vehicle, 500)
    assert isinstance(vehicle.poses.at(OURS + 500), VehiclePose)
    vehicle.take(
        SimpleNamespace(get_type=lambda: "ATTITUDE", time_boot_ms=2000, roll=0.0, pitch=0.0, yaw=0.0),
        OURS + 503,
    )
    assert vehicle.poses.at(OURS + 500) == "no-attitude"
    assert math.isnan(vehicle.down_at(OURS + 500))
    assert vehicle.sync.offset_s is None
    assert caplog.messages == ["The autopilot has started anew: its earlier data are forgotten"]
