"""The landing spot: where a vehicle can land now, or the reason why nowhere.

A class map knows nothing of slope, wires, and surfaces that the network was not taught. A spot is a place whose
*classes* are safe, on ground taken for flat; a range or depth sensor has to judge the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...runtime.findings import MASK_INVALID, Finding, Outline
from ..ground import GroundView
from ..reasons import CAMERA_MISMATCH, NO_ATTITUDE, NO_HEIGHT, NO_POSITION
from ..reasons import MEANING as SHARED

TOO_LOW = "too-low"
TOO_HIGH = "too-high"
TILTED = "tilted"
NO_CLEAR_AREA = "no-clear-area"
UNSTABLE = "unstable"

MEANING = {
    **{reason: SHARED[reason] for reason in (NO_ATTITUDE, NO_HEIGHT, NO_POSITION)},
    MASK_INVALID: "the class map is not valid",
    TOO_LOW: "the view is smaller than the footprint, and the memory of the ground around it has faded",
    TOO_HIGH: "a hazard that has to be seen would be smaller than the network can see",
    TILTED: "the camera does not look at the ground",
    NO_CLEAR_AREA: "no ground in view is large enough and free of hazards",
    UNSTABLE: "a spot was found, and has not held long enough",
    CAMERA_MISMATCH: SHARED[CAMERA_MISMATCH],
}
"""The meaning of each reason, as text. Reasons are part of the interface: words are added, never changed."""


_TURN = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_CIRCLE = np.column_stack([np.cos(_TURN), np.sin(_TURN)])


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

    blind_to: ClassVar[str] = "slope, wires, untaught surfaces"

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
