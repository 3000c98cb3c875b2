"""Intrusions: a person or a car comes into the footprint of a valid spot; how soon is the spot withdrawn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from ...core.arrays import ClassMap
from ...data.aerial.camera import Pose
from ...data.aerial.canvas import MAP_PX, PX_PER_M
from ...data.aerial.intruders import Intruder, IntruderKind
from ...data.aerial.labels import AERIAL_LABELS, CAR, GRASS, PERSON
from ...embedding.ground import GroundView
from ...embedding.landing.finder import LandingFinder
from ...embedding.landing.options import LandingOptions
from ...embedding.landing.spot import LandingSpot
from .judge import footprint_is_in_view, footprint_is_unsafe
from .stage import AerialStage, Eyes, map_xy
from .world import FIRST_SEED, MOUNT, camera_of, hazards

Arrival = Literal["walks in", "appears"]

CASES_PER_PLACE = 20
ENOUGH_FRAMES = 2
"""A spot has to be withdrawn with this frame, counted from 1, of those that show the intruder in its footprint."""

_HEIGHTS_M = (8.0, 40.0)
_SPEEDS_M = {"person": (0.8, 1.8), "car": (2.0, 8.0)}
_AWAY_M = {"person": 5.0, "car": 14.0}
_TRIES = 60
_STAY_S = 1.5


@dataclass(frozen=True)
class IntrusionPlan:
    """The cases of a measurement.

    Attributes:
        cases: their number.
        fps: frames a second.
        size_hw: height and width of the frames.
        options: of the landing finder.
        margin_m: the margin of every hazard.
    """

    cases: int
    fps: float
    size_hw: tuple[int, int]
    options: LandingOptions
    margin_m: float


@dataclass
class IntrusionTally:
    """The counts of one kind of intruder and way of coming.

    Attributes:
        cases: intruders that came into the footprint of a valid spot, or made it be withdrawn before.
        before: spots that were withdrawn before the intruder was in the footprint.
        in_time: spots that were withdrawn within ``ENOUGH_FRAMES``, those before among them.
        frames: frames that showed the intruder in the footprint until the spot was withdrawn; 0 is before.
        ms: milliseconds from the capture of the first such frame until the finder withdrew the spot, of each case.
    """

    cases: int = 0
    before: int = 0
    in_time: int = 0
    frames: list[int] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def add(self, frames: int, ms: float) -> None:
        """Counts a case."""
        self.cases += 1
        self.before += frames == 0
        self.in_time += frames <= ENOUGH_FRAMES
        self.frames.append(frames)
        self.ms.append(ms)


class Hover:
    """A vehicle that hovers over a place and trembles.

    Args:
        rng: draws the place, the height and the trembling.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._xy = rng.uniform(0, MAP_PX, 2)
        self._height_m = float(np.exp(rng.uniform(*np.log(_HEIGHTS_M))))
        self._yaw = float(rng.uniform(0, 2 * math.pi))
        self._tilt = math.radians(5) * rng.uniform(-1, 1, 2)
        self._rates, self._phases = rng.uniform(0.8, 3.0, 4), rng.uniform(0, 2 * math.pi, 4)

    def pose(self, at: float) -> Pose:
        """Returns the pose of its camera at a time in seconds."""
        waves = np.sin(self._rates * at + self._phases)
        return Pose(
            x=float(self._xy[0] + 0.3 * PX_PER_M * waves[0]),
            y=float(self._xy[1] + 0.3 * PX_PER_M * waves[1]),
            height_m=self._height_m,
            yaw=self._yaw,
            pitch=float(self._tilt[0] + math.radians(2) * waves[2]),
            roll=float(self._tilt[1] + math.radians(2) * waves[3]),
        )


class _Scene:
    """A hovering vehicle that looks for a spot, frame by frame."""

    def __init__(self, seed: int, rng: np.random.Generator, plan: IntrusionPlan, eyes: Eyes) -> None:
        self.hover = Hover(rng)
        self.stage = AerialStage(seed, plan.size_hw, float(rng.uniform(0, 600)))
        self.plan, self._eyes = plan, eyes
        self._finder = LandingFinder(
            AERIAL_LABELS, hazards(plan.margin_m), camera_of(plan.size_hw), MOUNT, plan.options
        )
        self.index = 0

    @property
    def at(self) -> float:
        return self.index / self.plan.fps

    def look(self) -> tuple[LandingSpot, ClassMap, GroundView, float]:
        """Takes a frame, and returns the spot, the truth, the view, and milliseconds of the search."""
        pose = self.hover.pose(self.at)
        frame, truth = self.stage.view(pose, self.at)
        classes = self._eyes(frame, truth)
        vehicle = pose.of_vehicle(self.at)
        started = time.perf_counter()
        spot = self._finder.update(classes, self.at, vehicle)
        ms = (time.perf_counter() - started) * 1e3
        self.index += 1
        return spot, truth, GroundView.of(camera_of(truth.shape), MOUNT, vehicle), ms

    def settled(self) -> LandingSpot | None:
        """Returns a valid spot whose footprint is in view and truly safe, or None if there is none in two seconds."""
        radius = self.plan.options.radius_m
        for _ in range(round(2 * self.plan.fps)):
            spot, truth, view, _ = self.look()
            if spot.valid and footprint_is_in_view(view, spot.ground_m, radius):
                return None if footprint_is_unsafe(truth, view, spot.ground_m, radius) else spot
        return None


