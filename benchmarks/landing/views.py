"""Single views of new places: is a spot found where there is one, and is its footprint safe."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ...core.arrays import ClassMap
from ...data.aerial.labels import AERIAL_LABELS
from ...embedding.ground import GroundView
from ...embedding.landing.finder import LandingFinder
from ...embedding.landing.options import LandingOptions
from ...embedding.landing.spot import LandingSpot
from .judge import a_spot_exists, footprint_is_unsafe
from .world import MOUNT, View, camera_of, hazards, random_view

Masks = Callable[[View], ClassMap]
"""A function that gives the class map of a view: the truth, or what a network sees."""


def exact(view: View) -> ClassMap:
    """Returns the true classes of a view."""
    return view.truth


@dataclass
class Tally:
    """The counts of one radius and margin.

    Attributes:
        views: number of views.
        exist: views in which an exhaustive search of the truth finds a spot.
        found: views in which the search found one.
        found_of_exist: of those that exist.
        unsafe: spots with a truly unsafe pixel under the footprint.
        ms: milliseconds of each search.
    """

    views: int = 0
    exist: int = 0
    found: int = 0
    found_of_exist: int = 0
    unsafe: int = 0
    ms: list[float] = field(default_factory=list)

    def add(self, exists: bool, found: bool, unsafe: bool) -> None:
        """Counts one view."""
        self.views += 1
        self.exist += exists
        self.found += found
        self.found_of_exist += exists and found
        self.unsafe += unsafe

    @property
    def found_share(self) -> float:
        """Share of the spots that exist."""
        return self.found_of_exist / max(1, self.exist)

    @property
    def unsafe_share(self) -> float:
        """Share of the spots that were found."""
        return self.unsafe / max(1, self.found)


def single_view(radius_m: float, base: LandingOptions | None = None) -> LandingOptions:
    """Returns the options for a view that has to be judged alone: no errors, no wait, no frames before."""
    options = replace(
        base or LandingOptions(), radius_m=radius_m, position_error_m=0.0, height_error=0.0,
        attitude_error_deg=0.0, settle_s=0.0,
    )  # fmt: skip
    return replace(options, map=replace(options.map_options, confirm_frames=1))


def search(view: View, classes: ClassMap, radius_m: float, margin_m: float) -> tuple[LandingSpot, float]:
    """Returns the spot of one view, and the milliseconds of the search.

    The search is made twice, as the memory of a first map is allocated once in a flight.
    """
    camera = camera_of(view.truth.shape)
    finder = LandingFinder(AERIAL_LABELS, hazards(margin_m), camera, MOUNT, single_view(radius_m))
    finder.update(classes, 0.0, view.pose)
    started = time.perf_counter()
    spot = finder.update(classes, 0.0, view.pose)
    return spot, (time.perf_counter() - started) * 1e3


def judge_views(
    count: int,
    size_hw: tuple[int, int],
    masks: Masks,
    radii_m: tuple[float, ...],
    margins_m: tuple[float, ...],
    progress: Callable[[int], None] = lambda done: None,
) -> dict[tuple[float, float], Tally]:
    """Searches and judges views, and returns the counts by radius and margin.

    Args:
        count: number of views.
        size_hw: height and width of their frames.
        masks: gives the class maps.
        radii_m: of the vehicles.
        margins_m: the margin of every hazard.
        progress: called after each view with the number of those done.
    """
    tallies = {(radius, margin): Tally() for radius in radii_m for margin in margins_m}
    for number in range(count):
        view = random_view(number, size_hw)
        seen = GroundView.of(camera_of(size_hw), MOUNT, view.pose)
        classes = masks(view)
        for radius in radii_m:
            exists = a_spot_exists(view.truth, seen, radius)
            for margin in margins_m:
                spot, ms = search(view, classes, radius, margin)
                unsafe = spot.valid and footprint_is_unsafe(view.truth, seen, spot.ground_m, radius)
                tallies[radius, margin].add(exists, spot.valid, unsafe)
                tallies[radius, margin].ms.append(ms)
        progress(number + 1)
    return tallies
