from __future__ import annotations

import numpy as np
import pytest
from edgeseg.core.labels import VOID, LabelMap, voc_labels
from edgeseg.runtime.overlay import Overlay
from edgeseg.runtime.result import Segmentation

LABELS = LabelMap.from_pairs([("road", (200, 0, 0)), ("a car with a long name", (0, 0, 200))])


def draw(
    classes: np.ndarray, labels: LabelMap = LABELS, status: str = "25.0 fps", **fields: object
) -> np.ndarray:
    frame = np.full((*classes.shape, 3), 100, np.uint8)
    result = Segmentation(classes, **fields)  # type: ignore[arg-type]
    kept = frame.copy()
    drawn = Overlay(labels).draw(frame, result, result.shares(len(labels)), status)
    np.testing.assert_array_equal(frame, kept)
    assert drawn.shape == frame.shape
    assert drawn.dtype == np.uint8
    return drawn


@pytest.mark.parametrize("size_hw", [(1, 1), (40, 2000), (160, 160), (216, 384), (1080, 1920)])
def test_frames_of_any_size_can_be_drawn_on(size_hw: tuple[int, int]) -> None:
    classes = np.random.default_rng(0).integers(0, 21, size_hw, np.uint8)
    draw(classes, voc_labels())
    draw(np.full(size_hw, VOID, np.uint8), valid=False, reason="not-finite")


def test_classes_are_blended_borders_darker_and_void_untouched() -> None:
    classes = np.zeros((600, 900), np.uint8)
    classes[:, 450:] = 1
    classes[500:, :] = VOID
    drawn = draw(classes)
    assert drawn[450, 200].tolist() == [50, 50, 150]  # BGR: half the frame, half the colour
    assert drawn[450, 700].tolist() == [150, 50, 50]
    assert drawn[450, 449:451].max() < 75
    assert drawn[599, 200].tolist() == [100, 100, 100]


def test_the_legend_and_the_rate_are_in_their_corners() -> None:
    with_text, without = (
        draw(np.zeros((400, 600), np.uint8)),
        Overlay(LABELS).blend(np.full((400, 600, 3), 100, np.uint8), np.zeros((400, 600), np.uint8)),
    )
    changed = (with_text != without).any(axis=2)
    assert changed[:60, :150].any()
    assert changed[:60, -100:].any()
    assert not changed[100:].any()


def test_more_classes_than_fit_are_summed_up() -> None:
    labels = LabelMap.generic(200)
    classes = (np.arange(400 * 600).reshape(400, 600) % 200).astype(np.uint8)
    overlay = Overlay(labels)
    rows = overlay._rows(Segmentation(classes).shares(200), room=10)
    assert len(rows) == 10
    assert (rows[-1].colour, rows[-1].name) == (None, "191 more")


def test_an_invalid_result_is_struck_through() -> None:
    drawn = draw(np.full((400, 600), VOID, np.uint8), valid=False, reason="not-finite")
    red = (drawn[..., 2] > 200) & (drawn[..., 1] < 120)
    assert red[5:20, 5:30].any()
    assert red[-20:-5, 5:30].any()
    assert drawn[300, 100].tolist() == [60, 60, 60]
