"""The sources of a verification's frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import DataError, UsageError
from edgeseg.core.labels import LabelMap, voc_labels
from edgeseg.export.verification.frames import VocFrames, class_note, open_frames

SIZE_HW = (48, 64)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Ten grey images of growing brightness; the mask's class is the image's number."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(10):
        cv2.imwrite(
            str(tmp_path / "JPEGImages" / f"p{number}.png"), np.full((*SIZE_HW, 3), number * 20, np.uint8)
        )
        cv2.imwrite(
            str(tmp_path / "SegmentationClass" / f"p{number}.png"), np.full(SIZE_HW, number, np.uint8)
        )
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("\n".join(f"p{n}" for n in range(10)))
    voc_labels().write(tmp_path / "labelmap.txt")
    return tmp_path


def test_a_limit_spreads_over_the_split(dataset: Path) -> None:
    assert [frame.id for frame in VocFrames(dataset, "val", 3)] == ["p0", "p3", "p6"]
    assert len(VocFrames(dataset, "val", 99)) == 10
    assert len(open_frames(dataset, "val", None, None, SIZE_HW)) == 10
    frame = next(iter(VocFrames(dataset, "val")))
    assert frame.frame_bgr.shape == (*SIZE_HW, 3)
    assert frame.mask.shape == SIZE_HW


def test_the_aerial_world_is_there_without_data() -> None:
    frames = open_frames(None, "val", None, 2, SIZE_HW)
    assert frames.name == "aerial:7"
    first, second = frames
    assert first.frame_bgr.shape == (*SIZE_HW, 3)
    assert first.mask.shape == SIZE_HW
    assert not np.array_equal(first.frame_bgr, second.frame_bgr)
    again = next(iter(open_frames(None, "val", "aerial:7", 2, SIZE_HW)))
    assert np.array_equal(first.frame_bgr, again.frame_bgr)


def test_masks_of_other_classes_are_no_truth(dataset: Path) -> None:
    frames = VocFrames(dataset, "val")
    assert class_note(frames, voc_labels()) == ""
    note = class_note(frames, LabelMap.generic(21))
    assert "background, aeroplane, bicycle …" in note
    assert "there is no truth: the variants are compared with PyTorch alone" in note


@pytest.mark.parametrize("source", ["0", "video.mp4", "aerial", "aerial:x", "aerial:-1"])
def test_a_source_without_labels(source: str) -> None:
    with pytest.raises(
        UsageError, match=f"--source {source} has no labels to verify on; expected aerial:SEED"
    ):
        open_frames(None, "val", source, None, SIZE_HW)


def test_two_sources(dataset: Path) -> None:
    with pytest.raises(UsageError, match="give one of them"):
        open_frames(dataset, "val", "aerial:7", None, SIZE_HW)


def test_no_frames() -> None:
    with pytest.raises(UsageError, match="--frames is 0; verification needs at least one frame"):
        open_frames(None, "val", None, 0, SIZE_HW)


def test_a_data_set_without_pairs(dataset: Path) -> None:
    (dataset / "ImageSets/Segmentation/empty.txt").write_text("")
    with pytest.raises(DataError, match="names no image"):
        open_frames(dataset, "empty", None, None, SIZE_HW)
    with pytest.raises(DataError, match="no split 'test'"):
        open_frames(dataset, "test", None, None, SIZE_HW)
