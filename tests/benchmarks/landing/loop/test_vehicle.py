"""The stand-in vehicle: where it flies, how it tilts for it, and that the wind does not carry it off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeseg.benchmarks.landing.loop.vehicle import (
    STEP_S,
    Command,
    StandInVehicle,
    State,
    Wind,
    body_to_world,
)
from edgeseg.core.rotations import matrix_of, quaternion

CALM = 0.0


def fly(command: Command, yaw: float, seconds: float, wind_ms: float = CALM) -> tuple[State, State]:
    """Returns the state soon after the start, and that at the end."""
    vehicle = StandInVehicle(
        State(0.0, 0.0, 0.0, 10.0, yaw=yaw), Wind(np.random.default_rng(1), wind_ms), 0.0
    )
    early = vehicle.state
    for step in range(round(seconds / STEP_S)):
        state = vehicle.step(command)
        if step == round(0.2 / STEP_S):
            early = state
    return early, vehicle.state


@pytest.mark.parametrize("yaw", [0.0, 1.0, 3.0])
def test_it_flies_north_whatever_its_heading_is(yaw: float) -> None:
    _, state = fly(Command(2.0, 0.0, 0.0), yaw, 8.0)
    assert (state.north_ms, state.east_ms) == pytest.approx((2.0, 0.0), abs=0.15)
    assert state.north_m > 10


def test_its_nose_goes_down_to_fly_ahead_and_its_right_side_to_fly_right() -> None:
    assert fly(Command(2.0, 0.0, 0.0), 0.0, 1.0)[0].pitch < -0.05
    assert fly(Command(0.0, 2.0, 0.0), 0.0, 1.0)[0].roll > 0.05


def test_it_climbs_and_descends_with_a_lag() -> None:
    early, late = fly(Command(0.0, 0.0, -1.0), 0.0, 3.0)
    assert -0.7 < early.climb_ms < -0.2
    assert late.climb_ms == pytest.approx(-1.0, abs=0.01)
    assert late.height_m == pytest.approx(7.3, abs=0.2)


def test_it_holds_against_wind_by_leaning_into_it() -> None:
    _, state = fly(Command(0.0, 0.0, 0.0), 0.0, 20.0, wind_ms=6.0)
    assert math.hypot(state.north_ms, state.east_ms) < 0.8
    assert math.hypot(state.roll, state.pitch) > 0.02


def test_its_own_rotation_is_that_of_the_project() -> None:
    for roll, pitch, yaw in ((0.2, -0.1, 2.0), (-0.3, 0.25, -1.0)):
        assert np.allclose(body_to_world(roll, pitch, yaw), matrix_of(quaternion(roll, pitch, yaw)))
