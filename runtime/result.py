"""The result for one frame, for sinks and callers: its class map, and its validity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..core.counting import class_counts
from ..core.labels import VOID
from ..core.pose import VehiclePose
from .findings import MASK_INVALID, Finding


@dataclass(frozen=True)
class Segmentation:
    """The result for one frame.

    Attributes:
        classes: uint8 [H, W], the class id of each pixel at the *frame's* size. All 255 (void) if not ``valid``.
        valid: True if ``classes`` may be acted on.
        reason: the reason if not valid, a word of :mod:`.reasons` (``not-finite``, …); empty if valid.
        frame_id: the source's running number of the frame, from 0.
        captured_at: ``edgeseg.now()`` in seconds when the frame was captured.
        timings_ms: milliseconds of each stage (``preprocess``, ``inference``, ``decode``).
        margin: float32 [H, W], top-1 minus top-2 logit of each pixel, if asked for; else None.
        findings: the conclusions drawn from the class map, by name, such as ``landing``.
        pose: of the vehicle when the frame was captured, if the source knows it; else None.
        raw_classes: uint8 [H, W], the network's own class map, if ``classes`` was smoothed over time; else None.
    """

    classes: npt.NDArray[np.uint8]
    frame_id: int = 0
    captured_at: float = 0.0
    valid: bool = True
    reason: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    margin: npt.NDArray[np.float32] | None = None
    findings: Mapping[str, Finding] = field(default_factory=dict)
    pose: VehiclePose | None = None
    raw_classes: npt.NDArray[np.uint8] | None = None

    @classmethod
    def without_classes(
        cls, frame_bgr: npt.NDArray[np.uint8], frame_id: int, captured_at: float, reason: str
    ) -> Segmentation:
        """Returns the result of a frame that has no class map: all void, not valid.

        Args:
            frame_bgr: uint8 [H, W, 3].
            frame_id, captured_at, reason: as above.
        """
        void = np.full(frame_bgr.shape[:2], VOID, np.uint8)
        return cls(void, frame_id, captured_at, valid=False, reason=reason)

    def invalidated(self, reason: str) -> Segmentation:
        """Returns the same result with its class map void, not valid, without a margin. Its findings are not valid."""
        void = np.full(self.classes.shape, VOID, np.uint8)
        return replace(
            self,
            classes=void,
            valid=False,
            reason=reason,
            margin=None,
            findings=self.withdrawn_findings(),
            raw_classes=None,
        )

    @property
    def own_classes(self) -> npt.NDArray[np.uint8]:
        """The network's own class map, uint8 [H, W]: that before smoothing, if there was any."""
        return self.classes if self.raw_classes is None else self.raw_classes

    def withdrawn_findings(self) -> dict[str, Finding]:
        """Returns the findings, none of them valid, for a moment when the class map may not be acted on."""
        return {name: finding.invalidated(MASK_INVALID) for name, finding in self.findings.items()}

    def shares(self, num_classes: int) -> npt.NDArray[np.float64]:
        """Returns the share of the frame that each class covers, float64 [num_classes], each 0 to 1."""
        return class_counts(self.classes)[:num_classes] / max(1, self.classes.size)
