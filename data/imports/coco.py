"""COCO's instances: polygons and run lengths in one JSON file for each split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import DataError
from ..class_lists import NamedClass
from ..lists import usual_name
from . import shapes
from .base import Asked, FileTree, Found, Item, Mask, field_of, objects, read_json
from .labelme import stated_size


def read(tree: FileTree, asked: Asked) -> Found:
    """Reads all files of annotations. Uncovered pixels are background; small objects cover large ones.

    Raises:
        DataError: a file is malformed, or two name different categories.
    """
    found = Found([])
    named: dict[int, str] = {}
    by_name: dict[str, list[PurePosixPath]] = {}
    for path in tree.images():
        by_name.setdefault(path.name, []).append(path)
    for path in tree.ending(".json"):
        entry = read_json(tree.root / path)
        if not is_coco(entry):
            continue
        what = f"{tree.root / path}"
        categories = {
            field_of(each, "id", int, f"a category of {what}"): field_of(
                each, "name", str, f"a category of {what}"
            )
            for each in objects(entry["categories"], f"'categories' of {what}")
        }
        if named and named != categories:
            raise DataError(
                f"the files of annotations below {tree.root} name different categories; import them one by one"
            )
        if not named:
            named = categories
            found.classes = _classes(named)
        ids = {number: at for at, number in enumerate(sorted(named), start=_first(named))}
        _read_file(tree, path, entry, ids, by_name, found)
    found.notes.append("where objects overlap, the smaller lies on top; what nothing covers is background")
    if asked.classes is not None:
        found.notes.append("--classes is not used: the file names its categories")
    return found


def is_coco(entry: Any) -> bool:
    """Returns True if a JSON value is the content of a file of COCO's instances."""
    return isinstance(entry, dict) and {"images", "annotations", "categories"} <= entry.keys()


def _first(named: dict[int, str]) -> int:
    """Returns the position of the first category: 0 if that category is the background."""
    return 0 if named[min(named)].strip("_").lower() == "background" else 1


def _classes(named: dict[int, str]) -> list[NamedClass]:
    if not named:
        raise DataError("the annotations name no category")
    own = [NamedClass(named[number]) for number in sorted(named)]
    return own if not _first(named) else [NamedClass("background"), *own]


def _read_file(
    tree: FileTree,
    path: PurePosixPath,
    entry: dict[str, Any],
    ids: dict[int, int],
    by_name: dict[str, list[PurePosixPath]],
    found: Found,
) -> None:
    what = f"{tree.root / path}"
    drawn: dict[int, list[dict[str, Any]]] = {}
    for each in objects(entry["annotations"], f"'annotations' of {what}"):
        number = field_of(each, "image_id", int, f"an annotation of {what}")
        if field_of(each, "category_id", int, f"an annotation of {what}") not in ids:
            raise DataError(f"an annotation of {what} has a category that the file does not name")
        if not each.get("segmentation"):
            found.leave_out("an object with a box and no outline", f"image {number}")
            continue
        drawn.setdefault(number, []).append(each)
    split = _split(path)
    for listed in objects(entry["images"], f"'images' of {what}"):
        file = field_of(listed, "file_name", str, f"an image of {what}")
        number = field_of(listed, "id", int, f"an image of {what}")
        image = _image(tree, path, file, by_name)
        if image is None:
            found.leave_out("an image that the annotations name is missing", file)
            continue
        stem = PurePosixPath(file.replace("\\", "/")).with_suffix("").as_posix().replace("..", "_")
        found.items.append(Item(stem, image, split, _Drawn(listed, drawn.get(number, []), ids)))


def _split(path: PurePosixPath) -> str:
    """Returns the split in a file's name or folder: ``instances_val2017.json``, ``valid/_annotations.coco.json``."""
    words = [path.parent.name.lower(), *path.stem.lower().replace("-", "_").split("_")]
    for word in words:
        name = usual_name(word.rstrip("0123456789"))
        if name in ("train", "val", "test"):
            return name
    return ""


def _image(
    tree: FileTree, path: PurePosixPath, file: str, by_name: dict[str, list[PurePosixPath]]
) -> Path | None:
    name = PureWindowsPath(file).name
    candidates = by_name.get(name, [])
    if len(candidates) > 1:
        wanted = tuple(PureWindowsPath(file).parts)
        ending = [each for each in candidates if each.parts[-len(wanted) :] == wanted]
        near = [
            each
            for each in ending or candidates
            if each.parent == path.parent or _split(each / "x") == _split(path)
        ]
        candidates = near or ending or candidates
    return tree.root / candidates[0] if candidates else None


@dataclass(frozen=True)
class _Layer:
    """One object: its pixels within the box around them, and the box's upper left corner."""

    area: int
    inside: npt.NDArray[np.bool_]
    left: int
    top: int
    value: int


class _Drawn:
    """The drawing of the objects of one image.

    Args:
        image: the image's entry.
        objects: its annotations.
        ids: position of each category, by its number.
    """

    def __init__(self, image: dict[str, Any], objects: list[dict[str, Any]], ids: dict[int, int]) -> None:
        self._stated = image.get("height"), image.get("width")
        self._objects, self._ids = objects, ids

    def __call__(self, size_hw: tuple[int, int]) -> Mask:
        size_hw = stated_size(self._stated, size_hw)
        mask = np.zeros(size_hw, np.uint8)
        layers = [self._layer(each, size_hw) for each in self._objects]
        for layer in sorted((each for each in layers if each is not None), key=lambda each: -each.area):
            shapes.paste(mask, layer.inside, layer.left, layer.top, layer.value)
        return mask

    def _layer(self, entry: dict[str, Any], size_hw: tuple[int, int]) -> _Layer | None:
        inside = np.zeros(size_hw, np.uint8)
        outline = entry["segmentation"]
        if isinstance(outline, dict):
            if outline.get("size") != list(size_hw):
                raise DataError("run lengths are for another size than the image has")
            inside[shapes.run_lengths(outline.get("counts"), size_hw)] = 1
        elif isinstance(outline, list):
            for ring in outline:
                shapes.fill(inside, [shapes.points_of(ring)], 1)
        else:
            raise DataError("an object's outline is neither polygons nor run lengths")
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if not len(rows):
            return None
        part = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 1
        return _Layer(int(part.sum()), part, int(columns[0]), int(rows[0]), self._ids[entry["category_id"]])
