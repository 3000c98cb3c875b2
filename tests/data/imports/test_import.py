"""``edgeseg data import``: classes, splits, archives, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgeseg.cli.main import main
from edgeseg.core.errors import EdgesegError
from edgeseg.data.imports.base import Asked, FileTree
from edgeseg.data.imports.registry import read
from edgeseg.data.imports.target import make_target
from edgeseg.data.voc import VocDataset
from PIL import Image

from .conftest import COLOURS, HW, MAKERS, image, mask, store, text

MakeForm = Callable[[str], Path]
Capture = pytest.CaptureFixture[str]


def lists(root: Path) -> dict[str, list[str]]:
    folder = root / "ImageSets/Segmentation"
    return {path.stem: path.read_text().split() for path in sorted(folder.iterdir())}


def test_classes_are_merged_and_ignored(make_form: MakeForm, tmp_path: Path, capsys: Capture) -> None:
    root, out = make_form("class_dict"), tmp_path / "out"
    args = ["--merge", "car,tree=thing", "--ignore", "background"]
    assert main(["data", "import", str(root), "--out", str(out), *args]) == 0
    assert "background is void" in capsys.readouterr().out
    dataset = VocDataset(out, "val")
    assert dataset.labels.names == ("thing",)
    assert (dataset.read(0).mask == np.where(mask(3) > 0, 0, 255)).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--merge", "car"], "--merge 'car': expected names, =, and a new name"),
        (["--merge", "lorry=car"], "--merge: the set has no class 'lorry'; it has background, car, tree"),
        (["--merge", "car=a", "--merge", "car=b"], "--merge names 'car' twice"),
        (["--ignore", "lorry"], "--ignore: the set has no class 'lorry'"),
        (["--ignore", "background,car,tree"], "no class is left"),
        (["--val", "1.5"], "--val 1.5: expected a share above 0 and below 1"),
        (["--val", "nan"], "--val nan: expected a share"),
        (["--group", "("], "--group '(' is no regular expression"),
        (["--group", "prefix:0"], "--group 'prefix:0': expected folder, prefix:N"),
        (["--val", "0.5", "--group", "prefix:1"], "--group puts all 4 images into one group"),
        (["--seed", "-1"], "--seed -1: expected a whole number"),
        (["--format", "yolo"], "--format 'yolo': expected one of roboflow, supervisely"),
        (["--format", "supervisely"], "holds 0 files meta.json"),
        (["--format", "roboflow"], "has no _classes.csv"),
        (["--format", "coco"], "nothing to import from"),
        (["--format", "coco", "--images", "a", "--masks", "b"], "go with --format globs, not with coco"),
        (["--images", "*.png"], "needs both --images PATTERN and --masks PATTERN"),
        (["--images", "x/*", "--masks", "y/*"], "--images 'x/*' matches no image below"),
        (["--classes", "absent.txt"], "cannot read the list of classes absent.txt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options_are_one_line_and_leave_nothing(
    options: list[str], told: str, make_form: MakeForm, tmp_path: Path, capsys: Capture
) -> None:
    root = make_form("class_dict")
    assert main(["data", "import", str(root), "--out", str(tmp_path / "out"), *options]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["class_dict"], "nothing is left behind"


def test_sources_and_outputs_that_cannot_be(make_form: MakeForm, tmp_path: Path, capsys: Capture) -> None:
    root = make_form("cvat")
    os.mkfifo(tmp_path / "pipe")
    for source in ("nowhere", "pipe"):
        assert main(["data", "import", str(tmp_path / source), "--out", str(tmp_path / "out")]) == 2
        assert "there is no data set" in capsys.readouterr().err
    for out, told in (
        (root, "would replace the data set"),
        (root / "JPEGImages/new", "would replace the data set"),
    ):
        assert main(["data", "import", str(root), "--out", str(out)]) == 2
        assert told in capsys.readouterr().err
    assert main(["data", "import", str(root), "--out", str(root), "--force"]) == 2
    assert "would replace the data set" in capsys.readouterr().err
    assert len(list(root.rglob("*.png"))) == 8


def test_a_zip_comes_in(make_form: MakeForm, tmp_path: Path, capsys: Capture) -> None:
    root, archive = make_form("cvat"), tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*")):
            file.write(path, path.relative_to(root))
        file.writestr("__MACOSX/JPEGImages/._a.png", b"")
    assert main(["data", "check", str(archive)]) == 2
    assert (
        f"is a zip archive; unpack and read it with `edgeseg data import {archive}" in capsys.readouterr().err
    )
    assert main(["data", "import", str(archive), "--out", str(tmp_path / "out")]) == 0
    assert lists(tmp_path / "out") == {"train": ["a/v_0", "a/v_1", "a/v_2"], "val": ["a/v_3"]}
    assert {path.name for path in tmp_path.iterdir()} == {"cvat", "export.zip", "out"}


def test_archives_that_lead_out_or_are_damaged_are_refused(tmp_path: Path, capsys: Capture) -> None:
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../evil.txt", b"x")
    assert main(["data", "import", str(archive), "--out", str(tmp_path / "out")]) == 2
    assert "holds a file whose name leads out of it" in capsys.readouterr().err
    archive.write_bytes(archive.read_bytes()[:40])
    assert main(["data", "import", str(archive), "--out", str(tmp_path / "out")]) == 2
    assert "cannot unpack" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


def test_what_cannot_be_read_is_left_out_with_its_reason(
    make_form: MakeForm, tmp_path: Path, capsys: Capture
) -> None:
    root = make_form("class_dict")
    (root / "train/s0.png").write_bytes(b"\x89PNG no")
    (root / "train_labels/s1_L.png").unlink()
    store(root / "train_labels/s2_L.png", COLOURS[mask(2)][:8])
    assert main(["data", "import", str(root), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "1 images (val 1)" in out
    assert "left out: 1, an image without a mask: train/s1.png" in out
    assert "left out: 1, mask and image differ in size: s2" in out
    assert "s0.png" in out


@pytest.mark.parametrize(
    ("form", "suffix", "note"),
    [
        ("RGB", ".png", "nearest class's colour"),
        ("L", ".png", "thresholded at 128"),
        ("L", ".jpg", "thresholded at 128"),
    ],
)
def test_lossy_masks_in_voc_layout_are_mended(
    form: str, suffix: str, note: str, make_form: MakeForm, tmp_path: Path, capsys: Capture
) -> None:
    root = make_form("cvat")
    noise = np.random.default_rng(0).integers(-20, 21, (*HW, 3))
    for index in range(4):
        path = root / f"SegmentationClass/a/v {index}.png"
        path.unlink()
        clean = COLOURS[mask(index)] if form == "RGB" else ((mask(index) == 2) * 255)
        noisy = np.clip(clean.astype(int) + (noise if form == "RGB" else noise[..., 0]), 0, 255).astype(
            np.uint8
        )
        store(path.with_suffix(suffix), noisy)
    if form == "L":
        text(root / "labelmap.txt", "background:0,0,0::\ntree:128,128,0::\n")
    assert main(["data", "check", str(root)]) == 1
    assert "is a lossy mask" in capsys.readouterr().out
    assert main(["data", "import", str(root), "--out", str(tmp_path / "out")]) == 0
    assert note in capsys.readouterr().out
    wanted = mask(0) if form == "RGB" else mask(0) == 2
    assert (VocDataset(tmp_path / "out", "train").read(0).mask == wanted).mean() > (
        0.99 if suffix == ".png" else 0.9
    )


def test_a_mask_is_turned_with_its_image(make_form: MakeForm, tmp_path: Path, capsys: Capture) -> None:
    root = tmp_path / "set"
    for index, orientation in enumerate((5, 6, 7, 8)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        colours = COLOURS[mask(index)]
        (root / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours).save(root / f"images/{index}.jpg", exif=exif.tobytes(), quality=95)
        store(root / f"masks/{index}.png", mask(index))
    assert main(["data", "import", str(root), "--out", str(tmp_path / "out")]) == 0
    assert "4 masks were turned as EXIF turns their images" in capsys.readouterr().out
    for split in ("train", "val"):
        dataset = VocDataset(tmp_path / "out", split)
        for index in range(len(dataset)):
            sample = dataset.read(index)
            assert sample.mask.shape == HW[::-1]
            # The image shows the classes' colours: each is where the mask has it.
            shown = (
                np.abs(sample.frame_bgr[..., ::-1].astype(int)[:, :, None] - COLOURS)
                .sum(axis=3)
                .argmin(axis=2)
            )
            assert (shown == sample.mask).mean() > 0.95


def test_patterns_name_images_and_masks(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for index in range(4):
        image(root / f"a/day/{index}.png", index)
        store(root / f"b/{index}_x_seg.tif", mask(index) * 5)
    shutil.move(root / "b/3_x_seg.tif", root / "b/other.tif")
    text(tmp_path / "classes.csv", "0,ground\n5,car\n10,tree\n")
    args = ["--images", "a/*.png", "--masks", "b/*.tif", "--classes", str(tmp_path / "classes.csv")]
    for path in sorted((root / "b").iterdir()):
        path.rename(path.with_name(path.name.replace("_x_seg", "_mask")))
    assert main(["data", "import", str(root), "--out", str(tmp_path / "out"), *args]) == 0
    dataset = VocDataset(tmp_path / "out", "train")
    assert dataset.labels.names == ("ground", "car", "tree")
    assert (dataset.read(0).mask == mask(0)).all()


def test_a_sequence_does_not_straddle(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for drive in ("north", "south", "west", "east", "hill"):
        for index in range(3):
            image(root / f"images/{drive}_{index}.png", index)
            store(root / f"masks/{drive}_{index}.png", mask(index))
    found = {}
    for name, group in (("a", "prefix:4"), ("b", "^[a-z]+")):
        out = tmp_path / name
        assert main(["data", "import", str(root), "--out", str(out), "--val", "0.2", "--group", group]) == 0
        found[name] = lists(out)
        assert len(found[name]["val"]) == 3
        assert not {x[:4] for x in found[name]["val"]} & {x[:4] for x in found[name]["train"]}
    assert main(["data", "import", str(root), "--out", str(tmp_path / "c"), "--val", "0.2"]) == 0
    assert lists(tmp_path / "c")["val"] == ["west_0", "west_1", "west_2"], "without groups the last by name"


def test_the_sets_own_lists_stay(make_form: MakeForm, tmp_path: Path, capsys: Capture) -> None:
    root = make_form("roboflow")
    assert main(["data", "import", str(root), "--out", str(tmp_path / "a"), "--group", "folder"]) == 0
    assert "note: --group is not used: the set has a val of its own" in capsys.readouterr().out
    assert {name: len(ids) for name, ids in lists(tmp_path / "a").items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    assert main(["data", "import", str(root), "--out", str(tmp_path / "b"), "--val", "0.6"]) == 0
    anew = lists(tmp_path / "b")
    assert anew["test"] == lists(tmp_path / "a")["test"]
    assert (len(anew["train"]), len(anew["val"])) == (1, 2)


def test_data_split_writes_lists(make_form: MakeForm, capsys: Capture) -> None:
    root = make_form("cvat")
    assert main(["data", "split", str(root), "--val", "0.5"]) == 0
    assert "wrote 2 images to train and 2 to val" in capsys.readouterr().out
    assert VocDataset(root, "val").ids == ["a/v 2", "a/v 3"]
    assert main(["data", "split", str(root)]) == 2
    assert "has the lists train and val already; give --force" in capsys.readouterr().err
    assert main(["data", "split", str(root), "--force", "--val", "0.25"]) == 0
    assert VocDataset(root, "val").ids == ["a/v 3"]
    assert main(["data", "check", str(root)]) == 0
    shutil.rmtree(root / "ImageSets")
    assert main(["data", "split", str(root), "--group", "v ([01])", "--seed", "3"]) == 0
    assert main(["data", "check", str(root)]) == 0
    assert not [path for path in (root / "ImageSets/Segmentation").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    "options", [["--val", "0"], ["--group", "[a"], ["--seed", "99999999999"], ["--group", "folder"]]
)
def test_a_bad_split_changes_nothing(options: list[str], make_form: MakeForm, capsys: Capture) -> None:
    root = make_form("cvat")
    assert main(["data", "split", str(root), *options]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in (root / "ImageSets/Segmentation").iterdir()] == ["default.txt"]


@pytest.mark.parametrize("name", MAKERS)
def test_what_was_imported_trains(name: str, make_form: MakeForm, tmp_path: Path) -> None:
    out, run = tmp_path / "out", tmp_path / "run"
    assert main(["data", "import", str(make_form(name)), "--out", str(out)]) == 0
    args = ["--epochs", "1", "--batch-size", "1", "--crop", "32x32", "--workers", "0", "--out", str(run)]
    assert main(["train", "--model", "unet", "--option", "width=4", "--data", str(out), *args]) == 0
    assert (run / "best.safetensors").is_file()


def test_names_that_no_file_can_have_are_shortened(make_form: MakeForm, tmp_path: Path) -> None:
    root = make_form("labelme")
    entry = json.loads((root / "0.json").read_text())
    for index in range(2):
        image(root / f"{'é' * 120}{index}.jpg", index)
        text(root / f"{'é' * 120}{index}.json", json.dumps({**entry, "imagePath": "x" * 5000}))
    (root / "0.json").unlink()
    assert main(["data", "import", str(root), "--out", str(tmp_path / "out")]) == 0
    assert main(["data", "check", str(tmp_path / "out")]) == 0
    names = [path.name for path in (tmp_path / "out/JPEGImages").iterdir()]
    assert len(names) == 5
    assert max(len(name.encode()) for name in names) < 160


VALUES = (
    None,
    True,
    -1,
    10**400,
    1e308,
    float("nan"),
    "",
    "../../x",
    [],
    [[1, 2, 3]],
    {},
    [None],
    "\ud800",
    "é" * 300,
)


@pytest.mark.parametrize(
    ("name", "file"), [("labelme", "0.json"), ("coco", "*val*.json"), ("supervisely", "ds/ann/0*")]
)
def test_annotations_of_any_content_are_read_or_refused(
    name: str, file: str, make_form: MakeForm, tmp_path: Path
) -> None:
    """Each field of a tool's file in turn has another value; a bug would raise something else."""
    root = make_form(name)
    (path,) = root.rglob(file)
    sound = json.loads(path.read_text())
    refused = taken = 0
    for number, place in enumerate(places(sound)):
        for value in VALUES[number % 4 :: 4]:
            path.write_text(json.dumps(replaced(sound, place, value)))
            try:
                found = read(FileTree.of(root), name, Asked())[1]
                make_target(found.classes, [], [])
                for item in found.items:
                    item.mask(HW)
            except EdgesegError:
                refused += 1
            else:
                taken += 1
    assert refused
    assert taken


def places(value: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The places of all fields, the first two of each list."""
    inner: list[tuple[object, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))[:2]
    return [at] * bool(at) + [each for key, below in inner for each in places(below, (*at, key))]


def replaced(value: object, place: tuple[object, ...], new: object) -> object:
    """A copy with another value at a place."""
    copy = json.loads(json.dumps(value))
    at = copy
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = new
    return copy
