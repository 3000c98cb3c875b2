"""Everything about free space that depends on the camera's place alone: sectors, grid, and the extents of pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...core.errors import UsageError
from ..ground import GroundView
from .grid import GridFrame, GroundGrid
from .road_view import Bearings, RoadView, SectorScan

_MOST_CELLS = 1_000_000
_LEAST_SECTOR_PX = 2.0


@dataclass(frozen=True)
class RoadOptions:
    """The camera above the road, and what is made of it.

    Attributes:
        height_m: of the camera above the road.
        roll_deg: of the vehicle with its camera, positive right side down.
        pitch_error_deg: by which the pitch may be wrong, load, bumps and slopes of the road among the reasons.
        range_m: the distance beyond which everything is unknown.
        range_error: share of a distance by which it may be wrong. Where the pitch's error makes more, all is unknown.
        cell_m: side of the grid's cells.
        sector_deg: width of the sectors; wider ones are taken where they would be narrower than two pixels.
        bonnet: share of the frame's height, at its lower edge, that shows the vehicle itself.
        width_m: of the vehicle, for what is ahead.
        told_within_s: the longest time from a fault of the run to its being told, for the messages; None if unknown.
    """

    height_m: float
    roll_deg: float = 0.0
    pitch_error_deg: float = 0.5
    range_m: float = 20.0
    range_error: float = 0.2
    cell_m: float = 0.2
    sector_deg: float = 0.5
    bonnet: float = 0.0
    width_m: float = 2.0
    told_within_s: float | None = None

    def __post_init__(self) -> None:
        bounds = {
            "height_m": (0.05, 20), "roll_deg": (-45, 45), "pitch_error_deg": (0, 10), "range_m": (0.5, 200),
            "range_error": (0.01, 1), "cell_m": (0.02, 5), "sector_deg": (0.1, 10), "bonnet": (0, 0.9),
            "width_m": (0.1, 10),
        }  # fmt: skip
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"free space: {name} is {getattr(self, name)}; expected {least} to {most}")
        cells = 2 * (self.range_m / self.cell_m) ** 2
        if cells > _MOST_CELLS:
            raise UsageError(
                f"free space: {cells:.0f} cells of {self.cell_m:g} m for a range of {self.range_m:g} m; expected at "
                f"most {_MOST_CELLS}; take larger cells or a shorter range"
            )
        reach_m(self, self.height_m)  # refuses an error of the pitch for which nothing can be known


class RoadGeometry:
    """The sectors and the grid of one camera at one place above the road. Making one takes tenths of a second.

    Args:
        ground: the camera above the ground. Its north is ahead and its east is right; its origin is below the
            vehicle's reference.
        options: the road's.
        like: a geometry whose sectors and grid have the same places, so that messages keep their form.

    Attributes:
        ground: as above.
        extents: of the frame's pixels on the road.
        bearings: the sectors.
        scan: finds the nearest pixel that is not drivable in each.
        grid: turns distances by sector into cells.
        bonnet_px: rows at the lower edge of the frame that show the vehicle.
        camera_m: x ahead and y to the left of the camera, from the vehicle's reference.
    """

    def __init__(self, ground: GroundView, options: RoadOptions, like: RoadGeometry | None = None) -> None:
        height, width = ground.camera.size_hw
        self.ground, self.bonnet_px = ground, round(height * options.bonnet)
        self.camera_m = (ground.north_m, -ground.east_m)
        self.view = RoadView(
            ground.camera,
            ground.world_from_camera,
            ground.height_m,
            math.radians(options.pitch_error_deg),
            self.bonnet_px,
        )
        self.reach_m = reach_m(options, ground.height_m)
        self.extents = self.view.pixel_extents()
        self.bearings: Bearings = like.bearings if like else self._bearings(options, width)
        self.scan = SectorScan(self.view, self.extents, self.bearings, self.reach_m)
        frame: GridFrame = like.grid.frame if like else self._frame(options)
        self.grid: GroundGrid = GroundGrid(self.view, self.scan, self.bearings, frame, self.camera_m)

    @property
    def known_m(self) -> float:
        """The distance up to which ground can be known: what is seen at ``reach_m`` may be no farther than this."""
        return float(self.view.nearest(np.array(self.reach_m)))

    @property
    def sees_road(self) -> bool:
        """True if any sector is in view."""
        return bool(np.isfinite(self.scan.seen_from_m).any())

    def _bearings(self, options: RoadOptions, width: int) -> Bearings:
        """Returns the sectors that cover the view: as many to the left as to the right of straight ahead."""
        shown = self.extents.near_m[: len(self.extents.near_m) - self.bonnet_px] <= self.reach_m
        ends = (
            np.abs(side[: len(shown)][shown]).max(initial=0.0)
            for side in (self.extents.right, self.extents.left)
        )
        half = max(ends)
        step = max(math.radians(options.sector_deg), _LEAST_SECTOR_PX / self.ground.camera.fx)
        count = max(1, min(math.ceil(half / step), math.floor(math.pi / step)))
        return Bearings(-count * step, step, 2 * count)

    def _frame(self, options: RoadOptions) -> GridFrame:
        """Returns the grid that holds all of the sectors, and the vehicle's reference at one of its sides."""
        cell, half = options.cell_m, self.bearings.step * self.bearings.count / 2
        (x, y), reach = self.camera_m, self.reach_m
        aside = reach * math.sin(min(half, math.pi / 2))
        first = math.floor(min(0.0, x + reach * min(0.0, math.cos(half))) / cell)
        columns = math.ceil((x + reach) / cell) - first
        right, left = math.floor((y - aside) / cell), math.ceil((y + aside) / cell)
        return GridFrame(first * cell, right * cell, cell, left - right, max(1, columns))


def reach_m(options: RoadOptions, height_m: float) -> float:
    """Returns the distance beyond which all is unknown: by the options' range, and by the pitch's error.

    Args:
        options: the road's.
        height_m: of the camera above the road.

    Raises:
        UsageError: the pitch's error makes every distance too uncertain.
    """
    turn, most = math.tan(math.radians(options.pitch_error_deg)), options.range_error
    if turn <= 0:
        return options.range_m
    # A point at distance d is truly at h / tan(atan(h / d) - e) at the farthest. That is d (1 + most) where
    # t = h / d solves turn t^2 - most t + (1 + most) turn = 0; the smaller root is the larger distance.
    root = most**2 - 4 * turn**2 * (1 + most)
    if root < 0:
        raise UsageError(
            f"free space: with a pitch error of {options.pitch_error_deg:g} degrees no distance is known to "
            f"{most:.0%}; expected a smaller error of the pitch, or a larger range_error"
        )
    return min(options.range_m, height_m * 2 * turn / (most - math.sqrt(root)))
