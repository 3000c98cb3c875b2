"""OBSTACLE_DISTANCE: clockwise cells in centimetres, and nothing free that was not seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from edgeseg.core.arrays import Doubles
from edgeseg.embedding.free_space.finding import FreeSpace
from edgeseg.embedding.mavlink.obstacle_distance import (
    UNKNOWN,
    ObstacleDistance,
    obstacle_distance,
    obstacles_of,
)

from .autopilot import dialect

WIDTH = np.radians(1.0)


def told(
    degrees: Doubles | list[float], ranges: Doubles | list[float], most_m: float = 20.0
) -> ObstacleDistance:
    """The message for sectors of one degree."""
    return obstacle_distance(np.radians(degrees), np.asarray(ranges, np.float64), WIDTH, most_m, 12.5)


def ahead() -> Doubles:
    """Sectors from -30 to 30 degrees."""
    return np.arange(-29.5, 30)


def test_what_is_out_of_view_is_unknown() -> None:
    message = told(ahead(), np.full(60, np.inf))
    seen = [cell for cell, value in enumerate(message.distances) if value != UNKNOWN]
    # Up to 27.5 degrees to both sides; the cell around 30 degrees was seen in half.
    assert seen == [0, 1, 2, 3, 4, 5, 67, 68, 69, 70, 71]
    assert {message.distances[cell] for cell in seen} == {2001}
    assert (message.frame, message.increment, message.max_distance, message.angle_offset) == (12, 5, 2000, 0)
    assert message.time_usec == 12_500_000


@pytest.mark.parametrize(
    ("degrees", "cell"), [(10.0, 2), (-10.0, 70), (0.0, 0), (91.0, 18), (180.0, 36), (-179, 36)]
)
def test_cells_go_clockwise_from_ahead(degrees: float, cell: int) -> None:
    message = told([degrees], [5.0])
    assert [i for i, value in enumerate(message.distances) if value != UNKNOWN] == [cell]
    assert message.distances[cell] == 500


def test_an_obstacle_across_the_edge_of_two_cells_is_in_both() -> None:
    distances = told([92.4], [5.0]).distances
    assert distances[18:20] == (500, 500)


def test_a_cell_has_its_nearest_obstacle_also_where_part_of_it_is_not_known() -> None:
    ranges = np.full(60, np.inf)
    ranges[29:32] = 7.0, np.nan, 4.219
    assert told(ahead(), ranges).distances[0] == 421


def test_a_cell_with_a_part_that_is_not_known_is_not_free() -> None:
    ranges = np.full(60, np.inf)
    ranges[30] = np.nan
    distances = told(ahead(), ranges).distances
    assert (distances[0], distances[1]) == (UNKNOWN, 2001)


def test_a_gap_between_the_sectors_is_not_free() -> None:
    degrees = np.delete(ahead(), 30)
    distances = told(degrees, np.full(59, np.inf)).distances
    assert (distances[0], distances[1]) == (UNKNOWN, 2001)


def test_an_obstacle_that_touches_is_one_centimetre_away() -> None:
    """ArduPilot leaves out a 0."""
    assert told([0.0], [0.0]).distances[0] == 1


def test_an_obstacle_beyond_the_reach_is_none() -> None:
    assert told(ahead(), np.full(60, 20.01)).distances[0] == 2001
    assert told(ahead(), np.full(60, 20.0)).distances[0] == 2000


def test_no_reach_is_larger_than_the_numbers() -> None:
    message = told(ahead(), np.full(60, np.inf), most_m=1e6)
    assert (message.max_distance, message.distances[0]) == (65_533, 65_534)


def test_a_whole_circle_may_be_free_also_behind() -> None:
    assert set(told(np.arange(-179.5, 180), np.full(360, np.inf)).distances) == {2001}


def test_without_sectors_nothing_is_known() -> None:
    assert set(told([], []).distances) == {UNKNOWN}


def test_the_order_does_not_matter() -> None:
    ranges = np.linspace(3, 25, 60)
    mixed = np.random.default_rng(3).permutation(60)
    assert told(ahead(), ranges) == told(ahead()[mixed], ranges[mixed])


def test_free_space_turns_clockwise(free_space: Callable[[float], FreeSpace]) -> None:
    """The camera sees 38 degrees to each side; what stands on the right is in the first cells."""
    space = free_space(12.5)
    message = obstacles_of(space)
    assert message is not None
    assert message.time_usec == 12_500_000
    assert message.max_distance == int(space.reach_m * 100)
    free = message.max_distance + 1
    assert message.distances[1] == pytest.approx(500, abs=12)
    assert message.distances[4] == pytest.approx(500 / np.cos(np.radians(17.5)), abs=15)
    assert set(message.distances[66:72]) == {free}
    assert set(message.distances[9:63]) == {UNKNOWN}
    assert message.distances[0] == pytest.approx(500, abs=12), (
        "the cell straight ahead has both; the obstacle counts"
    )


def test_free_space_that_is_not_valid_has_no_message(free_space: Callable[[float], FreeSpace]) -> None:
    assert obstacles_of(free_space(12.5).invalidated("mask-invalid")) is None


def test_pymavlink_packs_and_reads_every_field() -> None:
    mav = dialect().MAVLink(None, srcSystem=1, srcComponent=191)
    message = told(ahead(), np.linspace(3, 25, 60))
    read = mav.decode(bytearray(mav.obstacle_distance_encode(**message.fields).pack(mav)))
    for name, value in message.fields.items():
        assert getattr(read, name) == (list(value) if name == "distances" else value), name
