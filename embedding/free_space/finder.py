"""Finds free space in the class maps of one camera, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ...core.arrays import ClassMap, Doubles
from ...core.errors import UsageError
from ...core.labels import LabelMap
from ...core.pose import VehiclePose
from ...core.rotations import angles_of, quaternion
from ...runtime.clock import now
from ...runtime.findings import MASK_INVALID
from ..camera.optics import Optics
from ..ground import GroundView
from ..pose import Mount
from ..reasons import CAMERA_MISMATCH
from .columns import DRIVABLE, OBSTACLE, UNKNOWN, Kinds, boundary_of, kinds_of, turned_kinds
from .finding import NO_ROAD_IN_VIEW, Ahead, Columns, FreeSpace, Sectors, unknown_columns, unknown_sectors
from .grid import FREE, OCCUPIED, Grid, GridFrame
from .road import RoadGeometry, RoadOptions
from .road_view import Bearings

"""The name of the finding."""

_SAME_ANGLE = math.radians(0.05)
_SAME_HEIGHT = 0.005
"""A pose that differs by less, in radians and as a share, needs no new geometry."""
_ROUNDING_M = 1e-6


class FreeSpaceFinder:
    """Finds free space, frame by frame.

    Args:
        labels: the classes of the class maps.
        drivable: names of the classes that may be driven on.
        optics: the camera.
        mount: its place on the vehicle.
        options: the road's.

    Raises:
        UsageError: a name is not a class of the label map.

    Example:
        >>> finder = FreeSpaceFinder(labels, ["road"], Optics(camera), Mount.tilted(5), RoadOptions(height_m=1.4))
        >>> space = finder.update(result.classes, result.captured_at)
    """

    def __init__(
        self, labels: LabelMap, drivable: Iterable[str], optics: Optics, mount: Mount, options: RoadOptions
    ) -> None:
        self.options = options
        self._table = kinds_of(labels, drivable)
        self._optics, self._mount = optics, mount
        self._level: RoadGeometry | None = None
        self._moved: RoadGeometry | None = None
        self._sequence = -1

    def update(
        self,
        classes: ClassMap,
        captured_at: float,
        *,
        valid: bool = True,
        pose: VehiclePose | None = None,
    ) -> FreeSpace:
        """Takes a frame's result.

        Args:
            classes: uint8 [H, W], the class map.
            captured_at: when the frame was captured, ``edgeseg.now()`` in seconds.
            valid: False if the class map may not be acted on.
            pose: of the vehicle above a level road at that time, for its roll, pitch and height; None for a vehicle
                that stands on the road as at rest, whatever the road's slope.
        """
        self._sequence += 1
        size_hw = (classes.shape[0], classes.shape[1])
        try:
            level = self._level_geometry(size_hw)
        except UsageError:
            return self._nothing(CAMERA_MISMATCH, captured_at, size_hw)
        if not valid:
            return self._nothing(MASK_INVALID, captured_at, size_hw)
        geometry = level if pose is None else self._geometry_at(pose, level)
        if not geometry.sees_road:
            return self._nothing(NO_ROAD_IN_VIEW, captured_at, size_hw)
        turned = turned_kinds(classes, self._table)
        columns = _columns(geometry, turned)
        first_m, kinds = geometry.scan(turned)
        grid = geometry.grid(first_m, kinds == OBSTACLE)
        return FreeSpace(
            True, "", captured_at, self._sequence, max(0.0, now() - captured_at), columns,
            _sectors(geometry, first_m, kinds), grid, geometry.grid.frame,
            _ahead(columns, geometry, grid, self.options.width_m), geometry.known_m, self.options.pitch_error_deg,
            size_hw, self.options.told_within_s,
        )  # fmt: skip

    def _nothing(self, reason: str, captured_at: float, size_hw: tuple[int, int]) -> FreeSpace:
        """Returns a result of which nothing is known, of the form that the valid ones have."""
        level = self._level
        bearings = level.bearings if level else Bearings(0.0, math.radians(self.options.sector_deg), 0)
        frame = level.grid.frame if level else GridFrame(0.0, 0.0, self.options.cell_m, 0, 0)
        return FreeSpace(
            False, reason, captured_at, self._sequence, max(0.0, now() - captured_at), unknown_columns(size_hw[1]),
            unknown_sectors(bearings), frame.unknown(), frame, Ahead(), level.known_m if level else 0.0,
            self.options.pitch_error_deg, size_hw, self.options.told_within_s,
        )  # fmt: skip

    def _level_geometry(self, size_hw: tuple[int, int]) -> RoadGeometry:
        """Returns the geometry of the vehicle at rest, for frames of a size."""
        if self._level is None or self._level.ground.camera.size_hw != size_hw:
            options, camera = self.options, self._optics.for_frames(size_hw)
            attitude = quaternion(math.radians(options.roll_deg), 0.0, 0.0)
            at_reference = GroundView.of(camera, self._mount, VehiclePose(0.0, attitude, 0.0))
            self._level = RoadGeometry(replace(at_reference, height_m=options.height_m), options)
            self._moved = None
        return self._level

    def _geometry_at(self, pose: VehiclePose, level: RoadGeometry) -> RoadGeometry:
        """Returns the geometry of the vehicle as it is tilted, with the sectors and the grid of the vehicle at rest."""
        roll, pitch, _ = angles_of(pose.attitude)
        here = VehiclePose(pose.at, quaternion(roll, pitch, 0.0), pose.height_m)
        ground = GroundView.of(level.ground.camera, self._mount, here)
        for geometry in (self._moved, level):
            if geometry is not None and _is_same(geometry.ground, ground):
                return geometry
        self._moved = RoadGeometry(ground, self.options, level)
        return self._moved


def _is_same(one: GroundView, other: GroundView) -> bool:
    turn = one.world_from_camera.T @ other.world_from_camera
    angle = math.acos(max(-1.0, min(1.0, (float(np.trace(turn)) - 1) / 2)))
    return angle <= _SAME_ANGLE and abs(one.height_m - other.height_m) <= _SAME_HEIGHT * one.height_m


def _columns(geometry: RoadGeometry, turned: Kinds) -> Columns:
    rows, kinds = boundary_of(turned, geometry.bonnet_px)
    extents, index = geometry.extents, np.arange(len(rows))
    near = extents.near_m[rows, index]
    within = (kinds == OBSTACLE) & (near <= geometry.reach_m)
    distance = np.where(within, near, np.float32(np.inf))
    distance[kinds == UNKNOWN] = np.nan
    middle = (extents.right[rows, index] + extents.left[rows, index]) / 2
    return Columns(rows, kinds, distance, np.where(within, middle, np.float32(np.nan)))


def _sectors(geometry: RoadGeometry, first_m: Doubles, kinds: Kinds) -> Sectors:
    view, scan = geometry.view, geometry.scan
    near = view.nearest(first_m)
    free = np.minimum(near, view.nearest(scan.seen_to_m))
    free = np.where(free > view.farthest(scan.seen_from_m), free, 0.0)
    # Nothing within reach is said only of sectors that are in view up to there.
    to_end = scan.seen_to_m >= geometry.reach_m
    clear = (kinds == DRIVABLE) & ~to_end
    unknown = (kinds == UNKNOWN) | clear | ~np.isfinite(scan.seen_from_m) & (kinds == DRIVABLE)
    distance = np.where(unknown, np.nan, first_m)
    nearest = np.where(np.isfinite(distance), near, distance)
    return Sectors(
        geometry.bearings, distance.astype(np.float32), nearest.astype(np.float32), free.astype(np.float32)
    )


def _ahead(columns: Columns, geometry: RoadGeometry, grid: Grid, width_m: float) -> Ahead:
    """Returns what is in the strip ahead: free by the grid's cells, obstacles by the frame's columns."""
    frame = geometry.grid.frame
    half = width_m / 2 - _ROUNDING_M
    rows = (frame.ys[1:] > -half) & (frame.ys[:-1] < half)
    strip = grid[rows]
    free = (strip == FREE).all(axis=0)
    first = int(free.argmax())
    blocked = bool((strip[:, : first + 1] == OCCUPIED).any())
    x, y = geometry.camera_m
    with np.errstate(invalid="ignore"):
        across = y + columns.distance_m * np.sin(columns.bearing)
        along = x + columns.distance_m * np.cos(columns.bearing)
        inside = np.abs(across) <= width_m / 2
    obstacle = float(along[inside].min(initial=np.inf))
    if not free.any() or blocked:
        return Ahead(obstacle_m=obstacle if math.isfinite(obstacle) else math.nan)
    last = first + int(np.append(free[first:], False).argmin())
    return Ahead(float(frame.xs[first]), float(frame.xs[last]), obstacle)
