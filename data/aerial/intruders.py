"""Intruders: a person or a car that goes where a test wants it, beside those that live in a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.arrays import Doubles, Points

IntruderKind = Literal["car", "person"]


@dataclass(frozen=True)
class Intruder:
    """A person or a car on a way of straight lines.

    Attributes:
        kind: ``person`` or ``car``.
        times_s: when it is at each point of the way, float64 [n], rising. Before the first and after the last it is
            not there.
        way_xy: the points, float64 [n, 2], pixels of the endless map.
        look: chooses how it looks, as the number of a person or car of the place does.
    """

    kind: IntruderKind
    times_s: Doubles
    way_xy: Points
    look: int = 0

    def is_there(self, time_s: float) -> bool:
        """Returns True if it is in the place at this time."""
        return bool(self.times_s[0] <= time_s <= self.times_s[-1])

    def at(self, time_s: float) -> tuple[Points, float]:
        """Returns its position [2] and heading in radians; where it stands, the heading that it had before."""
        position = np.array([np.interp(time_s, self.times_s, self.way_xy[:, axis]) for axis in (0, 1)])
        steps = np.diff(self.way_xy, axis=0)
        moving = np.flatnonzero(np.any(steps != 0, axis=1))
        if not len(moving):
            return position, 0.0
        leg = int(np.searchsorted(self.times_s, time_s, side="right")) - 1
        past = moving[moving <= max(leg, moving[0])]
        step = steps[past[-1]]
        return position, float(np.arctan2(step[1], step[0]))


def placed(
    intruders: Sequence[Intruder], kind: IntruderKind, time_s: float
) -> tuple[Points, Doubles, list[int]]:
    """Returns positions [n, 2], headings [n] and looks of the intruders of a kind that are there."""
    there = [intruder for intruder in intruders if intruder.kind == kind and intruder.is_there(time_s)]
    places = [intruder.at(time_s) for intruder in there]
    positions = np.array([position for position, _ in places]).reshape(-1, 2)
    return positions, np.array([heading for _, heading in places]), [intruder.look for intruder in there]
