"""The metrics of the FCN paper (Long et al. 2015, section 5), all from one confusion matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..core.counting import confusion_counts
from ..core.errors import DataError
from ..core.labels import VOID


class ConfusionMatrix:
    """Counts of pixels by true and predicted class; void pixels do not count.

    A class that is neither in the truth nor predicted is *absent*: it has no IoU (NaN) and is not part of a mean.

    Args:
        num_classes: C.

    Attributes:
        counts: int64 [C, C]; rows are the truth, columns the prediction.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, truth: npt.NDArray[np.uint8], predicted: npt.NDArray[np.uint8]) -> None:
        """Adds one image.

        Args:
            truth: uint8 [H, W], class ids; 255 is void.
            predicted: uint8 [H, W], class ids.

        Raises:
            DataError: the shapes differ, or an id is outside the classes.
        """
        if truth.shape != predicted.shape:
            raise DataError(
                f"the truth is {truth.shape}, the prediction {predicted.shape}; expected the same size"
            )
        labelled = truth != VOID
        counts = confusion_counts(truth[labelled], predicted[labelled], 256)
        inside = counts[: self.num_classes, : self.num_classes]
        if inside.sum() != counts.sum():
            raise DataError(f"a mask holds a class id above {self.num_classes - 1} that is not void (255)")
        self.counts += inside

    @property
    def per_class_iou(self) -> npt.NDArray[np.float64]:
        """Returns the intersection over union of each class, float64 [C], 0 to 1; NaN for an absent class."""
        return _ratio(np.diag(self.counts), self.counts.sum(0) + self.counts.sum(1) - np.diag(self.counts))

    @property
    def per_class_accuracy(self) -> npt.NDArray[np.float64]:
        """Returns the share of each class's true pixels that was found, float64 [C]; NaN if it has none."""
        return _ratio(np.diag(self.counts), self.counts.sum(1))

    @property
    def miou(self) -> float:
        """Returns the mean IoU over the classes that are present."""
        return _mean(self.per_class_iou)

    @property
    def mean_accuracy(self) -> float:
        """Returns the mean accuracy over the classes in the truth."""
        return _mean(self.per_class_accuracy)

    @property
    def pixel_accuracy(self) -> float:
        """Returns the share of labelled pixels with the correct class."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")

    @property
    def frequency_weighted_iou(self) -> float:
        """Returns the IoU, weighted by the frequency of each class in the truth."""
        frequency = self.counts.sum(1)
        total = frequency.sum()
        return float(np.nansum(self.per_class_iou * frequency) / total) if total else float("nan")


def _ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _mean(values: npt.NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
