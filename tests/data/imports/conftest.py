"""Tiny data sets of every form, made here: two classes of objects on a background, drawn as each tool stores them."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HW = (32, 48)
CAR, TREE = (slice(4, 12), slice(6, 20)), (slice(16, 28), slice(24, 40))
COLOURS = np.array([(0, 0, 0), (64, 0, 128), (128, 128, 0)], np.uint8)
Maker = Callable[[Path], None]


def mask(index: int = 0) -> np.ndarray:
    """0 background, 1 car, 2 tree; moved a little from image to image."""
    ids = np.zeros(HW, np.uint8)
    ids[CAR], ids[TREE] = 1, 2
    return np.roll(ids, index, axis=1)


def image(path: Path, index: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(index).integers(0, 60, (*HW, 3), np.uint8)
    Image.fromarray(COLOURS[mask(index)] // 2 + noise).save(path)


def store(path: Path, values: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)


def palette(path: Path, values: np.ndarray, colours: np.ndarray = COLOURS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    image.putpalette(colours.ravel().tolist())
    image.save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def corners(part: tuple[slice, slice], index: int) -> list[list[float]]:
    (top, bottom), (left, right) = (
        (part[0].start, part[0].stop - 1),
        (part[1].start + index, part[1].stop - 1 + index),
    )
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def cvat(root: Path) -> None:
    for index in range(4):
        image(root / f"JPEGImages/a/v {index}.png", index)
        store(root / f"SegmentationClass/a/v {index}.png", COLOURS[mask(index)])
    text(root / "ImageSets/Segmentation/default.txt", "".join(f"a/v {index}\n" for index in range(4)))
    text(
        root / "labelmap.txt",
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:64,0,128::\ntree:128,128,0::\n",
    )


def labelme_voc(root: Path) -> None:
    for index in range(4):
        image(root / f"JPEGImages/{index}.jpg", index)
        palette(root / f"SegmentationClassPNG/{index}.png", mask(index), COLOURS[[0, 2, 1]])
    text(root / "class_names.txt", "_background_\ncar\ntree")


def labelme(root: Path) -> None:
    for index in range(4):
        image(root / f"{index}.jpg", index)
        shapes = [
            {"label": "car", "points": corners(CAR, index), "shape_type": "polygon"},
            {"label": "tree", "points": [corners(TREE, index)[i] for i in (0, 2)], "shape_type": "rectangle"},
            {"label": "car", "points": [[1, 1]], "shape_type": "point"},
        ]
        entry = {
            "version": "5",
            "shapes": shapes,
            "imagePath": f"..\\{index}.jpg",
            "imageHeight": 32,
            "imageWidth": 48,
        }
        text(root / f"{index}.json", json.dumps(entry))


def roboflow(root: Path) -> None:
    for split, numbers in (("train", (0, 1)), ("valid", (2,)), ("test", (3,))):
        for index in numbers:
            image(root / f"{split}/v{index}_jpg.rf.0a.jpg", index)
            store(root / f"{split}/v{index}_jpg.rf.0a_mask.png", mask(index))
        text(root / f"{split}/_classes.csv", "Pixel Value, Class\n0, background\n1, car\n2, tree\n")


def coco(root: Path) -> None:
    for split, numbers in (("train2017", (0, 1, 2)), ("val2017", (3,))):
        images, annotations = [], []
        for index in numbers:
            image(root / f"{split}/{index:012d}.jpg", index)
            images.append({"id": index, "file_name": f"{index:012d}.jpg", "height": 32, "width": 48})
            ring = [value for point in corners(CAR, index) for value in point]
            annotations.append({"image_id": index, "category_id": 3, "segmentation": [ring]})
            inside = (mask(index) == 2).T.ravel()
            changes = np.flatnonzero(np.diff(np.concatenate([[0], inside, [0]])))
            counts = np.diff(np.concatenate([[0], changes, [inside.size]])).tolist()
            packed = {"counts": counts if index else pack_counts(counts), "size": [32, 48]}
            annotations.append({"image_id": index, "category_id": 64, "segmentation": packed, "iscrowd": 1})
        categories = [{"id": 3, "name": "car"}, {"id": 64, "name": "tree"}]
        entry = {"images": images, "annotations": annotations, "categories": categories}
        text(root / f"annotations/instances_{split}.json", json.dumps(entry))


def pack_counts(counts: list[int]) -> str:
    """COCO's packing, written after its description: five bits a character, differences from the third number on."""
    packed = ""
    for position, count in enumerate(counts):
        value = count - counts[position - 2] if position > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            packed += chr((bits | (32 if more else 0)) + 48)
    return packed


