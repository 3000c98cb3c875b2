"""The calibration set: two parts that share no image, and how well they cover the classes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.calibration.images import DEFAULT_IMAGES, image_sha256, open_images, survey
from edgeseg.core.errors import DataError, UsageError
from edgeseg.core.labels import VOID, LabelMap
from edgeseg.data.images import VocImages
from edgeseg.data.voc import Sample

from .conftest import LABELS, MemoryImages, image

MakeDataset = Callable[..., Path]


def test_two_parts_that_share_nothing_and_use_everything() -> None:
    found = survey(MemoryImages([image(i) for i in range(7)]), LABELS)
    assert set(found.for_ranges) & set(found.held_out) == set()
    assert sorted((*found.for_ranges, *found.held_out)) == list(range(7))
    assert abs(len(found.for_ranges) - len(found.held_out)) <= 1
    assert [sample.id for sample in found.read(found.held_out)] == ["image-1", "image-3", "image-5"]


def test_the_same_pixels_under_another_name_stand_on_one_side_only(make_dataset: MakeDataset) -> None:
    root = make_dataset(train=4)
    for suffix in ("JPEGImages", "SegmentationClass"):
        shutil.copy(root / suffix / "train_0.png", root / suffix / "again.png")
    # Another file format without loss changes nothing either.
    pixels = cv2.imread(str(root / "JPEGImages" / "train_1.png"))
    cv2.imwrite(str(root / "JPEGImages" / "other.bmp"), pixels)
    shutil.copy(root / "SegmentationClass" / "train_1.png", root / "SegmentationClass" / "other.png")
    names = ["train_0", "again", "train_1", "other", "train_2", "train_3"]
    (root / "ImageSets/Segmentation/train.txt").write_text("\n".join(names))
    found = survey(VocImages(root), LABELS)
    assert found.coverage.images == 4
    used = [sample.id for part in (found.for_ranges, found.held_out) for sample in found.read(part)]
    assert sorted(used) == ["train_0", "train_1", "train_2", "train_3"]


def test_images_are_spread_evenly() -> None:
    found = survey(MemoryImages([image(i) for i in range(12)]), LABELS, count=4)
    assert sorted(found.hashes) == [0, 3, 6, 9]


def test_the_digest_is_of_the_images_for_the_ranges() -> None:
    def digest(*seeds: int) -> str:
        return survey(MemoryImages([image(seed) for seed in seeds]), LABELS).sha256

    assert digest(0, 1, 2, 3) == digest(2, 1, 0, 3)
    assert digest(0, 1, 2, 3) == digest(0, 9, 2, 8)  # others held out
    assert digest(0, 1, 2, 3) != digest(0, 1, 4, 3)


def test_an_images_digest_knows_its_shape() -> None:
    frame = image(0).frame_bgr
    assert image_sha256(frame) == image_sha256(frame.copy())
    assert image_sha256(frame) == image_sha256(np.asfortranarray(frame))
    assert image_sha256(frame) != image_sha256(frame.reshape(16, 96, 3))


def test_coverage_and_classes_never_seen() -> None:
    frame = image(0).frame_bgr
    mask = np.zeros(frame.shape[:2], np.uint8)
    mask[:8] = VOID
    mask[8:14] = 1
    samples = [Sample(str(i), frame ^ np.uint8(i), mask) for i in range(2)]
    found = survey(MemoryImages(samples), LABELS)
    assert found.has_truth
    assert found.coverage.class_shares == {"ground": 18 / 24, "road": 6 / 24, "car": 0.0}
    assert found.coverage.never_seen == ("car",)


def test_masks_in_other_classes_are_no_truth() -> None:
    other = LabelMap.from_pairs([("sky", (0, 0, 0)), ("sea", (1, 1, 1)), ("sand", (2, 2, 2))])
    found = survey(MemoryImages([image(0), image(1)], other), LABELS)
    assert not found.has_truth
    assert found.coverage.class_shares == {}
    assert found.coverage.never_seen == ()


def test_fewer_than_two_different_images() -> None:
    with pytest.raises(DataError, match=r"images by hand has 1 different images; .* at least 2"):
        survey(MemoryImages([image(0)] * 5), LABELS)


@pytest.mark.parametrize("count", [1, 0, -3])
def test_a_count_below_two(count: int) -> None:
    with pytest.raises(UsageError, match=f"--calibration-images {count}: expected at least 2"):
        survey(MemoryImages([image(0), image(1)]), LABELS, count)


def test_every_image_is_told() -> None:
    steps: list[int] = []
    survey(MemoryImages([image(0)] * 2 + [image(1)]), LABELS, None, lambda: steps.append(1))
    assert len(steps) == 3


def test_views_of_the_aerial_world() -> None:
    views = open_images("aerial:3", (32, 48), 3)
    assert (len(views), views.name) == (3, "aerial:3")
    one, again, other = views.read(1), open_images("aerial:3", (32, 48), 3).read(1), views.read(2)
    assert one.frame_bgr.shape == (32, 48, 3)
    assert one.mask.shape == (32, 48)
    assert image_sha256(one.frame_bgr) == image_sha256(again.frame_bgr)
    assert image_sha256(one.frame_bgr) != image_sha256(other.frame_bgr)
    assert len(open_images("aerial:3", (32, 48), None)) == DEFAULT_IMAGES


def test_a_data_sets_train_split(make_dataset: MakeDataset) -> None:
    images = open_images(str(make_dataset(train=3, val=2)), (32, 48), None)
    assert (len(images), images.name) == (3, "set, split train")
    assert images.read(2).id == "train_2"


@pytest.mark.parametrize("source", ["aerial:", "aerial:x", "aerial:-1"])
def test_an_aerial_world_without_a_number(source: str) -> None:
    with pytest.raises(UsageError, match=f"--calibrate {source}: expected aerial:SEED with a number"):
        open_images(source, (32, 48), None)


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(DataError, match="there is no data set folder nowhere"):
        open_images("nowhere", (32, 48), None)
