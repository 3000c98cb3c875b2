"""The pose of a vehicle, as sources, links and everything that acts on class maps pass it on."""

from __future__ import annotations

from dataclasses import dataclass

from .arrays import Doubles, Matrix
from .rotations import matrix_of


@dataclass(frozen=True)
class VehiclePose:
    """The pose of a vehicle at one moment.

    Attributes:
        at: the moment, ``edgeseg.now()`` in seconds. A source that is not live may use its own time, which begins
            anywhere.
        attitude: float64 [4], the unit quaternion (w, x, y, z) from body (forward, right, down) to world (north, east,
            down).
        height_m: of the vehicle's reference above the ground below it.
        north_m, east_m: position of the vehicle's reference from a fixed origin.
    """

    at: float
    attitude: Doubles
    height_m: float
    north_m: float = 0.0
    east_m: float = 0.0

    @property
    def world_from_body(self) -> Matrix:
        """The rotation float64 [3, 3] from body to world."""
        return matrix_of(self.attitude)
