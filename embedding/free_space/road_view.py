"""The road as a camera sees it: flat, in polar coordinates around the point below the camera.

Distances are metres along the ground from that point. Bearings are radians from straight ahead, positive to the left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ...core.arrays import Doubles, Floats, Matrix
from ..camera.model import CameraModel

_SAME_DIRECTION = 1e-3
"""A direction counts as seen if the pixel at which it is projected looks there, to this share: lenses fold back."""
_EXTENT_STEPS = 400
_LATTICE_PX = 4
_ROUNDING = 1e-6
"""Pixels reach into a sector by more, in radians: the edge of two pixels may lie where two sectors meet."""
_FAR_M = 1e9
"""Stands for infinity in products with 0."""


@dataclass(frozen=True)
class RoadView:
    """A camera above a flat road.

    Attributes:
        camera: for frames of its own size.
        level_from_camera: float64 [3, 3], turns the camera's directions into ahead, right, down of a level vehicle.
        height_m: of the camera above the road.
        pitch_error: by which the pitch may be wrong, in radians.
        bonnet_px: rows at the lower edge of the frame that show the vehicle itself.
    """

    camera: CameraModel
    level_from_camera: Matrix
    height_m: float
    pitch_error: float
    bonnet_px: int = 0

    def nearest(self, distance_m: Doubles | Floats) -> Doubles:
        """Returns how near points may truly be that are seen at a distance, for the worst error of the pitch."""
        turn = np.tan(self.pitch_error)
        distance = np.minimum(np.asarray(distance_m, np.float64), _FAR_M)
        near = self.height_m * (distance - self.height_m * turn) / (self.height_m + turn * distance)
        return np.asarray(np.maximum(near, 0.0))

    def farthest(self, distance_m: Doubles | Floats) -> Doubles:
        """Returns how far points may truly be that are seen at a distance; infinite if at the horizon."""
        turn = np.tan(self.pitch_error)
        distance = np.minimum(np.asarray(distance_m, np.float64), _FAR_M)
        left = self.height_m - turn * distance
        with np.errstate(divide="ignore", invalid="ignore"):
            far = self.height_m * (distance + self.height_m * turn) / left
        return np.asarray(np.where((left > 0) & (distance < _FAR_M), far, np.inf))

    def pixel_extents(self) -> PixelExtents:
        """Returns the extents on the road of all pixels of a frame."""
        ahead, right, down = np.moveaxis(
            _corner_rays(self.camera) @ self.level_from_camera.T.astype(np.float32), -1, 0
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.float32(self.height_m) * np.hypot(ahead, right) / down
            seen = down > 1e-6  # False for NaN too
        return PixelExtents.of_corners(
            np.where(seen, distance, np.float32(np.inf)),
            np.where(seen, np.arctan2(-right, ahead), np.float32(np.nan)),
        )

    def is_in_view(self, distance_m: Doubles, bearing: Doubles) -> npt.NDArray[np.bool_]:
        """Tells which points of the road are in view, the vehicle's own bonnet not in their way.

        Args:
            distance_m, bearing: float64 [N] each.

        Returns:
            bool [N].
        """
        level = np.column_stack(
            [
                distance_m * np.cos(bearing),
                -distance_m * np.sin(bearing),
                np.full(len(distance_m), self.height_m),
            ]
        )
        rays = level @ self.level_from_camera
        uv = self.camera.project(rays)
        height, width = self.camera.size_hw
        with np.errstate(invalid="ignore"):
            inside = (uv[:, 0] >= -0.5) & (uv[:, 0] <= width - 0.5) & (uv[:, 1] >= -0.5)
            inside &= uv[:, 1] <= height - 0.5 - self.bonnet_px
        if self.camera.is_distorted and inside.any():
            # Far outside of the view, the polynomials of a lens bend points back into the frame.
            again = self.camera.rays(uv[inside])
            flat = rays[inside, :2] / rays[inside, 2:]
            with np.errstate(invalid="ignore"):
                inside[inside] = np.hypot(*(again[:, :2] - flat).T) <= _SAME_DIRECTION * (
                    1 + np.hypot(*flat.T)
                )
        return np.asarray(inside)


@lru_cache(maxsize=2)
def _corner_rays(camera: CameraModel) -> Floats:
    """Returns the directions of the corners of a camera's pixels, float32 [H + 1, W + 1, 3], with z = 1.

    Brown's distortion takes long to undo, so each fourth corner is computed and those between are interpolated. The
    error is below a hundredth of a pixel.
    """
    height, width = camera.size_hw
    step = _LATTICE_PX if camera.model == "brown" else 1
    rows, columns = (np.arange(-(-side // step) + 1) * step - 0.5 for side in (height, width))
    across, along = np.meshgrid(columns, rows)
    rays = camera.rays(np.column_stack([across.ravel(), along.ravel()])).reshape(*across.shape, 3)
    rays = _between(rays, step, height + 1)
    return np.ascontiguousarray(_between(rays.swapaxes(0, 1), step, width + 1).swapaxes(0, 1), np.float32)


def _between(lattice: Doubles, step: int, count: int) -> Doubles:
    """Interpolates along the first axis, between entries that are ``step`` apart."""
    index, rest = np.divmod(np.arange(count), step)
    share = (rest / step)[:, None, None]
    after = np.minimum(index + 1, len(lattice) - 1)
    return np.asarray(lattice[index] + share * (lattice[after] - lattice[index]))


@dataclass(frozen=True)
class PixelExtents:
    """The extents on the road of the pixels of a frame, float32 [H, W] each.

    Attributes:
        near_m: distance of the nearest corner; infinite for a pixel above the horizon.
        right, left: the bearings between which it lies; NaN where ``near_m`` is infinite.
    """

    near_m: Floats
    right: Floats
    left: Floats

    @classmethod
    def of_corners(cls, distance_m: Floats, bearing: Floats) -> PixelExtents:
        """Returns the extents by the corners of pixels, float32 [H + 1, W + 1] each."""
        near = _over_corners(np.fmin, distance_m)
        right, left = _over_corners(np.fmin, bearing), _over_corners(np.fmax, bearing)
        # A pixel across the line straight behind, or the one below the camera, may lie at any bearing.
        around = left - right > np.pi
        return cls(
            near,
            np.where(around, np.float32(-np.pi), right),
            np.where(around, np.float32(np.pi), left),
        )


def _over_corners(join: np.ufunc, corners: Floats) -> Floats:
    rows = join(corners[:-1], corners[1:])
    return np.asarray(join(rows[:, :-1], rows[:, 1:]), np.float32)


@dataclass(frozen=True)
class Bearings:
    """Equal sectors around the camera, from right to left.

    Attributes:
        first: bearing of the right edge of the first sector, in radians.
        step: width of a sector, in radians.
        count: number of sectors.
    """

    first: float
    step: float
    count: int

    @property
    def middles(self) -> Doubles:
        """The bearings in the middle of the sectors, float64 [count], in radians."""
        return np.asarray(self.first + (np.arange(self.count) + 0.5) * self.step)

    @property
    def edges(self) -> Doubles:
        """The bearings between the sectors, float64 [count + 1], in radians."""
        return np.asarray(self.first + np.arange(self.count + 1) * self.step)

    def index_of(self, bearing: Doubles | Floats) -> npt.NDArray[np.int64]:
        """Returns the sector of each bearing; below 0 or ``count`` and more for those outside."""
        return np.floor((np.asarray(bearing, np.float64) - self.first) / self.step).astype(np.int64)


class SectorScan:
    """Finds the nearest pixel that is not drivable in each sector, exactly: no pixel is left out.

    A pixel that reaches into two sectors counts in both.

    Args:
        view: the camera above the road.
        extents: of the view's pixels.
        bearings: the sectors.
        reach_m: the distance up to which is looked.

    Attributes:
        seen_from_m, seen_to_m: the part of each sector that is in view as a whole, float64 [count]; the first is
            infinite if there is none.
    """

    def __init__(self, view: RoadView, extents: PixelExtents, bearings: Bearings, reach_m: float) -> None:
        height = len(extents.near_m)
        rows, columns = np.nonzero(extents.near_m[: height - view.bonnet_px] <= reach_m)
        first = bearings.index_of(extents.right[rows, columns] + _ROUNDING)
        last = bearings.index_of(extents.left[rows, columns] - _ROUNDING)
        first, last = np.maximum(first, 0), np.minimum(last, bearings.count - 1)
        inside = first <= last
        rows, columns, first, last = rows[inside], columns[inside], first[inside], last[inside]
        spans = last - first + 1
        pixels = np.repeat((columns * height + (height - 1 - rows)).astype(np.int32), spans)
        sectors = np.repeat(first, spans) + ramps(spans)
        near = np.repeat(extents.near_m[rows, columns], spans)
        order = np.argsort(sectors * (reach_m + 1.0) + near)
        self._pixels, self._near_m = pixels[order], near[order]
        self._ends = np.searchsorted(sectors[order], np.arange(bearings.count + 1))
        self.seen_from_m, self.seen_to_m = _seen(view, bearings, reach_m)

    def __call__(self, turned: npt.NDArray[np.uint8]) -> tuple[Doubles, npt.NDArray[np.uint8]]:
        """Returns the distance of the nearest pixel that is not drivable, and its kind.

        Args:
            turned: uint8 [W, H], the kinds of the frame's pixels, of :func:`.free_columns.turned_kinds`.

        Returns:
            float64 [count], infinite where there is none within reach; uint8 [count], which is then 0.
        """
        if not len(self._pixels):
            return np.full(len(self._ends) - 1, np.inf), np.zeros(len(self._ends) - 1, np.uint8)
        kinds = turned.ravel().take(self._pixels)
        hits = np.append(np.flatnonzero(kinds != 0), len(kinds))
        at = hits[np.searchsorted(hits, self._ends[:-1])]
        found = at < self._ends[1:]
        at = np.where(found, at, 0)
        return np.where(found, self._near_m[at], np.inf), np.where(found, kinds[at], np.uint8(0))


def ramps(spans: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns 0, 1, …, n - 1 for each n of ``spans``, one after the other."""
    starts = np.cumsum(spans) - spans
    return np.asarray(np.arange(int(spans.sum())) - np.repeat(starts, spans))


def _seen(view: RoadView, bearings: Bearings, reach_m: float) -> tuple[Doubles, Doubles]:
    """Returns from where to where each sector is in view as a whole, float64 [count] each."""
    # Equal steps of the angle below the horizon are about as fine everywhere in the frame.
    angles = np.linspace(math.atan2(view.height_m, reach_m), math.pi / 2, _EXTENT_STEPS)[::-1]
    distances = view.height_m / np.tan(angles)
    distances[[0, -1]] = 0.0, reach_m
    at, towards = np.meshgrid(distances, bearings.edges)
    inside = view.is_in_view(at.ravel(), towards.ravel()).reshape(at.shape)
    starts, stops = np.full(bearings.count, np.inf), np.zeros(bearings.count)
    for sector, both in enumerate(inside[:-1] & inside[1:]):
        if both.any():
            first = int(both.argmax())
            gap = int(both[first:].argmin())  # 0 if there is none
            starts[sector] = distances[first]
            stops[sector] = distances[first + gap - 1] if gap else reach_m
    return starts, stops
