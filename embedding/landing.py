"""The landing spot: where a vehicle can land now, or the reason why nowhere.

A class map knows nothing of slope, wires, and surfaces that the network was not taught. A spot is a place whose
*classes* are safe, on ground taken for flat; a range or depth sensor has to judge the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import UsageError
from ..core.labels import LabelMap
from ..core.pose import VehiclePose
from ..runtime.findings import MASK_INVALID, Finding, Outline
from .camera import CameraModel
from .ground import GroundView
from .hazard_map import HazardMap, MapOptions
from .hazards import HazardTable
from .pose import Mount

TOO_LOW = "too-low"
TOO_HIGH = "too-high"
TILTED = "tilted"
NO_CLEAR_AREA = "no-clear-area"
UNSTABLE = "unstable"
CAMERA_MISMATCH = "camera-mismatch"

MEANING = {
    "no-attitude": "no attitude from the time of the frame",
    "no-height": "no height from the time of the frame",
    "no-position": "no position from the time of the frame",
    MASK_INVALID: "the class map is not valid",
    TOO_LOW: "the view is smaller than the footprint, and the memory of the ground around it has faded",
    TOO_HIGH: "a hazard that has to be seen would be smaller than the network can see",
    TILTED: "the camera does not look at the ground",
    NO_CLEAR_AREA: "no ground in view is large enough and free of hazards",
    UNSTABLE: "a spot was found, and has not held long enough",
    CAMERA_MISMATCH: "the frames have another aspect ratio than the camera's calibration",
}
"""The meaning of each reason, as text. Reasons are part of the interface: words are added, never changed."""


_TURN = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_CIRCLE = np.column_stack([np.cos(_TURN), np.sin(_TURN)])


@dataclass(frozen=True)
class LandingOptions:
    """The vehicle, the errors of its sensors, and the patience of the choice.

    Attributes:
        radius_m: of the vehicle with its propellers.
        position_error_m: how far it may touch down from where it aims.
        height_error: share of the height by which the height may be wrong.
        attitude_error_deg: by which the attitude may be wrong.
        smallest_hazard_m: extent of the smallest hazard that has to be seen.
        hazard_px: pixels that the network needs to see a hazard.
        settle_s: seconds for which a spot has to hold before it is given.
        better: a spot is left for another one only if it is lost, or if the other has so many times its clearance
            while its own is below ``ample`` times what is required. Once the footprint fills the view it is left only
            if it is lost.
        ample: see ``better``.
        distance_weight: metres of clearance that a metre of way to a spot is worth.
        map: grid and memory; None for cells that suit the radius.
    """

    radius_m: float = 1.0
    position_error_m: float = 0.3
    height_error: float = 0.03
    attitude_error_deg: float = 1.0
    smallest_hazard_m: float = 0.5
    hazard_px: float = 4.0
    settle_s: float = 0.5
    better: float = 1.3
    ample: float = 1.2
    distance_weight: float = 0.15
    map: MapOptions | None = None

    def __post_init__(self) -> None:
        bounds = {
            "radius_m": (0.05, 50), "position_error_m": (0, 50), "height_error": (0, 0.5),
            "attitude_error_deg": (0, 20), "smallest_hazard_m": (0.01, 50), "hazard_px": (1, 1000),
            "settle_s": (0, 60), "better": (1, 100), "ample": (1, 100), "distance_weight": (0, 10),
        }  # fmt: skip
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"landing: {name} is {getattr(self, name)}; expected {least} to {most}")

    @property
    def map_options(self) -> MapOptions:
        """The options of the hazard map. A footprint is at least 48 of the smallest cells across."""
        return self.map or MapOptions(cell_m=min(0.0625, max(0.02, self.radius_m / 24)))


@dataclass(frozen=True)
class LandingSpot(Finding):
    """A spot to land on, or the reason for none, from one frame and those before it.

    Attributes:
        valid: True if the vehicle may go there. Otherwise all other numbers are of the candidate, or NaN.
        reason: the reason if not valid, a word of ``MEANING``; empty if valid.
        captured_at: ``edgeseg.now()`` in seconds when the frame was captured.
        uv_px: pixel column and row of the spot in the frame; it may be outside.
        ground_m: metres north and east from the origin of the vehicle's position.
        frd_m: metres forward, right and down of the vehicle's reference, in the body's own attitude.
        distance_m: from the vehicle to the spot.
        clearance_m: radius of the largest disc around it that keeps the margin of every hazard.
        required_m: the radius that has to be clear: vehicle, position, height and attitude errors.
        persistence_s: seconds since this spot was chosen.
        switches: number of times that a spot was left for another one.
        view: the camera above the ground, to draw the spot; None if there is no spot.
    """

    valid: bool
    reason: str
    captured_at: float
    uv_px: tuple[float, float] = (math.nan, math.nan)
    ground_m: tuple[float, float] = (math.nan, math.nan)
    frd_m: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    distance_m: float = math.nan
    clearance_m: float = math.nan
    required_m: float = math.nan
    persistence_s: float = 0.0
    switches: int = 0
    view: GroundView | None = field(default=None, repr=False, compare=False)

    @property
    def caption(self) -> str:
        """The room around the spot and the way to it, or the reason for none."""
        if not self.valid:
            return f"no landing spot: {self.reason}"
        forward, right, down = self.frd_m
        aside = math.hypot(forward, right)
        return f"landing spot: {self.clearance_m:.1f} m clear, {aside:.1f} m aside, {down:.1f} m below"

    def invalidated(self, reason: str) -> LandingSpot:
        """Returns that there is no spot."""
        return LandingSpot(False, reason, self.captured_at, switches=self.switches)

    def facts(self) -> dict[str, Any]:
        """Returns the spot ready for JSON."""
        return {
            "valid": self.valid,
            "reason": self.reason,
            "uv_px": _rounded(self.uv_px, 1),
            "ground_m": _rounded(self.ground_m),
            "frd_m": _rounded(self.frd_m),
            "distance_m": _rounded([self.distance_m])[0],
            "clearance_m": _rounded([self.clearance_m])[0],
            "required_m": _rounded([self.required_m])[0],
            "persistence_s": round(self.persistence_s, 3),
            "switches": self.switches,
        }

    def outlines(self) -> list[Outline]:
        """Returns what has to be clear as a disc on the ground, and what is clear as a ring around it."""
        if self.view is None:
            return []
        height, width = self.view.camera.size_hw
        rings = []
        for radius_m, bold in ((self.clearance_m, False), (self.required_m, True)):
            pixels = self.view.pixel_of(np.array(self.ground_m) + radius_m * _CIRCLE)
            rings.append(Outline((pixels + 0.5) / (width, height), bold=bold))
        return rings


def _rounded(values: Sequence[float], digits: int = 3) -> list[float | None]:
    """Returns numbers for JSON: None for those that are not known."""
    return [round(float(value), digits) if math.isfinite(value) else None for value in values]


@dataclass(frozen=True)
class _Choice:
    """The spot that is kept: its place on the ground, and when it was chosen."""

    ground_m: tuple[float, float]
    since: float


class LandingFinder:
    """Finds a spot to land on, frame by frame.

    Args:
        labels: the classes of the class maps.
        hazards: the hazard of each class.
        camera: the calibrated camera; frames of another size have the same field of view.
        mount: its place on the vehicle.
        options: the vehicle and the choice.

    Attributes:
        map: the hazards around the vehicle.
        switches: number of times that a spot was left for another one or for none.

    Example:
        >>> finder = LandingFinder(labels, HazardTable.landing_on(labels, ["grass"]), camera, Mount.looking_down())
        >>> spot = finder.update(result.classes, result.captured_at, history.at(result.captured_at))
    """

    def __init__(
        self,
        labels: LabelMap,
        hazards: HazardTable,
        camera: CameraModel,
        mount: Mount,
        options: LandingOptions | None = None,
    ) -> None:
        self.options = options or LandingOptions()
        self.map = HazardMap(labels, hazards, self.options.map_options)
        self._camera, self._mount = camera, mount
        self._choice: _Choice | None = None
        self.switches = 0

    def update(
        self, classes: npt.NDArray[np.uint8] | None, captured_at: float, pose: VehiclePose | str
    ) -> LandingSpot:
        """Takes a frame's result.

        Args:
            classes: uint8 [H, W], the class map; None if the result is not valid.
            captured_at: when the frame was captured, ``edgeseg.now()`` in seconds.
            pose: of the vehicle at that time, or the reason why it is not known.

        Raises:
            UsageError: the class map has another aspect ratio than the camera.
        """
        self.map.age(captured_at)
        if isinstance(pose, str):
            return self._none(pose, captured_at)
        if classes is None:
            return self._none(MASK_INVALID, captured_at)
        height, width = classes.shape
        view = GroundView.of(self._camera.scaled((height, width)), self._mount, pose)
        if reason := self._refusal(view):
            return self._none(reason, captured_at)
        self.map.update(classes, view, captured_at)
        return self._choose(view, pose, captured_at)

    def _refusal(self, view: GroundView) -> str:
        """Returns the reason why a view cannot be judged; empty if it can."""
        height, width = view.camera.size_hw
        middle = np.array([[(width - 1) / 2, (height - 1) / 2]])
        _, coarsest = view.metres_per_pixel(middle)[0]
        if not np.isfinite(coarsest) or view.height_m <= 0:
            return TILTED
        return TOO_HIGH if coarsest * self.options.hazard_px > self.options.smallest_hazard_m else ""

    def _none(self, reason: str, captured_at: float) -> LandingSpot:
        """Returns that there is no spot. One that was kept has to hold anew before it is given again."""
        if self._choice is not None:
            self._choice = _Choice(self._choice.ground_m, captured_at)
        return LandingSpot(False, reason, captured_at, switches=self.switches)

    def _choose(self, view: GroundView, pose: VehiclePose, at: float) -> LandingSpot:
        clearance = self.map.clearance_m()
        if not clearance.size:
            return self._none(TILTED, at)
        offset = self.map.offsets_m(pose.north_m, pose.east_m)
        required = self._required_m(offset, pose.height_m)
        spare = np.asarray(clearance - required, np.float32)
        kept = self._kept(clearance, required)
        best = self._best(spare, clearance, offset)
        # Where the footprint fills the view, a spot grows narrow because the ground around it is out of view. That is
        # no reason to leave it in the last metres.
        low = 2 * float(required.min()) > self._view_m(view)
        chosen = kept
        if best is not None and (
            kept is None or (not low and self._is_better(clearance, required, best, kept))
        ):
            chosen = best
        if chosen is None:
            self._change(None)
            return self._none(TOO_LOW if low else NO_CLEAR_AREA, at)
        if chosen is not kept:
            self._change(_Choice(self.map.ground_at(*chosen), at))
        assert self._choice is not None
        since = at - self._choice.since
        settled = since >= self.options.settle_s
        room = float(clearance[chosen]), float(required[chosen])
        return self._spot(view, pose, "" if settled else UNSTABLE, room, since)

    def _required_m(self, offset_m: npt.NDArray[np.float32], height_m: float) -> npt.NDArray[np.float32]:
        """Returns the radius that has to be clear at each cell, float32 [rows, columns]."""
        options = self.options
        # The ground shifts by the height's error times the tangent of the direction, and by the attitude's error over
        # the slant of the ground: d(h tan a) = h (1 + tan(a)^2) da.
        tangent2 = (offset_m / height_m) ** 2
        turn = math.radians(options.attitude_error_deg) * height_m
        errors = options.height_error * offset_m + turn * (1 + tangent2)
        return np.asarray(options.radius_m + options.position_error_m + errors, np.float32)

    def _kept(
        self, clearance: npt.NDArray[np.float32], required: npt.NDArray[np.float32]
    ) -> tuple[int, int] | None:
        """Returns the cell of the spot that was chosen before; None if there is none that is still clear."""
        if self._choice is None:
            return None
        cell = self.map.cell_of(*self._choice.ground_m)
        return cell if cell is not None and clearance[cell] >= required[cell] else None

    def _best(
        self,
        spare: npt.NDArray[np.float32],
        clearance: npt.NDArray[np.float32],
        offset: npt.NDArray[np.float32],
    ) -> tuple[int, int] | None:
        """Returns the cell of the best spot; None if none is clear. More room than twice the need counts no more."""
        options = self.options
        enough = 2 * (options.radius_m + options.position_error_m)
        score = np.minimum(clearance, enough) - options.distance_weight * offset
        score = np.where(spare >= 0, score, -np.inf)
        index = int(score.argmax())
        row, column = divmod(index, score.shape[1])
        return (row, column) if spare[row, column] >= 0 else None

    def _is_better(
        self,
        clearance: npt.NDArray[np.float32],
        required: npt.NDArray[np.float32],
        best: tuple[int, int],
        kept: tuple[int, int],
    ) -> bool:
        narrow = clearance[kept] < self.options.ample * required[kept]
        return bool(narrow and clearance[best] >= self.options.better * clearance[kept])

    def _change(self, choice: _Choice | None) -> None:
        """Leaves the spot that was kept, if there was one, for another or for none."""
        self.switches += self._choice is not None
        self._choice = choice

    def _view_m(self, view: GroundView) -> float:
        """Returns the shorter side of the view on the ground, in metres; infinite if the horizon is in view."""
        height, width = view.camera.size_hw
        x, y = (width - 1) / 2, (height - 1) / 2
        ends = view.ground_of(np.array([[0.0, y], [2 * x, y], [x, 0.0], [x, 2 * y]]))
        sides = np.linalg.norm(ends[0] - ends[1]), np.linalg.norm(ends[2] - ends[3])
        return float(np.nan_to_num(min(sides), nan=math.inf))

    def _spot(
        self, view: GroundView, pose: VehiclePose, reason: str, room_m: tuple[float, float], held_s: float
    ) -> LandingSpot:
        """Returns the chosen spot as the vehicle sees it; ``room_m`` is its clearance and what is required."""
        assert self._choice is not None
        north, east = self._choice.ground_m
        offset = np.array([north - pose.north_m, east - pose.east_m, pose.height_m])
        forward, right, down = (float(value) for value in pose.world_from_body.T @ offset)
        column, row = (float(value) for value in view.pixel_of(np.array([[north, east]]))[0])
        return LandingSpot(
            not reason, reason, pose.at, (column, row), (north, east), (forward, right, down),
            float(np.linalg.norm(offset)), *room_m, held_s, self.switches, view,
        )  # fmt: skip