def supervisely(root: Path) -> None:
    classes = [{"title": "car", "color": "#400080"}, {"title": "tree", "color": "#808000"}]
    text(root / "meta.json", json.dumps({"classes": classes, "tags": []}))
    for index in range(4):
        image(root / f"ds/img/{index}.jpg", index)
        png = io.BytesIO()
        Image.fromarray(np.full((12, 16), 255, np.uint8)).save(png, "PNG")
        bitmap = {
            "data": base64.b64encode(zlib.compress(png.getvalue())).decode(),
            "origin": [24 + index, 16],
        }
        objects = [
            {
                "classTitle": "car",
                "geometryType": "polygon",
                "points": {"exterior": corners(CAR, index), "interior": []},
            },
            {"classTitle": "tree", "geometryType": "bitmap", "bitmap": bitmap},
        ]
        text(
            root / f"ds/ann/{index}.jpg.json",
            json.dumps({"size": {"height": 32, "width": 48}, "objects": objects}),
        )


def cityscapes(root: Path) -> None:
    for split, city, numbers in (("train", "ulm", (0, 1, 2)), ("val", "bonn", (3,))):
        for index in numbers:
            stem = f"{city}_00000{index}_000019"
            image(root / f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png", index)
            ids = np.array([7, 26, 21], np.uint8)[mask(index)]
            store(root / f"gtFine/{split}/{city}/{stem}_gtFine_labelIds.png", ids)
            store(root / f"gtFine/{split}/{city}/{stem}_gtFine_instanceIds.png", ids.astype(np.uint16) * 1000)


def ade20k(root: Path) -> None:
    head = "Idx\tRatio\tTrain\tVal\tStuff\tName\n"
    names = ("wall", "car, auto, automobile", "tree")
    text(
        root / "objectInfo150.txt",
        head + "".join(f"{i}\t0.1\t1\t1\t0\t{name}\n" for i, name in enumerate(names, 1)),
    )
    for split, short, numbers in (("training", "train", (0, 1, 2)), ("validation", "val", (3,))):
        for index in numbers:
            stem = f"ADE_{short}_0000000{index}"
            image(root / f"images/{split}/{stem}.jpg", index)
            values = mask(index) + 1
            values[0, 0] = 0
            store(root / f"annotations/{split}/{stem}.png", values)


def camvid(root: Path) -> None:
    for split, numbers in (("train", (0, 1, 2)), ("val", (3,))):
        for index in numbers:
            image(root / f"{split}/0001TP_{index}.png", index)
            values = np.array([3, 8, 5], np.uint8)[mask(index)]
            values[0, 0] = 11
            store(root / f"{split}annot/0001TP_{index}.png", values)


def drive(root: Path) -> None:
    for index in range(4):
        image(root / f"training/images/{21 + index}_training.tif", index)
        store(
            root / f"training/1st_manual/{21 + index}_manual1.gif", (mask(index) == 2).astype(np.uint8) * 255
        )
        store(root / f"training/mask/{21 + index}_training_mask.gif", np.full(HW, 255, np.uint8))


def kvasir(root: Path) -> None:
    for index in range(4):
        image(root / f"images/c{index}.jpg", index)
        values = np.repeat(((mask(index) == 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
        store(root / f"masks/c{index}.jpg", values, quality=80)


def class_dict(root: Path) -> None:
    text(root / "class_dict.csv", "name,r,g,b\nbackground,0,0,0\ncar,64,0,128\ntree,128,128,0\n")
    for split, numbers in (("train", (0, 1, 2)), ("val", (3,))):
        for index in numbers:
            image(root / f"{split}/s{index}.png", index)
            store(root / f"{split}_labels/s{index}_L.png", COLOURS[mask(index)])


MAKERS: dict[str, Maker] = {
    each.__name__: each
    for each in (
        cvat, labelme_voc, labelme, roboflow, coco, supervisely, cityscapes, ade20k, camvid, drive, kvasir, class_dict,
    )
}  # fmt: skip


@pytest.fixture
def make_form(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a tiny set of a form by its name; gives its folder."""

    def make(name: str) -> Path:
        root = tmp_path / name
        MAKERS[name](root)
        return root

    return make
