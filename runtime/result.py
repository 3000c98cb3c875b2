"""What the runtime hands to sinks and embedders: one frame's class map, and whether to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Segmentation:
    """The outcome for one frame.

    Attributes:
        classes: uint8 [H, W], the class id of each pixel at the *frame's* size. All 255 (void) where not ``valid``.
        valid: whether ``classes`` may be acted on.
        reason: why not, in one word of the vocabulary (``not-finite``, …); empty where valid.
        frame_id: the source's running number of the frame, from 0.
        captured_at: ``edgeseg.now()`` in seconds when the frame was captured.
        timings_ms: milliseconds of each stage (``preprocess``, ``inference``, ``decode``).
        margin: float32 [H, W], top-1 minus top-2 logit of each pixel, where asked for.
    """

    classes: npt.NDArray[np.uint8]
    frame_id: int = 0
    captured_at: float = 0.0
    valid: bool = True
    reason: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    margin: npt.NDArray[np.float32] | None = None

    def shares(self, num_classes: int) -> npt.NDArray[np.float64]:
        """The share of the frame that each class covers, float64 [num_classes], each 0 to 1."""
        # Six times as fast as np.bincount, which first widens every class id to eight bytes. Counts are float32,
        # exact up to 2^24 pixels a class.
        counts = cv2.calcHist([self.classes], [0], None, [256], [0, 256]).ravel()[:num_classes]
        return counts.astype(np.float64) / max(1, self.classes.size)
