"""LANDING_TARGET from a landing spot, in the frame of reference that each autopilot wants.

There is no LANDING_TARGET that says "not valid": ``position_valid = 0`` means that the angles count. So a spot that is
not valid has no message, and nothing is sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np

from ...core.pose import VehiclePose

Autopilot = Literal["ardupilot", "px4"]
AUTOPILOTS: tuple[Autopilot, ...] = get_args(Autopilot)

MAV_FRAME_LOCAL_NED = 1
MAV_FRAME_BODY_FRD = 12
LANDING_TARGET_TYPE_VISION_OTHER = 3

OLDEST_S: Mapping[Autopilot, float] = {"ardupilot": 0.25, "px4": 0.5}
"""Age at which a spot is no longer sent. ArduPilot combines it with the attitude that it had ``PLND_LAG`` ago, which
reaches 0.25 s. For PX4 it is a place on the ground."""


class Spot(Protocol):
    """The part of a landing spot that a message needs; :class:`~edgeseg.embedding.landing.spot.LandingSpot` has it."""

    @property
    def valid(self) -> bool:
        """True if the vehicle may go there."""

    @property
    def captured_at(self) -> float:
        """``edgeseg.now()`` in seconds when the frame was captured."""

    @property
    def frd_m(self) -> tuple[float, float, float]:
        """Metres forward, right and down of the vehicle, in the body's own attitude at that time."""

    @property
    def required_m(self) -> float:
        """The radius that has to be clear, in metres; NaN if it is not known."""


@dataclass(frozen=True)
class LandingTarget:
    """The fields of LANDING_TARGET, by the names and in the units of MAVLink.

    Attributes:
        time_usec: capture time in microseconds of ``edgeseg.now()``, the clock that answers to TIMESYNC are in. The
            autopilot turns it into its own: PX4 adds the offset that it found by TIMESYNC, ArduPilot the smallest
            difference that it has seen. Its own time, sent to it, would be shifted twice.
        target_num: number of the target; there is one.
        frame: frame of reference of ``x``, ``y`` and ``z``.
        angle_x, angle_y: radians to the right and backwards, seen along the body's down axis.
        distance: from the vehicle to the spot, in metres; more than 0.
        size_x, size_y: the angle that the footprint covers, in radians; 0 if not known.
        x, y, z: the spot in metres, in ``frame``.
        q: rotation of the target: none.
        type: how it was found: by vision.
        position_valid: 1: ``x``, ``y`` and ``z`` count.
    """

    time_usec: int
    frame: int
    angle_x: float
    angle_y: float
    distance: float
    size_x: float
    size_y: float
    x: float
    y: float
    z: float
    target_num: int = 0
    q: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    type: int = LANDING_TARGET_TYPE_VISION_OTHER
    position_valid: int = 1

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields by name, as pymavlink's ``landing_target_encode`` takes them."""
        return asdict(self)


def landing_target(
    spot: Spot, autopilot: Autopilot, pose: VehiclePose | None = None, down_m: float = math.nan
) -> LandingTarget | None:
    """Returns the message for a spot, or None if nothing may be sent.

    ArduPilot takes the spot in the body's axes (MAV_FRAME_BODY_FRD) and applies the attitude that it had. PX4 takes it
    from the origin of its local position (MAV_FRAME_LOCAL_NED), so it needs the vehicle's pose at the capture time.

    Args:
        spot: found in one frame.
        autopilot: which takes the message.
        pose: of the vehicle when that frame was captured; for PX4.
        down_m: z of LOCAL_POSITION_NED at that time: metres below the origin, so negative in the air; for PX4.

    Returns:
        None if the spot is not valid, a number is not finite, or the spot is not below the vehicle; for PX4 also if
        its pose is not known.
    """
    forward, right, down = (float(value) for value in spot.frd_m)
    distance = math.sqrt(forward * forward + right * right + down * down)
    if not spot.valid or not math.isfinite(distance + spot.captured_at) or down <= 0 or spot.captured_at < 0:
        return None
    if autopilot == "px4":
        if pose is None:
            return None
        origin = np.array([pose.north_m, pose.east_m, down_m])
        frame = MAV_FRAME_LOCAL_NED
        x, y, z = (float(value) for value in origin + pose.world_from_body @ (forward, right, down))
        if not math.isfinite(x + y + z):
            return None
    else:
        frame, x, y, z = MAV_FRAME_BODY_FRD, forward, right, down
    size = 2 * math.atan2(spot.required_m, distance) if math.isfinite(spot.required_m) else 0.0
    return LandingTarget(
        time_usec=round(spot.captured_at * 1e6),
        frame=frame,
        # The axes of both autopilots' cameras: x to the vehicle's right, y to its back.
        angle_x=math.atan2(right, down),
        angle_y=math.atan2(-forward, down),
        distance=distance,
        size_x=size,
        size_y=size,
        x=x,
        y=y,
        z=z,
    )
