"""The hazard map: the ground around the vehicle in square cells, from the class maps of the last seconds.

A cell stands still on the ground while the camera moves. A hazard enters its cell with the first frame that shows it,
and leaves only after several frames in a row have shown safe ground there. What was not seen for a while is unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ...core.arrays import Matrix
from ...core.errors import UsageError
from ...core.labels import LabelMap
from ..camera.model import CameraModel
from ..ground import GroundView
from .hazards import HazardTable

Cells = npt.NDArray[np.uint8]

_UNSEEN = 255
_FINER_AT = 0.8
"""Cells are halved only if the view then needs no more than this share of the map: heights tremble."""
_FULL = 250
"""The freshness of a cell that was seen just now; 0 is forgotten."""

_HALF_DIAGONAL = math.sqrt(0.5)
"""From the middle of a cell to its corner, in cells."""

_CHAMFER_ERROR = 0.025
"""OpenCV's 5 x 5 distance transform may be longer than the true distance by up to this share (Borgefors 1986: 2.02 %,
with its coefficients rounded)."""


@dataclass(frozen=True)
class MapOptions:
    """The grid and the memory of a hazard map.

    Attributes:
        cell_m: side of the smallest cells in metres. Cells double while the view is larger than the map may be.
        most_cells: the most cells along each side.
        confirm_frames: frames in a row that have to show safe ground before a cell is safe.
        memory_s: seconds for which a cell that is out of view is remembered.
    """

    cell_m: float = 0.0625
    most_cells: int = 480
    confirm_frames: int = 3
    memory_s: float = 3.0

    def __post_init__(self) -> None:
        if not 0.01 <= self.cell_m <= 10:
            raise UsageError(f"cells of {self.cell_m:g} m; expected 0.01 to 10 metres")
        if not 16 <= self.most_cells <= 4096:
            raise UsageError(f"a map of {self.most_cells} cells a side; expected 16 to 4096")
        if not 1 <= self.confirm_frames <= 200:
            raise UsageError(f"{self.confirm_frames} frames to confirm safe ground; expected 1 to 200")
        if not 0.1 <= self.memory_s <= 600:
            raise UsageError(f"a memory of {self.memory_s:g} s; expected 0.1 to 600 seconds")


@dataclass(frozen=True)
class _Window:
    """The part of the ground that the map covers: its first cell, counted from the origin, and its size in cells."""

    north: int
    east: int
    rows: int
    columns: int

    def overlap(self, other: _Window) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
        """Returns the slices of the common cells in this window and in another; None if there are none."""
        top, left = max(self.north, other.north), max(self.east, other.east)
        bottom = min(self.north + self.rows, other.north + other.rows)
        right = min(self.east + self.columns, other.east + other.columns)
        if top >= bottom or left >= right:
            return None
        here, there = (
            (slice(top - w.north, bottom - w.north), slice(left - w.east, right - w.east))
            for w in (self, other)
        )
        return here, there


class HazardMap:
    """The hazards around a vehicle.

    Args:
        labels: the classes of the class maps.
        hazards: the hazard of each class.
        options: grid and memory.

    Attributes:
        cell_m: side of a cell now, in metres.
    """

    def __init__(self, labels: LabelMap, hazards: HazardTable, options: MapOptions | None = None) -> None:
        self.hazards, self.options = hazards, options or MapOptions()
        self._table = hazards.ranks(labels)
        self._unknown = hazards.unknown_rank
        self.cell_m = self.options.cell_m
        self._spread: _Spread | None = None
        self.clear()

    def clear(self) -> None:
        """Forgets everything, as after a jump of the vehicle's position."""
        self._window = _Window(0, 0, 0, 0)
        self._rank, self._safe_frames, self._fresh = (np.zeros((0, 0), np.uint8) for _ in range(3))
        self._aged_until: float | None = None

    def age(self, at: float) -> None:
        """Lets the map grow older, up to a moment in seconds. If time went back, the map forgets all that it has."""
        if self._aged_until is None or at < self._aged_until - self.options.memory_s:
            self._fresh[:] = 0
            self._aged_until = at
            return
        steps = int((at - self._aged_until) / self.options.memory_s * _FULL)
        if steps > 0:
            # Below 0 is 0: what is older than the memory is not forgotten twice.
            self._fresh -= np.minimum(self._fresh, np.uint8(min(steps, _FULL)))
            self._aged_until += steps * self.options.memory_s / _FULL

    def update(self, classes: Cells, view: GroundView, at: float) -> None:
        """Adds what a frame shows.

        Args:
            classes: uint8 [H, W], the class map at the camera's size.
            view: the camera above the ground at the frame's capture time.
            at: that time, in seconds of ``edgeseg.now()``.
        """
        self.age(at)
        ground_from_pixel = view.ground_from_pixel()
        self._fit_cells(ground_from_pixel, classes.shape)
        ranks = self._spread_for(view)(self._table, classes)
        self._move(self._window_of(ground_from_pixel, classes.shape))
        if not self._rank.size:
            return
        seen_ranks = self._warp(ranks, ground_from_pixel)
        safe = seen_ranks == 0
        unsafe = (seen_ranks != 0) & (seen_ranks != _UNSEEN)
        remembered = np.where(self._safe_frames < self.options.confirm_frames, self._rank, 0)
        self._rank = np.where(unsafe, np.maximum(remembered, seen_ranks), self._rank).astype(np.uint8)
        counted = np.asarray(cv2.add(self._safe_frames, safe.view(np.uint8)))
        self._safe_frames = np.where(unsafe, np.uint8(0), counted)
        self._fresh = np.where(safe | unsafe, np.uint8(_FULL), self._fresh)

    def _spread_for(self, view: GroundView) -> _Spread:
        """Returns the spread of hazards for this view: half a cell's diagonal where pixels are finest on the ground."""
        height, width = view.camera.size_hw
        across, along = np.meshgrid([0, (width - 1) / 2, width - 1], [0, (height - 1) / 2, height - 1])
        sizes = view.metres_per_pixel(np.column_stack([across.ravel(), along.ravel()]))
        reach = math.ceil(self.cell_m * _HALF_DIAGONAL / float(np.nanmin(sizes)))
        reach = min(reach, min(height, width) // 8)
        if self._spread is None or (self._spread.reach_px, self._spread.camera) != (reach, view.camera):
            self._spread = _Spread(view.camera, reach)
        return self._spread

    def _fit_cells(self, ground_from_pixel: Matrix, shape_hw: tuple[int, ...]) -> None:
        """Doubles or halves the cells until the view fits the map."""
        extent = _extent(ground_from_pixel, shape_hw)
        if extent is None:
            return
        side = float((extent[1] - extent[0]).max())
        while side > self.cell_m * self.options.most_cells:
            self._double_cells()
        while (
            self.cell_m > self.options.cell_m
            and side <= self.cell_m / 2 * self.options.most_cells * _FINER_AT
        ):
            self._halve_cells()

    def _double_cells(self) -> None:
        """Joins each four cells; the worst of them counts."""
        window = self._window
        ends = ((window.north, window.rows), (window.east, window.columns))
        pads = [(start % 2, (start + count) % 2) for start, count in ends]
        joined = []
        for array, fill, worst in (
            (self._rank, self._unknown, np.maximum),
            (self._safe_frames, 0, np.minimum),
            (self._fresh, 0, np.minimum),
        ):
            whole = np.pad(array, pads, constant_values=fill)
            rows = worst(whole[::2], whole[1::2])
            joined.append(np.ascontiguousarray(worst(rows[:, ::2], rows[:, 1::2])))
        self._rank, self._safe_frames, self._fresh = joined
        self._window = _Window(window.north // 2, window.east // 2, *joined[0].shape)
        self.cell_m *= 2

    def _halve_cells(self) -> None:
        """Divides each cell into four of the same content."""
        window = self._window
        self._rank, self._safe_frames, self._fresh = (
            np.repeat(np.repeat(array, 2, 0), 2, 1) for array in (self._rank, self._safe_frames, self._fresh)
        )
        self._window = _Window(window.north * 2, window.east * 2, window.rows * 2, window.columns * 2)
        self.cell_m /= 2

    def _window_of(self, ground_from_pixel: Matrix, shape_hw: tuple[int, ...]) -> _Window:
        """Returns the cells that the view and the fresh part of the map need, as many as are allowed."""
        middle = _middle(ground_from_pixel, shape_hw)
        if middle is None:
            return self._window
        middle = middle / self.cell_m
        reach = self.options.most_cells / 2
        extent = _extent(ground_from_pixel, shape_hw)
        lowest, highest = middle - reach, middle + reach
        if extent is not None:
            lowest, highest = (
                np.maximum(extent[0] / self.cell_m, lowest),
                np.minimum(extent[1] / self.cell_m, highest),
            )
        # Ground that was seen a moment ago stays in the window, as the last metres of a descent need it.
        old = self._window
        if old.rows:
            lowest = np.maximum(np.minimum(lowest, (old.north, old.east)), middle - reach)
            highest = np.minimum(
                np.maximum(highest, (old.north + old.rows, old.east + old.columns)), middle + reach
            )
        north, east = (math.floor(value) for value in lowest)
        rows, columns = (
            max(0, math.ceil(value) - start) for value, start in zip(highest, (north, east), strict=True)
        )
        return _Window(north, east, rows, columns)

    def _move(self, window: _Window) -> None:
        """Covers another part of the ground; cells that both have in common keep their content."""
        if window == self._window:
            return
        shape = (window.rows, window.columns)
        fills = (self._unknown, 0, 0)
        moved = [np.full(shape, fill, np.uint8) for fill in fills]
        common = window.overlap(self._window)
        if common is not None:
            for new, old in zip(moved, (self._rank, self._safe_frames, self._fresh), strict=True):
                new[common[0]] = old[common[1]]
        self._rank, self._safe_frames, self._fresh = moved
        self._window = window

    def _warp(self, ranks: Cells, ground_from_pixel: Matrix) -> Cells:
        """Returns the ranks on the cells of the window; 255 for cells that the frame does not show."""
        window, cell = self._window, self.cell_m
        cells_from_ground = np.array(
            [[0, 1 / cell, -window.east - 0.5], [1 / cell, 0, -window.north - 0.5], [0, 0, 1]]
        )
        cells_from_pixel = cells_from_ground @ ground_from_pixel
        warped = np.asarray(
            cv2.warpPerspective(
                ranks, cells_from_pixel, (window.columns, window.rows),
                flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=_UNSEEN,
            ),
            np.uint8,
        )  # fmt: skip
        # A homography also maps the ground behind the camera; what is ahead is a half plane.
        pixel_from_cells = np.linalg.inv(cells_from_pixel)
        sign = np.sign((cells_from_pixel @ (ranks.shape[1] / 2, ranks.shape[0] / 2, 1))[2])
        a, b, c = pixel_from_cells[2] * sign
        ends = np.array([0, window.rows - 1]), np.array([0, window.columns - 1])
        if (c + np.add.outer(b * ends[0], a * ends[1])).min() <= 0:
            depth = c + np.add.outer(b * np.arange(window.rows), a * np.arange(window.columns))
            warped = np.where(depth > 0, warped, np.uint8(_UNSEEN))
        return warped

    def obstacles(self) -> Cells:
        """Returns the rank of each cell, uint8 [rows, columns]; 0 is confirmed safe ground that was seen lately.

        Rows go north and columns east.
        """
        ranks = np.where(self._safe_frames >= self.options.confirm_frames, np.uint8(0), self._rank)
        return np.where(self._fresh == 0, np.uint8(self._unknown), ranks)

    def clearance_m(self) -> npt.NDArray[np.float32]:
        """Returns the room around each cell in metres, float32 [rows, columns]; below 0 where there is none.

        It is the radius of the largest disc around the cell's centre that keeps the margin of each hazard. It is never
        more than the truth: a hazard counts as if it were in the nearest corner of its cell.
        """
        ranks = cv2.copyMakeBorder(self.obstacles(), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=self._unknown)
        room: npt.NDArray[np.float32] | None = None
        cell = self.cell_m
        for rank, margin in enumerate(self.hazards.ranked_margins_m, 1):
            free = (ranks < rank).astype(np.uint8)
            cells = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_5)
            # A hazard may be anywhere in its cell, as near as the corner.
            distance = np.asarray(
                cells * (cell * (1 - _CHAMFER_ERROR)) - (cell * _HALF_DIAGONAL + margin), np.float32
            )
            room = distance if room is None else np.minimum(room, distance)
        assert room is not None
        return room[1:-1, 1:-1]

    def cell_of(self, north_m: float, east_m: float) -> tuple[int, int] | None:
        """Returns the row and column of the cell at a point of the ground; None outside the map."""
        row = math.floor(north_m / self.cell_m) - self._window.north
        column = math.floor(east_m / self.cell_m) - self._window.east
        inside = 0 <= row < self._window.rows and 0 <= column < self._window.columns
        return (row, column) if inside else None

    def ground_at(self, row: int, column: int) -> tuple[float, float]:
        """Returns the centre of a cell, metres north and east."""
        cell = self.cell_m
        return (self._window.north + row + 0.5) * cell, (self._window.east + column + 0.5) * cell

    def offsets_m(self, north_m: float, east_m: float) -> npt.NDArray[np.float32]:
        """Returns the distance of each cell from a point of the ground, float32 [rows, columns], in metres."""
        cell, window = self.cell_m, self._window
        rows = (np.arange(window.rows, dtype=np.float32) + (window.north + 0.5)) * cell - north_m
        columns = (np.arange(window.columns, dtype=np.float32) + (window.east + 0.5)) * cell - east_m
        return np.asarray(np.sqrt(np.add.outer(rows * rows, columns * columns)), np.float32)


def _middle(ground_from_pixel: Matrix, shape_hw: tuple[int, ...]) -> npt.NDArray[np.float64] | None:
    """Returns the ground in the middle of a frame, float64 [2]; None if there is none."""
    x, y, depth = ground_from_pixel @ (shape_hw[1] / 2 - 0.5, shape_hw[0] / 2 - 0.5, 1)
    return np.array([x, y]) / depth if depth > 1e-9 else None


def _extent(
    ground_from_pixel: Matrix, shape_hw: tuple[int, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Returns the least and the greatest coordinates of the ground in view, float64 [2]; None if it has no end."""
    height, width = shape_hw[:2]
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]]) - [[0.5], [0.5], [0]]
    x = ground_from_pixel @ corners
    if x[2].min() <= 1e-9:
        return None
    ground = x[:2] / x[2]
    return ground.min(1), ground.max(1)


class _Spread:
    """Spreads the hazards of a class map so far that no cell of the ground is missed, and takes a lens's bend out.

    A cell takes the pixel at its middle. A hazard at its corner must reach that pixel, so hazards grow by half a
    cell's diagonal.

    Args:
        camera: the camera.
        reach_px: pixels by which hazards grow to each side.
    """

    def __init__(self, camera: CameraModel, reach_px: int) -> None:
        self.camera, self.reach_px = camera, reach_px
        self._kernel = np.ones((2 * reach_px + 1, 2 * reach_px + 1), np.uint8)
        self._maps = camera.rectification() if camera.is_distorted else None

    def __call__(self, table: Cells, classes: Cells) -> Cells:
        """Returns the worst rank around each pixel, uint8 [H, W]; 255 where a rectified frame shows nothing."""
        ranks = cv2.dilate(cv2.LUT(classes, table), self._kernel)
        if self._maps is not None:
            ranks = cv2.remap(
                ranks, *self._maps, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=_UNSEEN
            )
        return np.asarray(ranks, np.uint8)
