"""The findings of ``edgeseg data check``."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeseg.cli.main import main
from edgeseg.core.errors import DataError
from edgeseg.data.check import check_dataset
from PIL import Image

MakeDataset = Callable[..., Path]


def test_a_sound_set_has_no_problems(make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_dataset()
    assert main(["data", "check", str(root)]) == 0
    shown = capsys.readouterr().out
    assert "no problems" in shown
    assert "train: 4 images (32 x 24: 4)" in shown
    assert main(["data", "check", str(root), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["splits"]["val"]["pictures"] == 2
    assert sum(report["splits"]["val"]["pixels"].values()) == 2 * 24 * 32


def test_each_fault_is_named(make_dataset: MakeDataset) -> None:
    root = make_dataset(train=6)
    shutil.copy(root / "JPEGImages/train_0.png", root / "JPEGImages/val_0.png")
    (root / "SegmentationClass/train_1.png").unlink()
    (root / "JPEGImages/train_2.png").unlink()
    cv2.imwrite(str(root / "JPEGImages/train_3.png"), np.zeros((8, 8, 3), np.uint8))
    Image.fromarray(np.full((24, 32, 3), 9, np.uint8)).save(root / "SegmentationClass/train_4.png")
    cv2.imwrite(str(root / "JPEGImages/stray.png"), np.zeros((8, 8, 3), np.uint8))
    report = check_dataset(root)
    found = "\n".join(report.problems)
    assert "1 images are in both train and val, such as train_0 = val_0" in found
    assert "train_1.png" in found
    assert "train_2.jpg is missing" in found
    assert "train_3 has a mask of 32 x 24 and an image of 8 x 8" in found
    assert "holds the colour (9, 9, 9)" in found
    assert len(report.problems) == 5
    assert any("1 images are in no split, such as stray" in note for note in report.notes)
    assert main(["data", "check", str(root)]) == 1


def test_images_that_exif_turns_are_noted(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    image = sorted((root / "JPEGImages").iterdir())[0]
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(image) as opened:
        opened.convert("RGB").save(image, "JPEG", exif=exif.tobytes())
    notes = "\n".join(check_dataset(root).notes)
    assert f"1 images are turned upright by their EXIF orientation, such as {image.stem}; masks are" in notes


def test_images_cut_short_with_an_end_are_problems(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    image = sorted((root / "JPEGImages").iterdir())[0]
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    image.write_bytes(data[: len(data) * 8 // 10] + data[-2:])
    (problem,) = check_dataset(root).problems
    assert f"the image {image} is damaged or truncated (premature end of data segment)" in problem


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "place",
    ["JPEGImages/{}.png", "SegmentationClass/{}.png", "ImageSets/Segmentation/train.txt", "labelmap.txt"],
)
def test_no_pipe_holds_a_check_up(make_dataset: MakeDataset, place: str) -> None:
    root = make_dataset()
    name = sorted((root / "JPEGImages").iterdir())[0].stem
    path = root / place.format(name)
    if not path.exists():
        path = next((root / "JPEGImages").glob(f"{name}.*"))
    path.unlink()
    os.mkfifo(path)
    try:
        said = "\n".join(check_dataset(root).problems)
    except DataError as error:
        said = str(error)
    assert f"{path}: it is a pipe, expected a file" in said


def test_what_macos_leaves_beside_files_is_no_part_of_a_set(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    for path in [*root.rglob("*.png"), *root.rglob("*.jpg"), *root.rglob("*.txt")]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7\xff\xfe" + bytes(50))
    report = check_dataset(root)
    assert report.problems == []
    assert set(report.splits) == {"train", "val"}
    assert not [note for note in report.notes if "in no split" in note]


def test_a_set_without_lists_is_read_all_the_same(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    shutil.rmtree(root / "ImageSets")
    report = check_dataset(root)
    assert report.splits["all"].images == 6
    (problem,) = report.problems
    assert problem.startswith("there is no list in ImageSets/Segmentation: `edgeseg data split ")


def test_unknown_colours_of_all_masks_come_as_lines_to_paste(
    make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_dataset()
    for name, colour in (("train_0", (1, 2, 3)), ("train_1", (7, 8, 9)), ("val_0", (7, 8, 9))):
        Image.fromarray(np.full((24, 32, 3), colour, np.uint8)).save(root / f"SegmentationClass/{name}.png")
    assert main(["data", "check", str(root)]) == 1
    assert "instead of these:\n  colour_7_8_9:7,8,9::\n  colour_1_2_3:1,2,3::\n" in capsys.readouterr().out


def test_an_uncovered_class_is_noted(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    with (root / "labelmap.txt").open("a") as file:
        file.write("unicorn:1,2,3::\n")
    assert any("no pixel of unicorn" in note for note in check_dataset(root).notes)


def test_a_folder_that_is_no_data_set_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(tmp_path)]) == 2
    assert "is not in VOC layout" in capsys.readouterr().err


def test_real_sets_have_no_problems(shared_data: Path) -> None:
    assert check_dataset(shared_data / "VOCdevkit").problems == []
    camvid = check_dataset(shared_data / "camvid")
    assert camvid.problems == []
    assert (camvid.splits["train"].images, camvid.splits["val"].images) == (367, 101)


def test_voc_that_is_not_there_says_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "voc", "--dir", str(tmp_path)]) == 2
    assert "edgeseg data voc --download" in capsys.readouterr().err


def test_a_download_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("network unreachable")

    monkeypatch.setattr("torchvision.datasets.VOCSegmentation", refuse)
    assert main(["data", "voc", "--download", "--dir", str(tmp_path)]) == 2
    assert "could not fetch PASCAL VOC 2012 (network unreachable)" in capsys.readouterr().err
