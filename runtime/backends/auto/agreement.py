"""A comparison of a backend's masks with ONNX Runtime's, within the rounding error of its precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....core.arrays import ClassMap, Floats
from ....core.counting import confusion_counts
from ....core.errors import BackendError
from ...decode import decode_margin
from .limits import CLASS_DROP, LIMITS, MIN_CLASS_PIXELS


@dataclass(frozen=True)
class ExpectedMasks:
    """The expected results of one frame.

    Attributes:
        frame_nhwc: uint8 [1, H, W, 3].
        logits: float32 [C, h, w].
        classes: uint8 [H, W].
        margin: float32 [H, W], best minus second-best logit of each pixel.
    """

    frame_nhwc: ClassMap
    logits: Floats
    classes: ClassMap
    margin: Floats

    @classmethod
    def of(cls, frame_nhwc: ClassMap, logits: Floats, classes: ClassMap) -> ExpectedMasks:
        """Makes a reference from copies of its results."""
        height, width = classes.shape
        kept = logits.copy()
        return cls(frame_nhwc, kept, classes.copy(), decode_margin(kept, (height, width)))


class Agreement:
    """Counts over frames how much a backend differs from the reference.

    Args:
        precision: the one that the backend computes in.
        num_classes: C.

    Raises:
        BackendError: no limits are known for this precision.
    """

    def __init__(self, precision: str, num_classes: int) -> None:
        if precision not in LIMITS:
            raise BackendError(f"it computes in {precision}, for which edgeseg has no limits")
        self._limits = LIMITS[precision]
        self._judges_classes = precision != "int8"
        self._pixels = self._real = 0
        self._logit_error = 0.0
        self._finite = True
        self._confusion = np.zeros((num_classes, num_classes), np.int64)

    def update(self, reference: ExpectedMasks, logits: Floats, classes: ClassMap) -> None:
        """Adds a frame: its logits, float32 [C, h, w], and class map, uint8 [H, W].

        Raises:
            BackendError: their shapes differ from the reference's.
        """
        if (logits.shape, classes.shape) != (reference.logits.shape, reference.classes.shape):
            raise BackendError(
                f"it gives logits {list(logits.shape)} where ONNX Runtime gives {list(reference.logits.shape)}"
            )
        if not np.isfinite(logits).all():
            self._finite = False
            return
        # Logits that are all zero have no scale.
        scale = float(np.sqrt(np.mean(np.square(reference.logits, dtype=np.float64)))) or 1.0
        tie = (classes != reference.classes) & (reference.margin <= self._limits.tie_margin * scale)
        self._pixels += classes.size
        self._real += int(np.count_nonzero((classes != reference.classes) & ~tie))
        self._logit_error = max(self._logit_error, float(np.abs(logits - reference.logits).max()) / scale)
        count = len(self._confusion)
        self._confusion += confusion_counts(reference.classes[~tie], classes[~tie], count)

    def why_not(self) -> str:
        """Returns what exceeds its limit, in one line; empty if nothing does."""
        if not self._finite:
            return "its logits are not finite where ONNX Runtime's are"
        real = self._real / max(1, self._pixels)
        limits = self._limits
        if real > limits.real_disagreement:
            return (
                f"{100 * real:.3g} % of the pixels differ from ONNX Runtime's where those are no tie,"
                f" above {100 * limits.real_disagreement:g} %"
            )
        if limits.logit_error is not None and self._logit_error > limits.logit_error:
            return (
                f"a logit is off by {100 * self._logit_error:.3g} % of the logits' root mean square,"
                f" above {100 * limits.logit_error:g} %"
            )
        drop = self._worst_drop()
        if self._judges_classes and drop > CLASS_DROP:
            return f"a class loses {100 * drop:.2f} points of IoU, above {100 * CLASS_DROP:g}"
        return ""

    def _worst_drop(self) -> float:
        both = np.diag(self._confusion)
        either = self._confusion.sum(0) + self._confusion.sum(1) - both
        judged = self._confusion.sum(1) >= MIN_CLASS_PIXELS
        return float(np.max(1 - both[judged] / either[judged], initial=0.0))
