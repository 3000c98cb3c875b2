"""Counts of classes in class maps, and of pairs of classes in two of them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .arrays import ClassMap

Counts = npt.NDArray[np.int64]

_IDS = 256
_EXACT = 1 << 24
"""OpenCV counts in float32, which has every whole number up to here."""


def class_counts(classes: ClassMap) -> Counts:
    """Counts the pixels of each class id.

    OpenCV's histogram is six times as fast as ``np.bincount``, which first widens every id to eight bytes.

    Args:
        classes: uint8 [H, W].

    Returns:
        int64 [256].
    """
    counts = np.zeros(_IDS, np.int64)
    rows = max(1, _EXACT // max(1, classes.shape[1]))
    for top in range(0, len(classes), rows):
        found = cv2.calcHist([classes[top : top + rows]], [0], None, [_IDS], [0, _IDS])
        counts += found.ravel().astype(np.int64)
    return counts


def confusion_counts(rows: ClassMap, columns: ClassMap, size: int) -> Counts:
    """Counts the pixels of each pair of classes. Ids beyond the last class count as it.

    Args:
        rows: uint8, any shape.
        columns: uint8, the same shape.
        size: the number of classes, void among them where it is to count.

    Returns:
        int64 [size, size].
    """
    if size < _IDS:
        rows, columns = np.minimum(rows, size - 1), np.minimum(columns, size - 1)
    pairs = rows.astype(np.int64).ravel() * size + columns.ravel()
    return np.bincount(pairs, minlength=size * size).reshape(size, size).astype(np.int64, copy=False)
