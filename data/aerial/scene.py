"""The scene: a place under construction, to which the zones add objects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ...core.arrays import Points
from .appearance import Appearance, Bgr
from .buildings import Building
from .canvas import MAP_PX, PX_PER_M, Canvas
from .labels import ROAD, WATER
from .noise import ramp, spread
from .trees import Orchard, Tree

GRAVEL = ramp((96, 120, 138), (126, 150, 168), (160, 184, 200))
ASPHALT = ramp((80, 80, 80), (104, 104, 103), (126, 126, 125))
PAVING = ramp((124, 136, 148), (148, 160, 172), (176, 188, 198))
LINE = spread((208, 212, 214), 0.12)


@dataclass
class Scene:
    """A place under construction: the canvas, and the objects that will stand or move on it.

    Attributes:
        parked: (x, y, heading) of parked cars.
        strolls: (x, y, reach x, reach y) of people who walk around a point, in pixels.
    """

    canvas: Canvas
    appearance: Appearance
    orchard: Orchard
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    parked: list[tuple[float, float, float]] = field(default_factory=list)
    strolls: list[tuple[float, float, float, float]] = field(default_factory=list)

    def build(self, rng: np.random.Generator, building: Building) -> None:
        """Adds a building, with details of its own."""
        self.buildings.append(replace(building, detail=int(rng.integers(1 << 30))))

    def plant(self, rng: np.random.Generator, centre_xy: Points, size: int) -> None:
        """Adds a tree of a size class, unless the place is on a road or in water."""
        x, y = (int(c) % MAP_PX for c in centre_xy)
        if self.canvas.labels[y, x] not in (ROAD, WATER):
            self.trees.append(
                Tree(centre_xy, self.orchard.pick(rng, size), 1.0 + size * rng.uniform(1.1, 1.7))
            )

    def stroll(self, rng: np.random.Generator, centre_xy: Points, reach_m: float) -> None:
        """Adds a person who walks around a point, unless the point is in water."""
        x, y = (int(c) % MAP_PX for c in centre_xy)
        if self.canvas.labels[y, x] == WATER:
            return
        reach = rng.uniform(0.3, 1.0, 2) * reach_m * PX_PER_M
        self.strolls.append((float(centre_xy[0]), float(centre_xy[1]), float(reach[0]), float(reach[1])))

    def crowd(self, rng: np.random.Generator, count: float) -> int:
        """Returns a number of people, scaled to the activity of this place."""
        return int(rng.poisson(count * self.appearance.crowd))


def roof_colour(rng: np.random.Generator, appearance: Appearance) -> Bgr:
    base = appearance.roof_bgr[int(rng.integers(len(appearance.roof_bgr)))]
    tone = rng.uniform(0.85, 1.15)
    return base[0] * tone, base[1] * tone, base[2] * tone
