"""The judge of flights: the truth below a footprint, and descents that nobody should make."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.benchmarks.landing.loop.judge import DescentJudge, unsafe_below
from edgeseg.benchmarks.landing.stage import map_xy, place
from edgeseg.benchmarks.landing.world import FIRST_SEED
from edgeseg.data.aerial import AerialWorld
from edgeseg.data.aerial.canvas import PX_PER_M
from edgeseg.data.aerial.intruders import Intruder
from edgeseg.data.aerial.labels import GRASS, ROAD, WATER

MARGIN_PX = 40


@pytest.fixture(scope="module")
def world() -> AerialWorld:
    return place(FIRST_SEED + 200_000)


def middle_of(world: AerialWorld, class_id: int) -> tuple[float, float]:
    """Returns metres north and east of a place that is nothing but this class for some metres."""
    side = 2 * MARGIN_PX
    for row in range(0, world.labels.shape[0] - side, MARGIN_PX):
        for column in range(0, world.labels.shape[1] - side, MARGIN_PX):
            if (world.labels[row : row + side, column : column + side] == class_id).all():
                return -(row + MARGIN_PX) / PX_PER_M, (column + MARGIN_PX) / PX_PER_M
    raise AssertionError("the place has none")


def test_grass_is_safe_and_water_and_roads_are_not(world: AerialWorld) -> None:
    assert unsafe_below(world, 0.0, middle_of(world, GRASS), 1.0, []) == []
    assert unsafe_below(world, 0.0, middle_of(world, WATER), 1.0, []) == ["water"]
    assert "road" in unsafe_below(world, 0.0, middle_of(world, ROAD), 1.0, [])


def test_its_footprint_has_the_radius_of_the_vehicle_in_metres(world: AerialWorld) -> None:
    north, east = middle_of(world, GRASS)
    for away_m, radius_m, unsafe in ((2.0, 1.0, []), (2.0, 2.0, ["person"]), (0.5, 1.0, ["person"])):
        standing = np.full((2, 2), map_xy(north + away_m, east))
        person = Intruder("person", np.array([0.0, 9.0]), standing)
        assert unsafe_below(world, 1.0, (north, east), radius_m, [person]) == unsafe


def descend(
    judge: DescentJudge, valid_until: float, seconds: float, from_m: float, climb_ms: float = -0.5
) -> None:
    for step in range(round(seconds / 0.1)):
        at = step * 0.1
        judge.step(at, at <= valid_until, from_m + climb_ms * at, climb_ms, 0.1)


def test_a_descent_within_the_timeout_is_no_fault() -> None:
    judge = DescentJudge(timeout_s=2.0, committed_m=0.75)
    descend(judge, valid_until=3.0, seconds=5.3, from_m=9.0)
    assert judge.blind_m == 0


def test_a_descent_after_the_timeout_is_measured() -> None:
    judge = DescentJudge(timeout_s=2.0, committed_m=0.75)
    descend(judge, valid_until=3.0, seconds=9.5, from_m=9.0)
    assert judge.blind_m == pytest.approx(
        2.0, abs=0.1
    )  # 3 s valid, 2 s of time-out, 0.5 s to brake; 4 s at 0.5 m/s


def test_hovering_and_the_last_metre_are_no_fault() -> None:
    hovers = DescentJudge(timeout_s=2.0, committed_m=0.75)
    descend(hovers, valid_until=0.0, seconds=30.0, from_m=9.0, climb_ms=0.0)
    low = DescentJudge(timeout_s=2.0, committed_m=0.75)
    descend(low, valid_until=0.0, seconds=10.0, from_m=0.7)
    assert (hovers.blind_m, low.blind_m) == (0, 0)
