"""edgeseg on the stand-in: frames and the autopilot's data in, LANDING_TARGET out, by the parts of a real run."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ....core.arrays import ClassMap, Frame
from ....core.rotations import quaternion
from ....data.aerial.labels import AERIAL_LABELS
from ....embedding.camera.optics import Optics
from ....embedding.landing.finder import LandingFinder
from ....embedding.landing.hazards import HazardTable
from ....embedding.landing.options import LandingOptions
from ....embedding.landing.processor import LANDING, LandingProcessor
from ....embedding.landing.spot import LandingSpot
from ....embedding.mavlink.codec import Codec
from ....embedding.mavlink.landing_target import OLDEST_S, LandingTarget, landing_target
from ....embedding.mavlink.landing_target import Autopilot as AutopilotName
from ....embedding.mavlink.pacing import Pacer
from ....embedding.mavlink.sink import QUIET_SECONDS
from ....embedding.pose import PoseHistory
from ....runtime.health.frames import FrameChecks
from ....runtime.health.limits import Limits
from ....runtime.health.validity import Validity
from ....runtime.reasons import STALE
from ....runtime.result import Segmentation
from ..stage import Eyes
from ..world import MOUNT, SAFE_NAMES, camera_of
from .vehicle import State

Distort = Callable[[LandingTarget], LandingTarget]

PERSON_M, CAR_M = 5.0, 3.0
"""The margins of people and cars: they move."""


@dataclass(frozen=True)
class CompanionOptions:
    """The options of edgeseg on the vehicle.

    Attributes:
        autopilot: what it talks to.
        landing: the vehicle and the choice.
        margin_m: the margin of every hazard that is neither a person nor a car.
        size_hw: height and width of the frames.
        limits: when a result is valid.
        distort: changes each message, to show that a wrong one is noticed; None for the encoder's own.
    """

    autopilot: AutopilotName
    landing: LandingOptions
    margin_m: float
    size_hw: tuple[int, int]
    limits: Limits = field(default_factory=Limits)
    distort: Distort | None = None


@dataclass(frozen=True)
class _Shot:
    """A frame on its way through the network."""

    frame_bgr: Frame
    truth: ClassMap
    captured_at: float
    ready_at: float


class Companion:
    """The work of edgeseg on the vehicle.

    Args:
        options: how it runs.
        eyes: the network, or the truth.

    Attributes:
        spot: the newest finding; None before the first.
        newest: the newest result with its frame; None before the first.
    """

    def __init__(self, options: CompanionOptions, eyes: Eyes) -> None:
        self.options, self._eyes = options, eyes
        self.poses = PoseHistory()
        hazards = HazardTable.landing_on(
            AERIAL_LABELS, SAFE_NAMES, {"person": PERSON_M, "car": CAR_M}, default_m=options.margin_m
        )
        make = partial(self._finder, hazards)
        self._processor = LandingProcessor(make, Optics(camera_of(options.size_hw)), self.poses)
        self._checks = FrameChecks(live=True, frozen_after_s=options.limits.frozen_after_s)
        self._validity = Validity(live=True, max_age_s=options.limits.max_age_s)
        self._shots: deque[_Shot] = deque()
        self._number = 0
        self._wire = Wire()
        self._pacer: Pacer[LandingTarget] = Pacer(quiet_s=QUIET_SECONDS)
        self.spot: LandingSpot | None = None
        self.newest: tuple[Frame, Segmentation] | None = None

    def _finder(self, hazards: HazardTable, camera: Any) -> LandingFinder:
        return LandingFinder(AERIAL_LABELS, hazards, camera, MOUNT, self.options.landing)

    def take_attitude(self, known: State) -> None:
        """Takes the autopilot's attitude."""
        self.poses.add_attitude(known.at, quaternion(known.roll, known.pitch, known.yaw))

    def take_place(self, known: State, height_factor: float) -> None:
        """Takes the autopilot's height above the ground, wrong by a factor, and its position."""
        self.poses.add_height(known.at, known.height_m * height_factor)
        self.poses.add_position(known.at, known.north_m, known.east_m)

    def take_frame(self, frame_bgr: Frame, truth: ClassMap, captured_at: float, ready_at: float) -> None:
        """Takes a frame, whose class map is ready at a later time. Frames are never overtaken."""
        last = self._shots[-1].ready_at if self._shots else -math.inf
        self._shots.append(_Shot(frame_bgr, truth, captured_at, max(last, ready_at)))

    def step(self, now: float) -> list[Mapping[str, Any]]:
        """Works on the frames that are ready, and returns the messages to the autopilot."""
        while self._shots and self._shots[0].ready_at <= now:
            self._work(self._shots.popleft(), now)
        message = self._pacer.take(now)
        if message is None:
            return []
        distort = self.options.distort
        return [self._wire(message if distort is None else distort(message))]

    def is_valid(self, now: float) -> bool:
        """Returns True if the newest result and its spot may be acted on now, as a heartbeat would tell."""
        return self._validity.judge(now).valid and self.spot is not None and self.spot.valid

    def _work(self, shot: _Shot, now: float) -> None:
        self._number += 1
        fault = self._checks.check(shot.frame_bgr, shot.captured_at)
        if fault:
            result = Segmentation.without_classes(shot.frame_bgr, self._number, shot.captured_at, fault)
        else:
            classes = self._eyes(shot.frame_bgr, shot.truth)
            result = Segmentation(classes, self._number, shot.captured_at)
        result = self._processor.process(shot.frame_bgr, result)
        if result.valid and now - shot.captured_at > self.options.limits.max_age_s:
            result = result.invalidated(STALE)
        self._validity.record(result)
        self.newest = shot.frame_bgr, result
        spot = result.findings[LANDING]
        assert isinstance(spot, LandingSpot)
        self.spot = spot
        pose = self.poses.at(spot.captured_at)
        message = None
        if not isinstance(pose, str):
            message = landing_target(spot, self.options.autopilot, pose, -pose.height_m)
        self._pacer.offer(message, spot.captured_at + OLDEST_S[self.options.autopilot], spot.ground_m)


class Wire:
    """Carries messages as bytes of MAVLink 2, packed and read by pymavlink.

    Raises:
        MissingDependencyError: pymavlink is not installed.
    """

    def __init__(self) -> None:
        self._codec = Codec()
        self._codec.set_system(1)
        self._reader = self._codec.reader()

    def __call__(self, message: LandingTarget) -> Mapping[str, Any]:
        """Returns the fields that the autopilot reads."""
        (frame,) = self._reader.feed(self._codec.pack("LANDING_TARGET", message.fields))
        fields: Mapping[str, Any] = self._codec.decode(frame).to_dict()  # type: ignore[union-attr]
        return fields
