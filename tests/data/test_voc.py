"""VOC layout: read, and refused by message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.core.errors import DataError
from edgeseg.core.labels import voc_labels
from edgeseg.data.lists import find_split, split_names
from edgeseg.data.voc import VocDataset, find_root
from PIL import Image

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
    with pytest.raises(DataError, match=r"line 1: .* is too long for an image's id"):
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


def test_without_a_label_map_only_vocs_own_folder_has_vocs_classes(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    (root / "labelmap.txt").unlink()
    with pytest.raises(
        DataError, match=r"has no labelmap\.txt, and what its masks hold is not guessed"
    ) as told:
        VocDataset(root, "val")
    for line in ("colour_0_0_0:0,0,0::", "colour_128_64_128:128,64,128::", "colour_64_0_128:64,0,128::"):
        assert line in str(told.value)
    (root / "class_names.txt").write_text("_background_\nroad\ncar\n")
    with pytest.raises(DataError, match=r"data import .* takes the 3 classes of class_names.txt"):
        VocDataset(root, "val")
    (root / "class_names.txt").unlink()
    official = root.rename(root.with_name("VOC2012"))
    assert VocDataset(official, "val").labels == voc_labels()


def test_without_a_label_map_values_of_grey_masks_are_offered(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    (root / "labelmap.txt").unlink()
    for path in (root / "SegmentationClass").iterdir():
        Image.fromarray(np.array([[0, 2, 255]], np.uint8)).save(path)
    with pytest.raises(DataError, match="class_0:0,0,0:: class_1:128,0,0:: class_2:0,128,0::;"):
        VocDataset(root, "val")


def test_lists_are_read_as_tools_write_them(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    for folder, suffix in (("JPEGImages", ".png"), ("SegmentationClass", ".png")):
        (root / folder / "street/one").mkdir(parents=True)
        (root / folder / f"val_0{suffix}").rename(root / folder / f"street/one/v.1{suffix}")
        (root / folder / f"val_1{suffix}").rename(root / folder / f"my view{suffix}")
    path = root / "ImageSets/Segmentation/val.txt"
    for lines in (
        "street/one/v.1\nmy view\n",
        "# made by a tool\nstreet/one/v.1.png\nmy view.png\n",
        'JPEGImages/street/one/v.1.png SegmentationClass/street/one/v.1.png\n"my view" 1\n',
        '/set/JPEGImages/street/one/v.1.png SegmentationClass/street/one/v.1.png\n"my view"\n',
    ):
        path.write_text(lines)
        dataset = VocDataset(root, "val")
        assert dataset.ids == ["street/one/v.1", "my view"]
        assert dataset.read(0).mask.shape == (24, 32)
    path.write_text("../../elsewhere\n")
    with pytest.raises(DataError, match="leads out of the data set"):
        VocDataset(root, "val")


def test_splits_under_other_names_are_found(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    lists = root / "ImageSets/Segmentation"
    (lists / "train.txt").rename(lists / "Train.txt")
    (lists / "val.txt").rename(lists / "Validation.txt")
    assert (len(VocDataset(root, "train")), len(VocDataset(root, "val"))) == (4, 2)
    assert (find_split(root, "val"), find_split(root, "test")) == ("Validation", None)
    (lists / "valid.txt").write_text("val_0\n")
    with pytest.raises(DataError, match="has no split 'val'"):
        VocDataset(root, "val")


def test_tiff_images_are_read(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    for suffix in (".tif", ".TIFF"):
        path = next((root / "JPEGImages").glob("val_0.*"))
        image = cv2.imread(str(path))
        path.unlink()
        cv2.imwrite(str(path.with_suffix(".tiff")), image)
        path.with_suffix(".tiff").rename(path.with_suffix(suffix))
        assert (VocDataset(root, "val").read(0).frame_bgr == image).all()


def test_a_size_that_differs_by_a_turn_names_exif(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(root / "JPEGImages/val_0.png") as image:
        image.convert("RGB").save(root / "JPEGImages/val_0.jpg", exif=exif.tobytes())
    with pytest.raises(DataError, match="expected the same size: the image is turned upright by its EXIF"):
        VocDataset(root, "val").read(0)


def test_a_folder_above_is_found(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    assert VocDataset(root.parent, "val").root == root


def test_refusals(make_dataset: MakeDataset, tmp_path: Path) -> None:
    root = make_dataset()
    with pytest.raises(DataError, match=r"has no split 'test': .* splits there: train, val"):
        VocDataset(root, "test")
    (root / "ImageSets/Segmentation/empty.txt").write_text("\n")
    with pytest.raises(DataError, match="names no image"):
        VocDataset(root, "empty")
    with pytest.raises(DataError, match="there is no data set folder"):
        VocDataset(tmp_path / "nowhere", "train")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="is not in VOC layout: expected JPEGImages/"):
        VocDataset(tmp_path / "bare", "train")
    cv2.imwrite(str(root / "JPEGImages/val_0.png"), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(DataError, match="is 32 x 24, its image 10 x 10; expected the same size"):
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
