"""Flights over new places: how often there is a spot, how steady it is, and how often it is unsafe."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ...data.aerial.labels import AERIAL_LABELS
from ...embedding.ground import GroundView
from ...embedding.landing.finder import LandingFinder
from ...embedding.landing.options import LandingOptions
from ...embedding.landing.spot import LandingSpot
from .judge import footprint_is_in_view, footprint_is_unsafe
from .views import Masks
from .world import MOUNT, Flight, View, camera_of, hazards

JUMP_M = 2.0
"""A spot that moves farther than this from one frame to the next has jumped."""


@dataclass(frozen=True)
class FlightPlan:
    """The flights of a measurement.

    Attributes:
        flights: number of flights, each over a new place.
        frames: of each flight.
        fps: frames a second that are segmented.
        size_hw: height and width of the frames.
        options: of the landing finder.
        margin_m: the margin of every hazard.
    """

    flights: int
    frames: int
    fps: float
    size_hw: tuple[int, int]
    options: LandingOptions
    margin_m: float


@dataclass
class FlightTally:
    """The counts over flights.

    Attributes:
        frames: number of frames.
        found: frames with a valid spot.
        judged: valid spots whose footprint was in view, so that the frame's truth judges them.
        unsafe: of those, spots with a truly unsafe pixel under the footprint.
        pairs: pairs of frames in a row that both have a valid spot.
        jumps: pairs whose spots are more than ``JUMP_M`` apart.
        first_s: seconds to the first spot, of each flight that had one.
    """

    frames: int = 0
    found: int = 0
    judged: int = 0
    unsafe: int = 0
    pairs: int = 0
    jumps: int = 0
    first_s: list[float] = field(default_factory=list)

    def add(self, spot: LandingSpot, before: LandingSpot | None, view: View, radius_m: float) -> None:
        """Counts one frame of a flight."""
        self.frames += 1
        if not spot.valid:
            return
        self.found += 1
        if before is not None and before.valid:
            self.pairs += 1
            self.jumps += math.dist(spot.ground_m, before.ground_m) > JUMP_M
        seen = GroundView.of(camera_of(view.truth.shape), MOUNT, view.pose)
        if footprint_is_in_view(seen, spot.ground_m, radius_m):
            self.judged += 1
            self.unsafe += footprint_is_unsafe(view.truth, seen, spot.ground_m, radius_m)


def fly(plan: FlightPlan, masks: Masks) -> FlightTally:
    """Flies all flights of a plan, and returns the counts."""
    tally = FlightTally()
    for number in range(plan.flights):
        flight = Flight(number, plan.size_hw, plan.fps)
        finder = LandingFinder(
            AERIAL_LABELS, hazards(plan.margin_m), camera_of(plan.size_hw), MOUNT, plan.options
        )
        before: LandingSpot | None = None
        first: float | None = None
        for index in range(plan.frames):
            view = flight.view(index)
            spot = finder.update(masks(view), view.pose.at, view.pose)
            tally.add(spot, before, view, plan.options.radius_m)
            if spot.valid and first is None:
                first = view.pose.at
            before = spot
        if first is not None:
            tally.first_s.append(first)
    return tally