def _intruder(
    rng: np.random.Generator, kind: IntruderKind, how: Arrival, spot: LandingSpot, at: float
) -> Intruder:
    """Returns an intruder that goes through the middle of a spot, or stands there from a moment on."""
    north, east = spot.ground_m
    middle = np.array(map_xy(north, east))
    course = rng.uniform(0, 2 * math.pi)
    step = np.array([math.cos(course), math.sin(course)])
    look = int(rng.integers(1000))
    if how == "appears":
        spread = rng.uniform(-0.3, 0.3, 2) * PX_PER_M
        start = at + rng.uniform(0.0, 1.0)
        return Intruder(
            kind,
            np.array([start, start + _STAY_S]),
            np.array([middle + spread, middle + spread + step]),
            look,
        )
    speed, away = rng.uniform(*_SPEEDS_M[kind]), _AWAY_M[kind]
    reach = step * away * PX_PER_M
    arrives = at + away / speed
    return Intruder(
        kind,
        np.array([at, arrives, arrives + _STAY_S]),
        np.array([middle - reach, middle, middle + step]),
        look,
    )


def _withdrawal(scene: _Scene, spot: LandingSpot, intruder: Intruder) -> tuple[int, float] | None:
    """Plays an intrusion from its beginning to its end, and looks at the worst of it.

    Returns:
        The number of frames that showed the intruder in the footprint of a spot until that spot was withdrawn, 0 if it
        was withdrawn before; and milliseconds from the capture of the first of these frames to the withdrawal. None if
        the intruder came into no footprint and no spot was withdrawn, as below a tree.
    """
    class_id = CAR if intruder.kind == "car" else PERSON
    radius, told, withdrawn = scene.plan.options.radius_m, spot, False
    run, worst, worst_ms = 0, 0, 0.0
    scene.stage.intruders.append(intruder)
    while scene.stage.start_s + scene.at <= intruder.times_s[-1]:
        now, truth, view, took_ms = scene.look()
        only_it = np.where(truth == class_id, np.uint8(class_id), np.uint8(GRASS))
        if told.valid and footprint_is_in_view(view, told.ground_m, radius):
            shown = footprint_is_unsafe(only_it, view, told.ground_m, radius)
            stays = now.valid and footprint_is_in_view(view, now.ground_m, radius)
            stays = stays and footprint_is_unsafe(only_it, view, now.ground_m, radius)
            run = run + 1 if shown else 0
            if run > worst:
                worst, worst_ms = run, (run - 1) / scene.plan.fps * 1e3 + took_ms
            run = run if stays else 0
        withdrawn |= not now.valid or math.dist(now.ground_m, spot.ground_m) > radius
        told = now
    return (worst, worst_ms) if worst or withdrawn else None


def play(
    number: int, kind: IntruderKind, how: Arrival, plan: IntrusionPlan, eyes: Eyes
) -> tuple[int, float] | None:
    """Plays one case, as :func:`_withdrawal` tells it; None also if no spot was found to intrude upon."""
    seed = FIRST_SEED + 100_000 + number // CASES_PER_PLACE
    for attempt in range(_TRIES):
        rng = np.random.default_rng([FIRST_SEED, number, attempt])
        scene = _Scene(seed, rng, plan, eyes)
        spot = scene.settled()
        if spot is not None:
            intruder = _intruder(rng, kind, how, spot, scene.stage.start_s + scene.at)
            told = _withdrawal(scene, spot, intruder)
            if told is not None:
                return told
    return None


def cases(plan: IntrusionPlan) -> Iterator[tuple[int, IntruderKind, Arrival]]:
    """Yields the cases: each kind of intruder and each way of coming in turn."""
    kinds: list[tuple[IntruderKind, Arrival]] = [
        (kind, how) for kind in get_args(IntruderKind) for how in get_args(Arrival)
    ]
    for number in range(plan.cases):
        yield number, *kinds[number % len(kinds)]


def judge_intrusions(
    plan: IntrusionPlan, eyes: Eyes, progress: Callable[[int], None] = lambda done: None
) -> dict[tuple[IntruderKind, Arrival], IntrusionTally]:
    """Plays all cases, and returns the counts by kind of intruder and way of coming."""
    tallies: dict[tuple[IntruderKind, Arrival], IntrusionTally] = {}
    for number, kind, how in cases(plan):
        told = play(number, kind, how, plan, eyes)
        if told is not None:
            tallies.setdefault((kind, how), IntrusionTally()).add(*told)
        progress(number + 1)
    return tallies
