"""The landing finder: keeps a map of the hazards around the vehicle, and chooses a spot on it frame by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...core.labels import LabelMap
from ...core.pose import VehiclePose
from ...runtime.findings import MASK_INVALID
from ..camera.model import CameraModel
from ..ground import GroundView
from ..pose import Mount
from .hazard_map import HazardMap
from .hazards import HazardTable
from .options import LandingOptions
from .spot import NO_CLEAR_AREA, TILTED, TOO_HIGH, TOO_LOW, UNSTABLE, LandingSpot


@dataclass(frozen=True)
class _Choice:
    """The spot that is kept.

    Attributes:
        ground_m: its place, metres north and east.
        since: when it was chosen.
        chosen_m: its place when it was chosen.
    """

    ground_m: tuple[float, float]
    since: float
    chosen_m: tuple[float, float]


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
            self._choice = _Choice(self._choice.ground_m, captured_at, self._choice.ground_m)
        return LandingSpot(False, reason, captured_at, switches=self.switches)

    def _choose(self, view: GroundView, pose: VehiclePose, at: float) -> LandingSpot:
        clearance = self.map.clearance_m()
        if not clearance.size:
            return self._none(TILTED, at)
        offset = self.map.offsets_m(pose.north_m, pose.east_m)
        required = self._required_m(offset, pose.height_m)
        spare = np.asarray(clearance - required, np.float32)
        kept = self._kept(spare)
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
            ground_m = self.map.ground_at(*chosen)
            self._change(_Choice(ground_m, at, ground_m))
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

    def _kept(self, spare: npt.NDArray[np.float32]) -> tuple[int, int] | None:
        """Returns the cell of the spot that was chosen before, moved if need be; None if it is not clear any more."""
        if self._choice is None:
            return None
        cell = self.map.cell_of(*self._choice.ground_m)
        if cell is not None and spare[cell] >= 0:
            return cell
        from_chosen = self.map.offsets_m(*self._choice.chosen_m)
        near = (spare >= 0) & (from_chosen <= self.options.shift_m)
        if not near.any():
            return None
        distance = np.where(near, self.map.offsets_m(*self._choice.ground_m), np.inf)
        row, column = divmod(int(distance.argmin()), distance.shape[1])
        self._choice = replace(self._choice, ground_m=self.map.ground_at(row, column))
        return row, column

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
