"""The bird's-eye grid: the road around a vehicle in square cells, free, occupied or unknown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...core.arrays import Doubles
from .road_view import Bearings, RoadView, SectorScan, ramps

FREE, OCCUPIED, NOT_KNOWN = 0, 100, -1
"""The cells' values, as in nav_msgs/OccupancyGrid."""

Grid = npt.NDArray[np.int8]


@dataclass(frozen=True)
class GridFrame:
    """The place of a grid: x ahead and y to the left of the vehicle's reference, in metres.

    Attributes:
        x_m, y_m: the corner of cell (0, 0) with the least x and y.
        cell_m: side of a cell.
        rows: cells along y, to the left.
        columns: cells along x, ahead.
    """

    x_m: float
    y_m: float
    cell_m: float
    rows: int
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def xs(self) -> Doubles:
        """The x at which columns begin, and the last one ends: float64 [columns + 1], in metres."""
        return np.asarray(self.x_m + np.arange(self.columns + 1) * self.cell_m)

    @property
    def ys(self) -> Doubles:
        """The y at which rows begin, and the last one ends: float64 [rows + 1], in metres."""
        return np.asarray(self.y_m + np.arange(self.rows + 1) * self.cell_m)

    def unknown(self) -> Grid:
        """Returns a grid of which nothing is known."""
        return np.full(self.shape, NOT_KNOWN, np.int8)


class GroundGrid:
    """Turns distances by bearing into a grid.

    A cell is free only if each of its points is seen to be, and all of the way from the camera to it, whatever the
    pitch's error. It is occupied if an obstacle may stand in it that is the first in its direction.

    Args:
        view: the camera above the road.
        scan: the sectors that it sees.
        bearings: of these.
        frame: place and size of the grid.
        camera_m: x and y of the camera in the grid's frame.
    """

    def __init__(
        self,
        view: RoadView,
        scan: SectorScan,
        bearings: Bearings,
        frame: GridFrame,
        camera_m: tuple[float, float],
    ) -> None:
        self.frame = frame
        near, far, right, left = (part.ravel() for part in _extents(frame, camera_m))
        # The pitch's error also moves points aside, as it turns the camera about an axis that is not theirs.
        with np.errstate(divide="ignore", invalid="ignore"):
            aside = view.pitch_error * np.abs(np.sin((right + left) / 2)) * view.height_m / near
        first = bearings.index_of(np.nan_to_num(right - aside, nan=-np.pi, neginf=-np.pi))
        last = bearings.index_of(np.nan_to_num(left + aside, nan=np.pi, posinf=np.pi))
        from_m, to_m = view.farthest(scan.seen_from_m), view.nearest(scan.seen_to_m)
        inside = (first >= 0) & (last < bearings.count)
        first, last = np.maximum(first, 0), np.minimum(last, bearings.count - 1)
        reach = float(scan.seen_to_m.max(initial=0.0))
        least = float(view.nearest(scan.seen_from_m.min(initial=np.inf)))
        cells = np.flatnonzero((first <= last) & (near <= reach) & (far >= least))
        spans = (last - first + 1)[cells]
        self._sectors = np.repeat(first[cells], spans) + ramps(spans)
        pairs = np.repeat(cells, spans)
        seen = inside[pairs] & (near[pairs] >= from_m[self._sectors])
        # What is never seen as a whole, from beginning to end, can never be free: its far end is put out of reach.
        self._near_m = near[pairs].astype(np.float32)
        self._far_m = far[pairs].astype(np.float32)
        self._free_far_m = np.where(seen, far[pairs], np.inf).astype(np.float32)
        self._cells, self._starts = cells, np.cumsum(spans) - spans
        self._view, self._to_m = view, to_m

    def __call__(self, first_m: Doubles, is_obstacle: npt.NDArray[np.bool_]) -> Grid:
        """Returns the grid, int8 [rows, columns].

        Args:
            first_m: float64 [count], the distance in each sector of the first pixel that is not drivable.
            is_obstacle: bool [count], whether it is an obstacle; otherwise it is unknown what it is.
        """
        grid = self.frame.unknown()
        if not len(self._cells):
            return grid
        near = self._view.nearest(first_m)
        free_to = np.minimum(near, self._to_m).astype(np.float32)
        obstacle_from = np.where(is_obstacle, near, np.inf).astype(np.float32)
        obstacle_to = np.where(is_obstacle, first_m, -np.inf).astype(np.float32)
        free = self._free_far_m <= free_to[self._sectors]
        occupied = (self._far_m >= obstacle_from[self._sectors]) & (
            self._near_m <= obstacle_to[self._sectors]
        )
        flat = grid.ravel()
        flat[self._cells[np.logical_and.reduceat(free, self._starts)]] = FREE
        flat[self._cells[np.logical_or.reduceat(occupied, self._starts)]] = OCCUPIED
        return grid


def _extents(frame: GridFrame, camera_m: tuple[float, float]) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Returns nearest and farthest distance, and right and left bearing of each cell, float64 [rows, columns] each."""
    x, y = np.meshgrid(frame.xs - camera_m[0], frame.ys - camera_m[1])
    far = _over(np.maximum, np.hypot(x, y))
    bearing = np.arctan2(y, x)
    right, left = _over(np.minimum, bearing), _over(np.maximum, bearing)
    low_x, high_x, low_y, high_y = x[:-1, :-1], x[1:, 1:], y[:-1, :-1], y[1:, 1:]
    near = np.hypot(np.maximum(0, np.maximum(low_x, -high_x)), np.maximum(0, np.maximum(low_y, -high_y)))
    around = (low_x < 0) & (low_y <= 0) & (high_y >= 0)  # the line straight behind the camera crosses it
    return near, far, np.where(around, -np.pi, right), np.where(around, np.pi, left)


def _over(join: np.ufunc, corners: Doubles) -> Doubles:
    rows = join(corners[:-1], corners[1:])
    return np.asarray(join(rows[:, :-1], rows[:, 1:]))
