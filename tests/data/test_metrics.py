"""The figures of one confusion matrix, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from edgeseg.core.errors import DataError
from edgeseg.data.metrics import ConfusionMatrix


def confusion(truth: list[list[int]], predicted: list[list[int]], num_classes: int = 3) -> ConfusionMatrix:
    matrix = ConfusionMatrix(num_classes)
    matrix.update(np.array(truth, np.uint8), np.array(predicted, np.uint8))
    return matrix


def test_figures_by_hand() -> None:
    # class 0: 2 of 3 found, one false alarm; class 1: 1 of 2 found, one false alarm; class 2 absent
    matrix = confusion([[0, 0, 0], [1, 1, 255]], [[0, 0, 1], [1, 0, 2]])
    assert matrix.per_class_iou[:2] == pytest.approx([2 / 4, 1 / 3])
    assert matrix.miou == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert matrix.pixel_accuracy == pytest.approx(3 / 5)
    assert matrix.mean_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert matrix.frequency_weighted_iou == pytest.approx((3 * 1 / 2 + 2 * 1 / 3) / 5)


def test_an_absent_class_is_not_a_zero() -> None:
    matrix = confusion([[0, 0]], [[0, 0]])
    assert math.isnan(matrix.per_class_iou[1])
    assert matrix.miou == 1.0


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    matrix = confusion([[0, 0]], [[0, 2]])
    assert matrix.per_class_iou[2] == 0.0
    assert math.isnan(matrix.per_class_accuracy[2])


def test_images_add_up_to_one_matrix() -> None:
    generator = np.random.Generator(np.random.PCG64(3))
    truth, predicted = generator.integers(0, 3, (2, 10, 8, 8)).astype(np.uint8)
    apart, joint = ConfusionMatrix(3), ConfusionMatrix(3)
    for one, other in zip(truth, predicted, strict=True):
        apart.update(one, other)
    joint.update(truth.reshape(80, 8), predicted.reshape(80, 8))
    assert (apart.counts == joint.counts).all()


def test_nothing_labelled_has_no_figures() -> None:
    matrix = confusion([[255, 255]], [[0, 1]])
    assert math.isnan(matrix.miou)
    assert math.isnan(matrix.pixel_accuracy)


def test_refusals() -> None:
    with pytest.raises(DataError, match="expected the same size"):
        confusion([[0, 0]], [[0]])
    with pytest.raises(DataError, match="class id above 2"):
        confusion([[7]], [[0]])
