"""Counts of classes and of pairs of classes, against NumPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from edgeseg.core import counting
from edgeseg.core.counting import class_counts, confusion_counts


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (40, 30)])
def test_each_class_is_counted(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    classes = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert (class_counts(classes) == np.bincount(classes.ravel(), minlength=256)).all()
    monkeypatch.setattr(
        counting, "_EXACT", 64
    )  # a map of more pixels than float32 counts is counted in bands
    assert (class_counts(classes) == np.bincount(classes.ravel(), minlength=256)).all()


def test_each_pair_is_counted_and_ids_beyond_the_last_are_the_last() -> None:
    rows = np.array([[0, 1, 2], [255, 1, 1]], np.uint8)
    columns = np.array([[0, 2, 255], [255, 1, 0]], np.uint8)
    expected = [[1, 0, 0], [1, 1, 1], [0, 0, 2]]
    assert confusion_counts(rows, columns, 3).tolist() == expected
    assert confusion_counts(rows[:0], columns[:0], 3).sum() == 0
