"""Supervisely's projects: ``meta.json``, and for each data set a folder ``img`` and a folder ``ann``."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ...core.errors import DataError
from ..class_lists import NamedClass
from ..lists import usual_name
from . import shapes
from .base import Asked, FileTree, Found, Item, Mask, field_of, objects, read_json
from .labelme import stated_size

_DRAWN = ("polygon", "rectangle", "bitmap")


def read(tree: FileTree, asked: Asked) -> Found:
    """Reads a project. Uncovered pixels are background; later objects cover earlier ones.

    Raises:
        DataError: ``meta.json`` is missing or malformed.
    """
    metas = tree.named("meta.json")
    if len(metas) != 1:
        raise DataError(f"{tree.root} holds {len(metas)} files meta.json; expected one, that of the project")
    meta = metas[0]
    entry = read_json(tree.root / meta)
    listed = objects(entry.get("classes") if isinstance(entry, dict) else None, f"'classes' of {meta}")
    classes = [
        NamedClass(field_of(each, "title", str, f"a class of {meta}"), _rgb(each.get("color")))
        for each in listed
    ]
    names = [each.name for each in classes]
    if not any(name.strip("_").lower() in ("background", "bg") for name in names):
        classes = [NamedClass("background"), *classes]
    found = Found(classes)
    ids = {each.name: at for at, each in enumerate(classes)}
    for path in tree.images():
        if path.parent.name != "img":
            continue
        folder = path.parent.parent / "ann"
        annotation = next(
            (
                each
                for each in (folder / f"{path.name}.json", folder / f"{path.stem}.json")
                if os.path.isfile(tree.root / each)
            ),
            None,
        )
        if annotation is None:
            found.leave_out("an image without annotations", str(path))
            continue
        try:
            _add(tree, path, annotation, ids, found)
        except DataError as error:
            found.leave_out(str(error), str(path))
    if asked.classes is not None:
        found.notes.append("--classes is not used: meta.json names the classes")
    return found


def _add(
    tree: FileTree, path: PurePosixPath, annotation: PurePosixPath, ids: dict[str, int], found: Found
) -> None:
    entry = read_json(tree.root / annotation)
    if not isinstance(entry, dict):
        raise DataError("an annotation that is no JSON object")
    shown = objects(entry.get("objects"), f"'objects' of {annotation}")
    for each in shown:
        if each.get("geometryType") not in _DRAWN:
            found.leave_out(f"an object that covers nothing: {str(each.get('geometryType'))[:40]}", str(path))
    size = entry.get("size") if isinstance(entry.get("size"), dict) else {}
    dataset = path.parent.parent.name
    split = usual_name(dataset) if usual_name(dataset) in ("train", "val", "test") else ""
    name = path.stem if split or not dataset else f"{dataset}/{path.stem}"
    found.items.append(Item(name, tree.root / path, split, _Drawn(shown, size or {}, ids)))


def _rgb(text: Any) -> tuple[int, int, int] | None:
    try:
        value = bytes.fromhex(str(text).lstrip("#"))
    except ValueError:
        return None
    return (value[0], value[1], value[2]) if len(value) == 3 else None


class _Drawn:
    """The drawing of the objects of one image.

    Args:
        shown: the objects.
        size: ``height`` and ``width`` of the annotated image.
        ids: position of each class, by name.
    """

    def __init__(self, shown: list[dict[str, Any]], size: dict[str, Any], ids: dict[str, int]) -> None:
        self._shown, self._ids = shown, ids
        self._stated = size.get("height"), size.get("width")

    def __call__(self, size_hw: tuple[int, int]) -> Mask:
        mask = np.zeros(stated_size(self._stated, size_hw), np.uint8)
        for each in self._shown:
            kind = each.get("geometryType")
            if kind not in _DRAWN:
                continue
            title = str(each.get("classTitle"))
            if title not in self._ids:
                raise DataError(f"an object has the class {title[:40]!r}, which meta.json lacks")
            value = self._ids[title]
            if kind == "bitmap":
                given = field_of(each, "bitmap", dict, "an object")
                left, top = shapes.points_of(given.get("origin"))[0].astype(int).tolist()
                shapes.paste(mask, shapes.bitmap(given.get("data"), deflated=True), left, top, value)
                continue
            given = field_of(each, "points", dict, "an object")
            outer = shapes.points_of(given.get("exterior"))
            if kind == "rectangle":
                shapes.fill(mask, [shapes.rectangle(outer)], value)
                continue
            holes = given.get("interior") or []
            if not isinstance(holes, list):
                raise DataError("an object's holes are no list")
            shapes.fill(mask, [outer, *map(shapes.points_of, holes)], value)
        return mask
