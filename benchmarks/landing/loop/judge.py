"""The judge of flights: the truth under the vehicle where it touched down, and no descent without a valid spot.

It shares no code with the search for a spot, with the autopilots or with the camera model: it has the world drawn
from straight above, at two centimetres a pixel, and looks at the pixels of the footprint.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....data.aerial.camera import Pose
from ....data.aerial.canvas import PX_PER_M
from ....data.aerial.intruders import Intruder
from ....data.aerial.labels import AERIAL_LABELS, FIELD, GRASS
from ....data.aerial.render import render
from ....data.aerial.world import AerialWorld

_PIXEL_M = 0.02
_FOCAL_OVER_WIDTH = 0.95
_BRAKES_S = 0.5
"""The time that a vehicle needs to stop its descent."""
_DESCENDS_MS = 0.1


def unsafe_below(
    world: AerialWorld,
    time_s: float,
    place_m: tuple[float, float],
    radius_m: float,
    intruders: Sequence[Intruder],
) -> list[str]:
    """Returns the names of the unsafe classes below a footprint, empty if it is safe.

    Args:
        world: the place.
        time_s: the world's time.
        place_m: the middle of the footprint, metres north and east.
        radius_m: of the vehicle.
        intruders: people and cars beside those of the place.
    """
    half = int(np.ceil(radius_m / _PIXEL_M)) + 2
    side = 2 * half + 1
    # North is up on the map, so y is south.
    above = Pose(
        x=place_m[1] * PX_PER_M,
        y=-place_m[0] * PX_PER_M,
        height_m=_PIXEL_M * _FOCAL_OVER_WIDTH * side,
        yaw=0.0,
        pitch=0.0,
        roll=0.0,
    )
    _, truth = render(world, above, time_s, (side, side), intruders)
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1]
    below = truth[np.hypot(rows, columns) * _PIXEL_M <= radius_m]
    return [AERIAL_LABELS.names[k] for k in np.unique(below) if k not in (GRASS, FIELD)]


class DescentJudge:
    """Measures how far a vehicle descends while it has not been told of a valid spot for too long.

    Args:
        timeout_s: the autopilot's time-out.
        committed_m: the height below which the autopilot lands whatever it is told.

    Attributes:
        blind_m: metres of descent without a valid spot.
    """

    def __init__(self, timeout_s: float, committed_m: float) -> None:
        self._allowed_s, self._committed_m = timeout_s + _BRAKES_S, committed_m
        self._valid_at: float | None = None
        self.blind_m = 0.0

    def step(self, at: float, valid: bool, height_m: float, climb_ms: float, step_s: float) -> None:
        """Takes one step of a landing: whether there is a valid spot now, and how the vehicle moves."""
        if valid or self._valid_at is None:
            self._valid_at = at
        blind = at - self._valid_at > self._allowed_s
        if blind and height_m > self._committed_m and climb_ms < -_DESCENDS_MS:
            self.blind_m -= climb_ms * step_s
