"""Every form from what a tool writes to a data set that the check finds sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeseg.cli.main import main
from edgeseg.core.errors import DataError
from edgeseg.core.labels import VOID
from edgeseg.data.check import check_dataset
from edgeseg.data.imports.base import FileTree
from edgeseg.data.imports.registry import detect
from edgeseg.data.voc import VocDataset

from .conftest import MAKERS, mask

MakeForm = Callable[[str], Path]

THREE = ("background", "car", "tree")
EXPECTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "cvat": ("voc", THREE),
    "labelme_voc": ("voc", THREE),
    "labelme": ("labelme", THREE),
    "roboflow": ("roboflow", THREE),
    "coco": ("coco", THREE),
    "supervisely": ("supervisely", THREE),
    "cityscapes": ("cityscapes", ("road", "car", "vegetation")),
    "ade20k": ("ade20k", ("wall", "car", "tree")),
    "camvid": ("camvid", ("Road", "Car", "Tree")),
    "drive": ("pairs", ("background", "object")),
    "kvasir": ("pairs", ("background", "object")),
    "class_dict": ("pairs", THREE),
}


def test_every_form_is_expected() -> None:
    assert MAKERS.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", MAKERS)
def test_a_form_comes_in(
    name: str, make_form: MakeForm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = make_form(name), tmp_path / "out"
    form, classes = EXPECTED[name]
    assert detect(FileTree.of(root)) == form
    assert main(["data", "import", str(root), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "4 images" in said
    report = check_dataset(out)
    assert report.problems == []
    assert sum(split.images for split in report.splits.values()) == 4
    assert {"train", "val"} <= report.splits.keys()
    assert set(classes) <= set(report.labels.names)
    assert len(report.labels) == {"cityscapes": 19, "camvid": 11}.get(form, len(classes))
    wanted = [mask(index) for index in range(4)]
    if len(classes) == 2:
        wanted = [(each == 2).astype(np.uint8) for each in wanted]
    table = np.array([report.labels.names.index(each) for each in classes], np.uint8)
    for split in report.splits:
        dataset = VocDataset(out, split)
        for index in range(len(dataset)):
            sample = dataset.read(index)
            labelled = sample.mask != VOID
            assert labelled.mean() > 0.99
            equal = [(sample.mask[labelled] == table[each][labelled]).all() for each in wanted]
            assert equal.count(True) == 1, sample.id
            wanted.pop(equal.index(True))
    assert not wanted


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "cvat"])
def test_an_error_names_the_form_that_lies_there(
    name: str, make_form: MakeForm, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_form(name)
    assert main(["data", "check", str(root)]) == 2
    err = capsys.readouterr().err
    assert f"`edgeseg data import {root} --out DIR`" in err
    assert err.count("\n") == 1


def test_a_jpeg_mask_is_thresholded_and_said_so(
    make_form: MakeForm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "import", str(make_form("kvasir")), "--out", str(tmp_path / "out")]) == 0
    assert "thresholded at 128" in capsys.readouterr().out


def test_what_covers_nothing_is_told(
    make_form: MakeForm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "import", str(make_form("labelme")), "--out", str(tmp_path / "out")]) == 0
    assert (
        "left out: 4, a shape that covers nothing: point: 0.json, 1.json, 2.json …" in capsys.readouterr().out
    )


def test_an_unmodified_export_of_cvat_is_read_as_it_is(make_form: MakeForm) -> None:
    dataset = VocDataset(make_form("cvat"), "default")
    assert dataset.ids == [f"a/v {index}" for index in range(4)]
    assert (dataset.read(2).mask == mask(2)).all()


def test_a_folder_of_nothing_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/readme.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"is not in VOC layout.*Segmentation/$"):
        VocDataset(tmp_path / "set", "train")
