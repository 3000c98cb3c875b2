"""The stand-in vehicle: a multicopter with position, velocity, an attitude that lags, and wind with gusts.

It shares no code with the part that it tests: the conventions of an autopilot are written down once more here.
North, east and down; roll is positive right side down, pitch nose up, yaw clockwise from above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ....core.arrays import Doubles, Matrix

GRAVITY = 9.81
STEP_S = 0.04
"""The step of the simulation."""
RESTS_AT_M = 0.15
"""The height of the vehicle's reference when it stands."""

_ATTITUDE_LAG_S = 0.15
_CLIMB_LAG_S = 0.3
_MOST_ACCELERATION = 2.5
_DRAG = 0.12
_VELOCITY_GAIN, _VELOCITY_INTEGRAL = 1.5, 0.6
_MOST_INTEGRAL = 2.0


@dataclass(frozen=True)
class Command:
    """The autopilot's demand on the vehicle: velocities in metres a second.

    Attributes:
        north, east: horizontal.
        climb: up.
    """

    north: float
    east: float
    climb: float


@dataclass(frozen=True)
class State:
    """The true state of a vehicle.

    Attributes:
        at: seconds.
        north_m, east_m: from the origin.
        height_m: of its reference above the ground.
        north_ms, east_ms, climb_ms: velocity in metres a second.
        roll, pitch, yaw: radians.
        turn_rate: how fast roll and pitch change, radians a second.
    """

    at: float
    north_m: float
    east_m: float
    height_m: float
    north_ms: float = 0.0
    east_ms: float = 0.0
    climb_ms: float = 0.0
    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0
    turn_rate: float = 0.0

    @property
    def world_from_body(self) -> Matrix:
        """The rotation float64 [3, 3] from forward, right, down to north, east, down."""
        return body_to_world(self.roll, self.pitch, self.yaw)


def body_to_world(roll: float, pitch: float, yaw: float) -> Matrix:
    """Returns the rotation float64 [3, 3] of the angles: yaw after pitch after roll."""
    about_down = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    about_right = np.array(
        [[math.cos(pitch), 0, math.sin(pitch)], [0, 1, 0], [-math.sin(pitch), 0, math.cos(pitch)]]
    )
    about_forward = np.array(
        [[1, 0, 0], [0, math.cos(roll), -math.sin(roll)], [0, math.sin(roll), math.cos(roll)]]
    )
    return np.asarray(about_down @ about_right @ about_forward)


class Wind:
    """A steady wind with gusts.

    Args:
        rng: draws both.
        most_ms: of the steady wind, in metres a second.
    """

    def __init__(self, rng: np.random.Generator, most_ms: float) -> None:
        speed, course = rng.uniform(0, most_ms), rng.uniform(0, 2 * math.pi)
        self._steady = speed * np.array([math.cos(course), math.sin(course)])
        self._gust_ms, self._gust_s = 0.35 * speed, 1.5
        self._gust = np.zeros(2)
        self._rng = rng

    def step(self) -> Doubles:
        """Returns the wind of the next step, metres a second north and east, float64 [2]."""
        keep = STEP_S / self._gust_s
        push = self._gust_ms * math.sqrt(2 * keep) * self._rng.standard_normal(2)
        self._gust += -keep * self._gust + push
        return np.asarray(self._steady + self._gust)


class StandInVehicle:
    """Flies commands through lag and wind.

    Args:
        start: the state to begin with.
        wind: the wind.
        yaw_rate: of a slow turn, radians a second.
    """

    def __init__(self, start: State, wind: Wind, yaw_rate: float) -> None:
        self.state = start
        self._wind, self._yaw_rate = wind, yaw_rate
        self._integral = np.zeros(2)

    def step(self, command: Command) -> State:
        """Flies one step, and returns the state after it."""
        now = self.state
        wish = np.array([command.north, command.east])
        velocity = np.array([now.north_ms, now.east_ms])
        error = wish - velocity
        self._integral = np.clip(
            self._integral + _VELOCITY_INTEGRAL * error * STEP_S, -_MOST_INTEGRAL, _MOST_INTEGRAL
        )
        push = _VELOCITY_GAIN * error + self._integral
        length = float(np.linalg.norm(push))
        push = push * min(1.0, _MOST_ACCELERATION / max(length, 1e-9))
        ahead = math.cos(now.yaw) * push[0] + math.sin(now.yaw) * push[1]
        right = -math.sin(now.yaw) * push[0] + math.cos(now.yaw) * push[1]
        share = STEP_S / _ATTITUDE_LAG_S
        # To fly ahead the nose goes down, to fly right the right side goes down.
        pitch = now.pitch + share * (-math.atan2(ahead, GRAVITY) - now.pitch)
        roll = now.roll + share * (math.atan2(right, GRAVITY) - now.roll)
        thrust_ahead, thrust_right = -GRAVITY * math.tan(pitch), GRAVITY * math.tan(roll)
        accelerates = np.array(
            [
                math.cos(now.yaw) * thrust_ahead - math.sin(now.yaw) * thrust_right,
                math.sin(now.yaw) * thrust_ahead + math.cos(now.yaw) * thrust_right,
            ]
        ) - _DRAG * (velocity - self._wind.step())
        velocity = velocity + accelerates * STEP_S
        climb = now.climb_ms + STEP_S / _CLIMB_LAG_S * (command.climb - now.climb_ms)
        self.state = State(
            at=now.at + STEP_S,
            north_m=now.north_m + float(velocity[0]) * STEP_S,
            east_m=now.east_m + float(velocity[1]) * STEP_S,
            height_m=now.height_m + climb * STEP_S,
            north_ms=float(velocity[0]),
            east_ms=float(velocity[1]),
            climb_ms=climb,
            roll=roll,
            pitch=pitch,
            yaw=now.yaw + self._yaw_rate * STEP_S,
            turn_rate=math.hypot(roll - now.roll, pitch - now.pitch) / STEP_S,
        )
        return self.state
