"""The post-processor that adds a landing spot to each result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...core.arrays import Frame
from ...core.errors import UsageError
from ...core.pose import VehiclePose
from ...runtime.postprocessor import PostProcessor
from ...runtime.result import Segmentation
from ..camera.model import CameraModel
from ..camera.optics import Optics
from ..pose import PoseHistory
from ..reasons import CAMERA_MISMATCH, NO_ATTITUDE
from .finder import LandingFinder
from .spot import LandingSpot

LANDING = "landing"
"""The name of the finding."""

_SAME_ASPECT = 0.02


class LandingProcessor(PostProcessor):
    """Adds a :class:`~edgeseg.embedding.landing.spot.LandingSpot` to each result, as its finding ``landing``.

    It looks at the network's own class map: smoothing must not hide a hazard.

    Args:
        make_finder: makes the search for a camera; called for the first frame, and again if the frames get another
            aspect ratio.
        optics: the camera.
        poses: of the vehicle. The pose that a source itself gives counts before it; None if there is no other.
    """

    name = LANDING

    def __init__(
        self,
        make_finder: Callable[[CameraModel], LandingFinder],
        optics: Optics,
        poses: PoseHistory | None = None,
    ) -> None:
        self._make_finder, self._optics, self._poses = make_finder, optics, poses
        self._finder: LandingFinder | None = None
        self._aspect = 0.0
        self._source_at: float | None = None

    def process(self, frame_bgr: Frame, result: Segmentation) -> Segmentation:
        """Returns the result with the spot, valid or not."""
        spot = replace(self._spot(result), captured_at=result.captured_at)
        return replace(result, findings={**result.findings, LANDING: spot})

    def _spot(self, result: Segmentation) -> LandingSpot:
        pose = self._pose(result)
        at = self._time(result, pose)
        height, width = result.classes.shape
        if self._finder is None or abs(width / height / self._aspect - 1) > _SAME_ASPECT:
            try:
                camera = self._optics.for_frames((height, width))
            except UsageError:
                self._finder = None
                return LandingSpot(False, CAMERA_MISMATCH, at)
            self._finder = self._make_finder(camera)
            self._aspect = width / height
        classes = result.own_classes
        return self._finder.update(classes if result.valid else None, at, pose)

    def _time(self, result: Segmentation, pose: VehiclePose | str) -> float:
        """Returns the time of a frame, by the clock of the poses: a source that knows them may have one of its own."""
        if result.pose is not None:
            self._source_at = result.pose.at
        if isinstance(pose, str):
            return result.captured_at if self._source_at is None else self._source_at
        return pose.at

    def _pose(self, result: Segmentation) -> VehiclePose | str:
        if result.pose is not None:
            return result.pose
        return NO_ATTITUDE if self._poses is None else self._poses.at(result.captured_at)
