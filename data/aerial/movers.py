"""The moving cars and people, as functions of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.arrays import Doubles, Points
from .canvas import MAP_PX, PX_PER_M
from .layout import PlaceLayout, Street

CYCLE_S = 14.0
"""The period of the traffic lights: north-south streets move first, then west-east ones, each with a pause."""

_GREEN_S = 6.0


@dataclass(frozen=True)
class Lane:
    """The cars of one lane. They stop in slots that keep junctions free; in each cycle all move by one slot.

    So cars never meet on a junction, and a position depends only on time.

    Attributes:
        slots: stop positions along the street in pixels, ascending.
        taken: the slots that have a car at time 0.
    """

    street: Street
    side: int
    slots: Doubles
    taken: Doubles

    @classmethod
    def draw(cls, rng: np.random.Generator, street: Street, side: int, others: tuple[Street, ...]) -> Lane:
        """Lays out slots of 11 to 30 m, none within a junction, and fills some."""
        gaps = rng.uniform(11, 30, 64) * PX_PER_M
        slots = np.cumsum(gaps)
        slots = slots[slots < MAP_PX - 11 * PX_PER_M]
        for other in others:
            away = np.abs(
                np.mod(slots - street.curve.crossing(other.curve) + MAP_PX / 2, MAP_PX) - MAP_PX / 2
            )
            slots = slots[away > (other.half_m + 8.5) * PX_PER_M]
        share = {"street": 0.72, "country": 0.5, "dirt": 0.12}[street.kind]
        return cls(street, side, slots, np.flatnonzero(rng.random(len(slots)) < share).astype(np.float64))

    def at(self, time_s: float) -> tuple[Points, Doubles]:
        """Returns positions xy [n, 2] in pixels and headings [n] in radians."""
        phase = 0.0 if self.street.curve.vertical else CYCLE_S / 2
        cycle, within = divmod(time_s - phase, CYCLE_S)
        t = min(within / _GREEN_S, 1.0)
        share = t * t * t * (t * (6 * t - 15) + 10)
        count = len(self.slots)
        start = self.taken + cycle * self.side
        here = self._slot(start, count)
        there = self._slot(start + self.side, count)
        s = here + (there - here) * share
        right = self.side * (-1 if self.street.curve.vertical else 1)
        offset = 0.0 if self.street.kind == "dirt" else right * self.street.half_m * 0.5 * PX_PER_M
        xy, heading = self.street.curve.place(s, offset)
        return xy, heading + (0.0 if self.side > 0 else np.pi)

    def _slot(self, index: Doubles, count: int) -> Doubles:
        turns, k = np.divmod(index, count)
        return np.asarray(self.slots[k.astype(np.intp)] + turns * MAP_PX)


@dataclass(frozen=True)
class Pavement:
    """People who walk along a street, each on one side and at their own pace."""

    street: Street
    start: Doubles
    speed_px: Doubles
    offset_px: Doubles

    @classmethod
    def draw(cls, rng: np.random.Generator, street: Street, count: int) -> Pavement:
        """Spreads people along both pavements, some in pairs."""
        start = rng.uniform(0, MAP_PX, count)
        speed = rng.uniform(0.8, 1.6, count) * rng.choice([-1, 1], count) * PX_PER_M
        middle = street.half_m + max(street.pavement_m, 1.4) * rng.uniform(0.25, 0.8, count)
        side = rng.choice([-1, 1], count)
        pairs = np.arange(1, count, 3)
        start[pairs], speed[pairs], side[pairs] = start[pairs - 1] + 3, speed[pairs - 1], side[pairs - 1]
        middle[pairs] = middle[pairs - 1] + np.where(middle[pairs - 1] > street.half_m + 0.9, -0.75, 0.75)
        return cls(street, start, speed, side * middle * PX_PER_M)

    def at(self, time_s: float) -> tuple[Points, Doubles]:
        """Returns positions xy [n, 2] and headings [n]."""
        xy, heading = self.street.curve.place(self.start + self.speed_px * time_s, self.offset_px)
        return xy, heading + np.where(self.speed_px > 0, 0.0, np.pi)


@dataclass(frozen=True)
class Strollers:
    """People who walk on closed curves, each around one point."""

    centre_xy: Points
    reach_xy: Points
    rate: Points
    phase: Points

    @classmethod
    def draw(cls, rng: np.random.Generator, strolls: list[tuple[float, float, float, float]]) -> Strollers:
        """Gives each person a pace of at most about 1.2 m/s."""
        table = np.asarray(strolls, np.float64).reshape(-1, 4)
        reach = table[:, 2:]
        rate = rng.uniform(0.25, 0.8, reach.shape) * PX_PER_M / np.maximum(reach, 0.6 * PX_PER_M)
        return cls(table[:, :2], reach, rate, rng.uniform(0, 2 * np.pi, reach.shape))

    def at(self, time_s: float) -> tuple[Points, Doubles]:
        """Returns positions xy [n, 2] and headings [n]."""
        turn = self.rate * time_s + self.phase
        step = self.reach_xy * self.rate * np.cos(turn)
        return self.centre_xy + self.reach_xy * np.sin(turn), np.arctan2(step[:, 1], step[:, 0])


@dataclass(frozen=True)
class Life:
    """All cars and people: cars in lanes and parked, people on pavements and elsewhere."""

    lanes: tuple[Lane, ...]
    parked: Points
    pavements: tuple[Pavement, ...]
    strollers: Strollers

    @classmethod
    def draw(cls, rng: np.random.Generator, layout: PlaceLayout, parked: list[tuple[float, float, float]],
             strolls: list[tuple[float, float, float, float]], crowd: float) -> Life:  # fmt: skip
        """Fills the streets, and adds the cars and people of the zones."""
        lanes, pavements = [], []
        for street in layout.streets:
            others = layout.horizontal if street.curve.vertical else layout.vertical
            sides = (1,) if street.kind == "dirt" else (1, -1)
            lanes += [Lane.draw(rng, street, side, others) for side in sides]
            count = {"street": 70, "country": 22, "dirt": 14}[street.kind]
            pavements.append(Pavement.draw(rng, street, int(count * crowd)))
        standing = np.asarray(parked, np.float64).reshape(-1, 3)
        return cls(tuple(lanes), standing, tuple(pavements), Strollers.draw(rng, strolls))

    def cars(self, time_s: float) -> tuple[Points, Doubles]:
        """Returns every car's position [n, 2] and heading [n]; a car always has the same row."""
        parts = [lane.at(time_s) for lane in self.lanes]
        xy = np.concatenate([self.parked[:, :2], *(xy for xy, _ in parts)])
        return xy, np.concatenate([self.parked[:, 2], *(heading for _, heading in parts)])

    def people(self, time_s: float) -> tuple[Points, Doubles]:
        """Returns every person's position [n, 2] and heading [n]; a person always has the same row."""
        parts = [self.strollers.at(time_s), *(pavement.at(time_s) for pavement in self.pavements)]
        return np.concatenate([xy for xy, _ in parts]), np.concatenate([heading for _, heading in parts])
