"""The post-processor that smooths class maps over time, and says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ...core.arrays import Frame
from ...core.errors import UsageError
from ...core.labels import LabelMap
from ...core.pose import VehiclePose
from ...runtime.findings import MASK_INVALID, Finding
from ...runtime.postprocessor import PostProcessor
from ...runtime.result import Segmentation
from ..camera.optics import Optics
from ..ground import GroundView
from ..pose import Mount, PoseHistory
from ..reasons import CAMERA_MISMATCH, NO_POSE
from .options import Method, StabiliserOptions
from .stabiliser import Stabiliser

STABILISE = "stabilise"
"""The name of the finding."""


@dataclass(frozen=True)
class Smoothing(Finding):
    """Says whether a class map is smoothed over time, and how much.

    Attributes:
        valid: True if the class map is smoothed. If not, it is as the network gave it.
        reason: the reason if not valid: ``mask-invalid``, ``no-pose`` or ``camera-mismatch``.
        captured_at: as of every finding.
        method: what the class maps were averaged along.
        frames: number of frames in the average, this one included.
        reset: why the average began anew with this frame: ``first``, ``size-changed``, ``gap`` or ``cut``; else empty.
        changed_share: share of the pixels that have another class than the network gave, 0 to 1.
    """

    valid: bool
    reason: str
    captured_at: float
    method: Method
    frames: int = 0
    reset: str = ""
    changed_share: float = 0.0

    @property
    def caption(self) -> str:
        if not self.valid:
            return f"not smoothed: {self.reason}"
        return f"smoothed by {self.method}: {self.changed_share:.1%} of the pixels"

    def invalidated(self, reason: str) -> Smoothing:
        return Smoothing(False, reason, self.captured_at, self.method)

    def facts(self) -> dict[str, Any]:
        return {
            "valid": self.valid,
            "reason": self.reason,
            "method": self.method,
            "frames": self.frames,
            "reset": self.reset,
            "changed_share": round(self.changed_share, 6) if self.valid else None,
        }


class StabiliseProcessor(PostProcessor):
    """Replaces each valid class map by a smoothed one, and keeps the network's own as ``raw_classes``.

    Findings that judge hazards look at ``raw_classes``, so their order among the post-processors does not matter. The
    margin stays that of the network's own class map.

    Args:
        labels: the classes of the network.
        options: how class maps are averaged.
        optics: the camera; needed by the method ``pose`` alone.
        mount: of the camera on the vehicle; likewise.
        poses: of the vehicle. The pose that a source itself gives counts before it; None if there is no other.

    Raises:
        UsageError: a hazard is not a class of the network.
    """

    name = STABILISE

    def __init__(
        self,
        labels: LabelMap,
        options: StabiliserOptions | None = None,
        optics: Optics | None = None,
        mount: Mount | None = None,
        poses: PoseHistory | None = None,
    ) -> None:
        self._stabiliser = Stabiliser(labels, options)
        self._optics, self._mount, self._poses = optics or Optics(), mount or Mount.looking_down(), poses

    def process(self, frame_bgr: Frame, result: Segmentation) -> Segmentation:
        """Returns the result with the smoothed class map and the finding ``stabilise``."""
        method = self._stabiliser.options.method
        finding = Smoothing(False, MASK_INVALID, result.captured_at, method)
        view: GroundView | str | None = None
        if result.valid and method == "pose":
            view = self._view(result)
        if not result.valid or isinstance(view, str):
            self._stabiliser.reset()
            reason = view if isinstance(view, str) else MASK_INVALID
            return _with(result, replace(finding, reason=reason))
        at = result.captured_at if result.pose is None else result.pose.at
        smoothed = self._stabiliser.update(frame_bgr, result.classes, at, view)
        finding = replace(
            finding, valid=True, reason="", frames=smoothed.frames, reset=smoothed.reset,
            changed_share=smoothed.changed_share,
        )  # fmt: skip
        return replace(_with(result, finding), classes=smoothed.classes, raw_classes=result.classes)

    def _view(self, result: Segmentation) -> GroundView | str:
        """Returns the camera above the ground at the frame's time, or the reason why it is not known."""
        pose: VehiclePose | str | None = result.pose
        if pose is None and self._poses is not None:
            pose = self._poses.at(result.captured_at)
        if pose is None or isinstance(pose, str):
            return NO_POSE
        try:
            camera = self._optics.for_frames((result.classes.shape[0], result.classes.shape[1]))
        except UsageError:
            return CAMERA_MISMATCH
        return GroundView.of(camera, self._mount, pose)


def _with(result: Segmentation, finding: Smoothing) -> Segmentation:
    return replace(result, findings={**result.findings, STABILISE: finding})
