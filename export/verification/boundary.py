"""Boundary IoU (Cheng et al. 2021, "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation").

Plain IoU hardly changes if the edge of a large object is wrong by a few pixels. Boundary IoU compares only the band of
each mask within a distance of its own contour: 2 % of the image's diagonal, as in the paper.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ...core.labels import VOID

BAND_SHARE = 0.02


class BoundaryIou:
    """Boundary IoU of each class, over all added images.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        self._intersection = np.zeros(num_classes, np.int64)
        self._union = np.zeros(num_classes, np.int64)

    def update(self, reference: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> None:
        """Adds one image: two class maps, uint8 [H, W]. Pixels that are void in the first do not count."""
        height, width = reference.shape
        distance = max(1, round(BAND_SHARE * float(np.hypot(height, width))))
        labelled = reference != VOID
        present = np.union1d(np.unique(reference), np.unique(other))
        for class_id in present[present < len(self._union)]:
            first = _band(reference == class_id, distance) & labelled
            second = _band(other == class_id, distance) & labelled
            self._intersection[class_id] += np.count_nonzero(first & second)
            self._union[class_id] += np.count_nonzero(first | second)

    @property
    def per_class(self) -> npt.NDArray[np.float64]:
        """Returns float64 [C], 0 to 1; NaN for a class that is in neither map."""
        result = np.full(self._union.shape, np.nan)
        np.divide(self._intersection, self._union, out=result, where=self._union > 0)
        return result

    @property
    def mean(self) -> float:
        """Returns the mean over the classes that are present; NaN if none is."""
        present = self.per_class[self._union > 0]
        return float(present.mean()) if present.size else float("nan")


def _band(mask: npt.NDArray[np.bool_], distance: int) -> npt.NDArray[np.bool_]:
    """Returns the mask's pixels within ``distance`` of its contour; the image's border is part of the contour."""
    # The border counts as outside, as in the authors' code: the object's true contour there is unknown.
    eroded = cv2.erode(
        mask.astype(np.uint8),
        np.ones((3, 3), np.uint8),
        iterations=distance,
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return np.logical_and(mask, np.equal(eroded, 0))
