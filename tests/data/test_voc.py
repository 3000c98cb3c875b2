"""VOC layout: read, and refused by message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.data.voc import VocDataset, find_root, split_names
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.labels import voc_labels

MakeDataset = Callable[..., Path]


@pytest.mark.parametrize("kind", ["palette", "rgb"])
def test_a_split_reads(make_dataset: MakeDataset, kind: str) -> None:
    dataset = VocDataset(make_dataset(kind=kind), "train")
    assert dataset.labels.names == ("ground", "road", "car")
    assert len(dataset) == 4
    sample = dataset.read(0)
    assert sample.id == "train_0"
    assert sample.frame_bgr.shape == (24, 32, 3)
    assert set(np.unique(sample.mask)) <= {0, 1, 2, 255}


def test_ids_may_be_followed_by_more(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    (root / "ImageSets/Segmentation/val.txt").write_text("val_0 1\nval_1 -1\n\n")
    assert VocDataset(root, "val").ids == ["val_0", "val_1"]


def test_lists_of_other_systems_are_read_or_refused_in_one_line(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    path = root / "ImageSets/Segmentation/val.txt"
    path.write_bytes(b"\xef\xbb\xbfval_0\r\n._val_0\r\nval_1\r\n")
    assert VocDataset(root, "val").ids == ["val_0", "val_1"]
    for encoding, message in (("utf-16", "UTF-16, or no text"), ("latin-1", "byte 0xdf in line 1")):
        path.write_text("straße\n", encoding=encoding)
        with pytest.raises(DataError, match=rf"cannot read the list .*val\.txt: it is .*{message}"):
            VocDataset(root, "val")
    path.write_text("x" * 5000)
    with pytest.raises(DataError, match=r"line 1: .* is too long for a picture's id"):
        VocDataset(root, "val")


def test_what_macos_leaves_is_no_part_of_a_set(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    (root / "ImageSets/Segmentation/._val.txt").write_bytes(b"\x00\x05\x16\x07")
    (root.parent / "__MACOSX/set/JPEGImages").mkdir(parents=True)
    assert split_names(root) == ["train", "val"]
    assert find_root(root.parent) == root


@pytest.mark.parametrize("name", ["", ".", "../val", "a" * 300, "val\0"])
def test_odd_names_of_splits_and_folders_are_refused(make_dataset: MakeDataset, name: str) -> None:
    root = make_dataset()
    with pytest.raises(DataError, match="has no split"):
        VocDataset(root, name)
    for folder in (root / "JPEGImages/none" / name, root / "JPEGImages/train_0.png"):
        with pytest.raises(DataError, match="there is no data set folder"):
            find_root(folder)


def test_without_a_label_map_the_classes_are_vocs(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    (root / "labelmap.txt").unlink()
    assert VocDataset(root, "val").labels == voc_labels()


def test_a_folder_above_is_found(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    assert VocDataset(root.parent, "val").root == root


def test_refusals(make_dataset: MakeDataset, tmp_path: Path) -> None:
    root = make_dataset()
    with pytest.raises(DataError, match=r"has no split 'test': .* splits there: train, val"):
        VocDataset(root, "test")
    (root / "ImageSets/Segmentation/empty.txt").write_text("\n")
    with pytest.raises(DataError, match="names no picture"):
        VocDataset(root, "empty")
    with pytest.raises(DataError, match="there is no data set folder"):
        VocDataset(tmp_path / "nowhere", "train")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="is not in VOC layout: expected JPEGImages/"):
        VocDataset(tmp_path / "bare", "train")
    cv2.imwrite(str(root / "JPEGImages/val_0.png"), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(DataError, match="is 32 x 24, its picture 10 x 10; expected the same size"):
        VocDataset(root, "val").read(0)
    (root / "JPEGImages/val_1.png").unlink()
    with pytest.raises(DataError, match="is missing; run `edgeseg data check"):
        VocDataset(root, "val").read(1)


def test_the_real_voc_reads(shared_data: Path) -> None:
    dataset = VocDataset(shared_data / "VOCdevkit", "val")
    assert dataset.labels == voc_labels()
    samples = [dataset.read(index) for index in range(len(dataset))]
    assert len(samples) == 20
    assert {15, 255} <= {int(value) for sample in samples for value in np.unique(sample.mask)}
