"""Free space: where a road vehicle can drive, as far as a class map of flat ground can tell.

Nothing is taken for free that was not seen: void, what is behind the first obstacle, out of view, hidden by the
vehicle's own bonnet or too far away for the pitch's error is unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...core.arrays import Floats, Frame
from ...runtime.findings import MASK_INVALID, Finding, Outline
from ..reasons import CAMERA_MISMATCH
from ..reasons import MEANING as SHARED
from .columns import UNKNOWN, Kinds
from .drawing import boundary_lines, draw_boundary, draw_grid
from .grid import FREE, NOT_KNOWN, OCCUPIED, Grid, GridFrame
from .road_view import Bearings

NO_ROAD_IN_VIEW = "no-road-in-view"

MEANING = {
    MASK_INVALID: "the class map is not valid",
    CAMERA_MISMATCH: SHARED[CAMERA_MISMATCH],
    NO_ROAD_IN_VIEW: "the camera sees no road within reach; its tilt, height or field of view is wrong",
}
"""The meaning of each reason, as text. Reasons are part of the interface: words are added, never changed."""

_CELLS = {"free": FREE, "occupied": OCCUPIED, "unknown": NOT_KNOWN}


@dataclass(frozen=True, eq=False)
class Columns:
    """The boundary of free space in a frame, column by column from left to right.

    Attributes:
        rows: int32 [W], the row of the first pixel from below that is not drivable; -1 if there is none, or if nothing
            is known.
        kinds: uint8 [W]: what is there: ``DRIVABLE`` (nothing), ``OBSTACLE`` or ``UNKNOWN``.
        distance_m: float32 [W], along the ground from the point below the camera; infinite if there is nothing within
            reach, NaN if unknown.
        bearing: float32 [W], in radians, positive to the left; NaN where ``distance_m`` is not finite.
    """

    rows: npt.NDArray[np.int32]
    kinds: Kinds
    distance_m: Floats
    bearing: Floats


@dataclass(frozen=True, eq=False)
class Sectors:
    """The free space around the camera in equal sectors, from right to left.

    Attributes:
        bearings: the sectors.
        distance_m: float32 [count], of the first obstacle, along the ground from the point below the camera; infinite
            if there is none within reach, NaN if unknown.
        nearest_m: float32 [count], the same for the worst error of the pitch.
        free_m: float32 [count], the distance up to which all is free, whatever the pitch's error; 0 if that is not
            known of any.
    """

    bearings: Bearings
    distance_m: Floats
    nearest_m: Floats
    free_m: Floats


@dataclass(frozen=True)
class Ahead:
    """The free space in the strip that the vehicle would take straight ahead, in metres from its reference.

    Attributes:
        free_from_m: where it begins to be seen in all its width; NaN if nowhere.
        free_to_m: up to where it is free from there on, whatever the pitch's error; 0 if it is not known to be.
        obstacle_m: the first obstacle in it; infinite if there is none within reach, NaN if not known.
    """

    free_from_m: float = math.nan
    free_to_m: float = 0.0
    obstacle_m: float = math.nan


@dataclass(frozen=True, eq=False)
class FreeSpace(Finding):
    """The free space that a frame shows, or the reason for none.

    The ground is taken for flat. Frames: x ahead and y to the left of the vehicle's reference, as in ROS's base_link.

    Attributes:
        valid: True if it may be acted on. Otherwise all of it is unknown.
        reason: the reason if not valid, a word of ``MEANING``; empty if valid.
        captured_at: ``edgeseg.now()`` in seconds when the frame was captured.
        sequence: number of this result, from 0. A consumer that sees one twice has seen nothing new.
        age_s: seconds from the capture to this result.
        columns: the boundary in the frame.
        sectors: distances by bearing.
        grid: int8 [rows, columns], 0 free, 100 occupied, -1 unknown; rows go to the left and columns ahead.
        grid_frame: its place.
        ahead: the strip ahead.
        reach_m: the distance beyond which all is unknown, the pitch's error taken off.
        pitch_error_deg: by which the pitch may be wrong.
        size_hw: height and width of the frame.
        told_within_s: the longest time from a fault of the run to its being told; None if unknown.
    """

    valid: bool
    reason: str
    captured_at: float
    sequence: int
    age_s: float
    columns: Columns
    sectors: Sectors
    grid: Grid
    grid_frame: GridFrame
    ahead: Ahead
    reach_m: float
    pitch_error_deg: float
    size_hw: tuple[int, int]
    told_within_s: float | None = None

    blind_to: ClassVar[str] = "slope, holes, untaught surfaces"

    @property
    def caption(self) -> str:
        """One short line for people."""
        if not self.valid:
            return f"free space: {self.reason}"
        if self.ahead.free_to_m > 0:
            return f"free ahead to {self.ahead.free_to_m:.1f} m"
        if math.isfinite(self.ahead.obstacle_m):
            return f"not free ahead: obstacle at {self.ahead.obstacle_m:.1f} m"
        return "not free ahead"

    def invalidated(self, reason: str) -> FreeSpace:
        """Returns the same result as not valid, all of it unknown.

        Args:
            reason: a word.
        """
        return replace(
            self,
            valid=False,
            reason=reason,
            columns=unknown_columns(len(self.columns.rows)),
            sectors=unknown_sectors(self.sectors.bearings),
            grid=self.grid_frame.unknown(),
            ahead=Ahead(),
        )

    def facts(self) -> dict[str, Any]:
        """Returns the numbers ready for JSON, without the arrays. Unknown numbers are None."""
        kinds = np.bincount(self.columns.kinds, minlength=3).tolist()
        cells = {name: int((self.grid == value).sum()) for name, value in _CELLS.items()}
        return {
            "valid": self.valid,
            "reason": self.reason,
            "sequence": self.sequence,
            "age_s": round(self.age_s, 4),
            "told_within_s": self.told_within_s,
            "free_from_m": _known(self.ahead.free_from_m),
            "free_to_m": _known(self.ahead.free_to_m) if self.valid else None,
            "obstacle_m": _known(self.ahead.obstacle_m),
            "reach_m": _known(self.reach_m),
            "pitch_error_deg": self.pitch_error_deg,
            "ground": "flat",
            "columns": dict(zip(("free", "obstacle", "unknown"), kinds, strict=True)),
            "cells": cells,
        }

    def outlines(self) -> list[Outline]:
        """Returns the boundary, for the preview page; the overlay has its own drawing."""
        if not self.valid:
            return []
        lines = boundary_lines(self.columns.rows, self.columns.kinds, self.size_hw)
        return [Outline(line, closed=False, bold=True) for line in lines]

    def draw(self, canvas_bgr: Frame) -> None:
        """Draws the boundary and a small bird's-eye grid over the overlay, in place; nothing if not valid.

        Args:
            canvas_bgr: uint8 [H, W, 3], of the frame's size or smaller, with the same aspect ratio.
        """
        if self.valid:
            draw_boundary(canvas_bgr, self.columns.rows, self.columns.kinds, self.size_hw)
            draw_grid(canvas_bgr, self.grid, self.grid_frame)


def _known(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def unknown_columns(width: int) -> Columns:
    """Returns the columns of a frame of which nothing is known."""
    unknown = np.full(width, np.nan, np.float32)
    return Columns(np.full(width, -1, np.int32), np.full(width, UNKNOWN, np.uint8), unknown, unknown)


def unknown_sectors(bearings: Bearings) -> Sectors:
    """Returns sectors of which nothing is known."""
    unknown = np.full(bearings.count, np.nan, np.float32)
    return Sectors(bearings, unknown, unknown, np.zeros(bearings.count, np.float32))
