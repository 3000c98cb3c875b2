"""The counts of parity, on masks small enough to count by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from edgeseg.core.errors import VerificationError
from edgeseg.core.labels import LabelMap
from edgeseg.export.verification.boundary import BoundaryIou
from edgeseg.export.verification.gates import Gates, note_of
from edgeseg.export.verification.parity import AGREES, REAL, TIE, Parity, ReferenceMasks
from edgeseg.export.verification.reference import reference_masks
from torch.nn import functional as F

LABELS = LabelMap.generic(3)


def reference(logits: np.ndarray, size_hw: tuple[int, int] | None = None) -> ReferenceMasks:
    return reference_masks(logits[None].astype(np.float32), size_hw or logits.shape[1:])


def parity(**changes: object) -> Parity:
    options = {"tie_margin": 0.1, "min_class_pixels": 4, "has_truth": False, **changes}
    return Parity(LABELS, **options)


def logits_of(classes: np.ndarray, margin: float) -> np.ndarray:
    """Logits whose best class is as given, by ``margin`` over the next."""
    return (np.arange(3)[:, None, None] == classes) * margin


def test_the_reference_is_upsample_then_argmax() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    found = reference(logits, (9, 13))
    upsampled = F.interpolate(
        torch.from_numpy(logits[None]), size=(9, 13), mode="bilinear", align_corners=False
    )[0]
    best = upsampled.sort(dim=0, descending=True).values
    assert np.array_equal(found.classes, upsampled.argmax(0).numpy())
    assert np.allclose(found.margin, best[0] - best[1])


def test_ties_are_told_from_real_disagreements() -> None:
    logits = np.zeros((3, 1, 4))
    logits[0] = 1.0
    logits[1, 0] = [0.99, 0.99, 0.5, 0.5]  # margins 0.01, 0.01, 0.5, 0.5 where the logits' RMS is 0.73
    changed = logits.copy()
    changed[1, 0, [0, 2]] = 1.5
    found = parity()
    kinds = found.update("a", reference(logits), np.uint8([[1, 0, 1, 0]]), changed.astype(np.float32), None)
    assert kinds.tolist() == [[TIE, AGREES, REAL, AGREES]]
    summary = found.summary()
    assert (summary.tie_share, summary.real_disagreement, summary.pixel_agreement) == (0.25, 0.25, 0.5)
    assert summary.max_logit_error == pytest.approx(1.0)
    assert summary.worst_logit_class == "class_1"
    assert summary.worst_frame == "a"


def test_without_truth_a_class_is_measured_on_the_references_masks_without_ties() -> None:
    classes = np.uint8([[0, 0, 0, 0, 1, 1, 1, 1]])
    variant = np.uint8([[0, 0, 0, 1, 1, 1, 1, 1]])
    found = parity()
    found.update(
        "a", reference(logits_of(classes, 1.0)), variant, logits_of(classes, 1.0).astype(np.float32), None
    )
    rows = found.summary().classes
    assert rows[0].iou_reference is None
    assert rows[0].iou_variant == pytest.approx(3 / 4)
    assert rows[0].drop == pytest.approx(1 / 4)
    assert rows[1].drop == pytest.approx(1 / 5)
    assert rows[2].iou_variant is None, "an absent class has no IoU"
    # The same flip, where the reference could not tell: a tie, and nothing lost.
    found = parity(tie_margin=10.0)
    found.update(
        "a", reference(logits_of(classes, 1.0)), variant, logits_of(classes, 1.0).astype(np.float32), None
    )
    assert found.summary().classes[0].drop == 0


def test_with_truth_a_class_loses_what_the_variant_gets_wrong() -> None:
    classes = np.uint8([[0, 0, 0, 0, 1, 1, 1, 1]])
    truth = np.uint8([[0, 0, 0, 0, 1, 1, 1, 255]])
    variant = np.uint8([[0, 0, 1, 1, 1, 1, 1, 1]])
    logits = logits_of(classes, 1.0)
    found = parity(has_truth=True)
    found.update("a", reference(logits), variant, logits.astype(np.float32), truth)
    summary = found.summary()
    assert summary.miou_reference == 1.0
    assert summary.classes[0].drop == pytest.approx(0.5)
    assert summary.classes[1].drop == pytest.approx(2 / 5)
    assert not summary.classes[1].judged, "3 labelled pixels of 4"
    assert summary.worst_class is summary.classes[0]


def test_a_frame_that_is_not_finite_counts_whole() -> None:
    logits = logits_of(np.uint8([[0, 1]]), 1.0)
    broken = logits.astype(np.float32)
    broken[0, 0, 0] = np.nan
    found = parity()
    kinds = found.update("a", reference(logits), np.uint8([[255, 255]]), broken, None)
    summary = found.summary()
    assert (kinds == REAL).all()
    assert summary.non_finite_frames == 1
    assert not all(verdict.passed for verdict in Gates.for_precision("fp32").judge(summary))


def test_a_reference_that_is_not_finite_is_no_reference() -> None:
    logits = np.full((3, 1, 2), np.inf, np.float32)
    with pytest.raises(VerificationError, match="PyTorch itself gives logits that are not finite on frame a"):
        parity().update("a", reference(logits), np.zeros((1, 2), np.uint8), logits, None)


def test_no_frame_is_no_parity() -> None:
    with pytest.raises(VerificationError, match="no frame was compared"):
        parity().summary()


def test_memory_does_not_grow_with_the_frames() -> None:
    import tracemalloc

    logits = np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32)
    exact = reference(logits)
    found = parity()
    found.update("first", exact, exact.classes, logits, None)
    tracemalloc.start()
    for index in range(50):
        found.update(f"frame-{index}", exact, exact.classes, logits, None)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A class map alone would be 1024 bytes a frame.
    assert held < 50 * 256


class TestBoundaryIou:
    def test_equal_masks(self) -> None:
        mask = np.zeros((60, 80), np.uint8)
        mask[20:40, 20:60] = 1
        found = BoundaryIou(3)
        found.update(mask, mask)
        assert found.per_class[:2].tolist() == [1.0, 1.0]
        assert math.isnan(found.per_class[2])
        assert found.mean == 1.0

    def test_a_shifted_edge_costs_more_than_in_plain_iou(self) -> None:
        first, second = np.zeros((2, 300, 400), np.uint8)
        first[50:250, 50:350] = 1
        second[50:250, 55:355] = 1  # 5 pixels; the band is 2 % of 500, 10 pixels wide
        found = BoundaryIou(2)
        found.update(first, second)
        plain = np.count_nonzero(first & second) / np.count_nonzero(first | second)
        assert plain > 0.96
        # Each band is 200 x 300 - 180 x 280. They share 20 rows of 295, and twice 5 columns of the other 180.
        shared = 20 * 295 + 2 * 5 * 180
        assert found.per_class[1] == shared / (2 * 9600 - shared)

    def test_void_does_not_count(self) -> None:
        truth = np.zeros((60, 80), np.uint8)
        truth[:, 40:] = 255
        other = np.zeros((60, 80), np.uint8)
        other[:, 40:] = 1
        found = BoundaryIou(2)
        found.update(truth, other)
        assert math.isnan(found.per_class[1])


def test_a_class_of_few_pixels_is_not_judged() -> None:
    classes = np.zeros((100, 100), np.uint8)
    classes[:2, :5] = 1
    variant = np.zeros((100, 100), np.uint8)
    logits = logits_of(classes, 1.0)
    gates = Gates(real_disagreement=0.01, logit_error=1.0, tie_margin=0.0, min_class_pixels=2000)
    found = parity(min_class_pixels=gates.min_class_pixels)
    found.update("a", reference(logits), variant, logits.astype(np.float32), None)
    assert found.summary().classes[1].drop == 1.0
    assert all(verdict.passed for verdict in gates.judge(found.summary()))


@pytest.mark.parametrize(
    ("masks", "labels", "expected"),
    [
        ([[[1, 1]], [[1, 1]]], LABELS, "class_1"),
        ([[[1, 1]], [[1, 0]]], LABELS, None),
        ([[[1, 1]], [[0, 0]]], LABELS, None),
        ([[[0, 0]]], LabelMap.generic(1), None),
    ],
)
def test_a_variant_that_gives_one_class_everywhere_is_noticed(
    masks: list[list[list[int]]], labels: LabelMap, expected: str | None
) -> None:
    found = Parity(labels, tie_margin=0.1, min_class_pixels=4, has_truth=False)
    for number, mask in enumerate(masks):
        classes = np.uint8(mask)
        logits = logits_of(classes, 1.0)[: len(labels)].astype(np.float32)
        found.update(str(number), reference(logits), classes, logits, None)
    assert found.summary().only_class == expected


def test_one_class_everywhere_passes_and_is_said() -> None:
    classes = np.full((1, 4), 2, np.uint8)
    logits = logits_of(classes, 1.0).astype(np.float32)
    found = parity()
    for number in range(3):
        found.update(str(number), reference(logits), classes, logits, None)
    summary = found.summary()
    assert all(result.passed for result in Gates.for_precision("fp32").judge(summary))
    assert note_of(summary) == "predicts one class only, 'class_2', on all 3 frames"
    assert note_of(replace(summary, frames=1)).endswith("on the one frame")
    assert note_of(replace(summary, only_class=None)) == ""


def test_frames_without_finite_logits_tell_no_class() -> None:
    logits = np.full((3, 1, 4), np.nan, np.float32)
    found = parity()
    found.update("a", reference(np.ones((3, 1, 4))), np.full((1, 4), 255, np.uint8), logits, None)
    assert found.summary().only_class is None
