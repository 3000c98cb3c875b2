"""Frames in a row: flights over new places with their truth and motion, or a video without either."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...core.arrays import ClassMap, Frame, Matrix
from ...core.errors import UsageError
from ...core.labels import VOID
from ...core.pose import VehiclePose
from ...data.aerial.flight import AerialFlight
from ...export.verification.film_frames import FilmFrames, is_film
from ...export.verification.stability import Warp

FIRST_SEED = 940_000
"""The first place of the flights. No data set that edgeseg writes has places of these numbers, and smoothing was not
developed on them."""


@dataclass(frozen=True)
class SequenceView:
    """One frame of a sequence.

    Attributes:
        frame_bgr: uint8 [H, W, 3].
        at: seconds from the first frame.
        truth: uint8 [H, W], the true classes; None if they are not known.
        pose: of the vehicle; None if it is not known.
        to_map: float64 [3, 3], the homography from pixels to the world's map; None if it is not known.
    """

    frame_bgr: Frame
    at: float
    truth: ClassMap | None = None
    pose: VehiclePose | None = None
    to_map: Matrix | None = None


class Sequences(ABC):
    """Sequences of frames to measure on.

    Attributes:
        name: for display.
        has_truth: True if the truth, the pose and the motion are known.
        frames: number of frames, all sequences together.
    """

    name: str
    has_truth: bool
    frames: int

    @abstractmethod
    def __iter__(self) -> Iterator[Iterator[SequenceView]]:
        """Gives one sequence after another."""


@dataclass(frozen=True)
class SequencePlan:
    """The flights over the aerial world.

    Attributes:
        flights: number of flights, each over a new place.
        frames: of each flight.
        fps: frames a second.
        size_hw: height and width of the frames.
    """

    flights: int
    frames: int
    fps: float
    size_hw: tuple[int, int]


class FlightSequences(Sequences):
    """Flights over new places of the aerial world."""

    has_truth = True

    def __init__(self, plan: SequencePlan) -> None:
        self._plan = plan
        height, width = plan.size_hw
        self.name = (
            f"{plan.flights} flights of {plan.frames} frames of {width}x{height} at {plan.fps:g} a second over new"
            " places of the aerial world"
        )
        self.frames = plan.flights * plan.frames

    def __iter__(self) -> Iterator[Iterator[SequenceView]]:
        for number in range(self._plan.flights):
            yield self._flight(FIRST_SEED + number)

    def _flight(self, seed: int) -> Iterator[SequenceView]:
        plan = self._plan
        flight = AerialFlight(seed, plan.size_hw, plan.fps)
        for index in range(plan.frames):
            frame, truth = flight.frame(index)
            at = index / plan.fps
            pose = flight.pose(at)
            yield SequenceView(frame, at, truth, pose.of_vehicle(at), pose.frame_to_map(plan.size_hw))


class FilmSequence(Sequences):
    """The first frames of a video.

    Raises:
        UsageError: there is no such file.
        SourceError: it is not a video.
    """

    has_truth = False

    def __init__(self, source: str, frames: int, fps: float) -> None:
        if not is_film(source):
            raise UsageError(
                f"--source {source}: expected a video file; without --source, flights are measured"
            )
        self._film, self._fps = FilmFrames(source, frames), fps
        self.frames = len(self._film)
        self.name = f"{self.frames} frames of {Path(source).name}"

    def __iter__(self) -> Iterator[Iterator[SequenceView]]:
        yield (SequenceView(frame.frame_bgr, number / self._fps) for number, frame in enumerate(self._film))


def true_warp(before: SequenceView, now: SequenceView) -> Warp:
    """Returns the motion of flat ground between two frames, by their true poses. It shares no code with smoothing."""
    assert before.to_map is not None
    assert now.to_map is not None
    then_from_now = np.linalg.inv(before.to_map) @ now.to_map
    size_wh = now.frame_bgr.shape[1], now.frame_bgr.shape[0]

    def warp(classes: ClassMap) -> ClassMap:
        moved = cv2.warpPerspective(
            classes, then_from_now, size_wh, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT, borderValue=VOID,
        )  # fmt: skip
        return np.asarray(moved, np.uint8)

    return warp
