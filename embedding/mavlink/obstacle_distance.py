"""OBSTACLE_DISTANCE from ranges by direction: 72 cells around the vehicle, clockwise, in centimetres."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...core.arrays import Doubles
from ..free_space.finding import FreeSpace
from .landing_target import MAV_FRAME_BODY_FRD

CELLS = 72
UNKNOWN = 65535
_CELL_DEGREES = 360 / CELLS
_MOST_CM = 65_533
_LEAST_CM = 1
"""Of an obstacle that touches: ArduPilot takes a 0 for no reading at all."""
_SENSOR_UNKNOWN = 4
_ROUNDING_DEGREES = 1e-6


@dataclass(frozen=True)
class ObstacleDistance:
    """The fields of OBSTACLE_DISTANCE, by the names and in the units of MAVLink.

    Attributes:
        time_usec: capture time in microseconds of ``edgeseg.now()``.
        distances: cm of the nearest obstacle in each cell, clockwise from straight ahead. ``max_distance + 1`` means
            that nothing is there, 65535 that it is not known.
        max_distance: cm up to which the ground was looked at.
        min_distance: cm of the nearest distance that is told.
        increment: degrees of a cell.
        increment_f: the same, exactly.
        angle_offset: direction of the first cell.
        frame: forward, right, down of the vehicle: the cells turn with it.
        sensor_type: MAV_DISTANCE_SENSOR_UNKNOWN; there is none for cameras.
    """

    time_usec: int
    distances: tuple[int, ...]
    max_distance: int
    min_distance: int = _LEAST_CM
    increment: int = int(_CELL_DEGREES)
    increment_f: float = _CELL_DEGREES
    angle_offset: float = 0.0
    frame: int = MAV_FRAME_BODY_FRD
    sensor_type: int = _SENSOR_UNKNOWN

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields by name, as pymavlink's ``obstacle_distance_encode`` takes them."""
        return asdict(self)


def obstacles_of(space: FreeSpace) -> ObstacleDistance | None:
    """Returns the message for the free space of a frame; None if it is not valid, so that nothing is sent.

    Each obstacle is as near as it may be for the worst error of the pitch. Distances are from the point below the
    camera.
    """
    if not space.valid:
        return None
    sectors = space.sectors
    # MAVLink goes clockwise, and bearings are positive to the left.
    clockwise, nearest = -sectors.bearings.middles, np.asarray(sectors.nearest_m, np.float64)
    return obstacle_distance(clockwise, nearest, sectors.bearings.step, space.reach_m, space.captured_at)


def obstacle_distance(
    bearings_rad: Doubles, ranges_m: Doubles, width_rad: float, most_m: float, captured_at: float
) -> ObstacleDistance:
    """Returns the message for what a camera sees around the vehicle.

    A cell has its nearest obstacle. Where there is none, it is free only if the sectors cover it whole and each of them
    is known: a cell of which a part was not seen is not known.

    Args:
        bearings_rad: float64 [N], the middles of sectors in the vehicle's plane, clockwise from straight ahead, in any
            order.
        ranges_m: float64 [N], the distance of the obstacle in each; infinite where there is none up to ``most_m``, NaN
            where it is not known.
        width_rad: of each sector.
        most_m: the distance up to which the ground was looked at, above 0. Beyond 655 m MAVLink has no number.
        captured_at: ``edgeseg.now()`` in seconds when the frame was captured.
    """
    degrees = (np.degrees(np.asarray(bearings_rad, np.float64)) + 180) % 360 - 180
    ranges = np.asarray(ranges_m, np.float64)
    behind = degrees > 180 - _CELL_DEGREES  # the cell straight behind has both ends of the circle
    degrees, ranges = np.append(degrees, degrees[behind] - 360), np.append(ranges, ranges[behind])
    order = np.argsort(degrees)
    degrees, ranges, half = degrees[order], ranges[order], math.degrees(width_rad) / 2
    first, last = degrees - half, degrees + half
    max_cm = int(min(_MOST_CM, max(1, math.floor(most_m * 100))))
    distances = [UNKNOWN] * CELLS
    for cell in range(CELLS):
        middle = (cell * _CELL_DEGREES + 180) % 360 - 180
        low, high = middle - _CELL_DEGREES / 2, middle + _CELL_DEGREES / 2
        inside = (last > low + _ROUNDING_DEGREES) & (first < high - _ROUNDING_DEGREES)
        if inside.any():
            covered = _is_covered(first[inside], last[inside], low, high)
            distances[cell] = _cell(ranges[inside], covered, max_cm)
    return ObstacleDistance(round(captured_at * 1e6), tuple(distances), max_cm)


def _is_covered(first: Doubles, last: Doubles, low: float, high: float) -> bool:
    """True if sectors, in rising order, cover a cell without a gap."""
    joined = bool((first[1:] <= last[:-1] + _ROUNDING_DEGREES).all())
    ends = bool(first[0] <= low + _ROUNDING_DEGREES) and bool(last[-1] >= high - _ROUNDING_DEGREES)
    return joined and ends


def _cell(ranges: Doubles, covered: bool, max_cm: int) -> int:
    """Returns the value of one cell for the ranges within it."""
    known = ranges[~np.isnan(ranges)]
    nearest_cm = float(known.min()) * 100 if len(known) else math.inf
    if nearest_cm <= max_cm:
        return max(_LEAST_CM, math.floor(nearest_cm))
    return max_cm + 1 if covered and len(known) == len(ranges) else UNKNOWN
