"""A stand-in that flies to a known point on what the encoder makes, without a camera: signs, frames and times."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from edgeseg.benchmarks.landing.loop.autopilot import AutopilotStandIn
from edgeseg.benchmarks.landing.loop.companion import Wire
from edgeseg.benchmarks.landing.loop.vehicle import RESTS_AT_M, STEP_S, Command, StandInVehicle, State, Wind
from edgeseg.core.pose import VehiclePose
from edgeseg.core.rotations import quaternion
from edgeseg.embedding.landing.spot import LandingSpot
from edgeseg.embedding.mavlink.landing_target import LandingTarget, landing_target

TARGET_M = (7.0, -4.0)


@dataclass(frozen=True)
class Flown:
    """The end of such a flight: the state, its distance from the target, and the highest it ever was."""

    state: State
    miss_m: float
    landed: bool


Told = Callable[[float], bool]
Fly = Callable[..., Flown]


@pytest.fixture
def fly_to_target() -> Fly:
    """A function that flies an autopilot to ``TARGET_M``; 30 s, or until it stands."""

    def fly(
        autopilot: AutopilotStandIn,
        distort: Callable[[LandingTarget], LandingTarget] = lambda message: message,
        told: Told = lambda at: True,
        seconds: float = 45.0,
    ) -> Flown:
        wind = Wind(np.random.default_rng(5), 3.0)
        vehicle = StandInVehicle(State(0.0, 0.0, 0.0, 9.0, yaw=1.1), wind, 0.03)
        wire, begun = Wire(), False
        for step in range(round(seconds / STEP_S)):
            state = vehicle.state
            if state.height_m <= RESTS_AT_M:
                break
            if step % 3 == 0 and told(state.at):
                message = landing_target(_spot(state), autopilot.name, _pose(state), -state.height_m)  # type: ignore[arg-type]
                assert message is not None
                autopilot.receive(wire(distort(message)), state)
            autopilot.step(state)
            if not begun and autopilot.sees_target:
                autopilot.begin(state)
                begun = True
            vehicle.step(autopilot.command(state) if begun else Command(0.0, 0.0, 0.0))
        state = vehicle.state
        miss = math.dist(TARGET_M, (state.north_m, state.east_m))
        return Flown(state, miss, state.height_m <= RESTS_AT_M)

    return fly


def _pose(state: State) -> VehiclePose:
    attitude = quaternion(state.roll, state.pitch, state.yaw)
    return VehiclePose(state.at, attitude, state.height_m, state.north_m, state.east_m)


def _spot(state: State) -> LandingSpot:
    """The finding that the landing finder would make of the target."""
    away = np.array([TARGET_M[0] - state.north_m, TARGET_M[1] - state.east_m, state.height_m])
    forward, right, down = _pose(state).world_from_body.T @ away
    return LandingSpot(
        True, "", state.at, ground_m=TARGET_M, frd_m=(float(forward), float(right), float(down)),
        distance_m=float(np.linalg.norm(away)), clearance_m=3.0, required_m=1.5,
    )  # fmt: skip
