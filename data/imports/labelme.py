"""labelme's JSON files: shapes beside each image."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from ...core.errors import DataError
from ..class_lists import NamedClass, read_list
from . import shapes
from .base import SUFFIXES, Asked, FileTree, Found, Item, Mask, field_of, objects, read_json
from .forms import split_of

_DRAWN = ("polygon", "rectangle", "circle", "mask")


def read(tree: FileTree, asked: Asked) -> Found:
    """Reads all files of a folder. Uncovered pixels are background; later shapes cover earlier ones."""
    entries: list[tuple[PurePosixPath, dict[str, Any]]] = []
    found = Found([])
    for path in tree.ending(".json"):
        entry = read_json(tree.root / path)
        if not isinstance(entry, dict) or "shapes" not in entry:
            found.leave_out("a JSON file without shapes", str(path))
            continue
        entries.append((path, entry))
    found.classes = _classes(tree, asked, [entry for _, entry in entries])
    ids = {each.name: at for at, each in enumerate(found.classes)}
    for path, entry in entries:
        try:
            image = _image(tree, path, entry)
            shown = objects(entry["shapes"], f"'shapes' of {path}")
        except DataError as error:
            found.leave_out(str(error), str(path))
            continue
        for each in shown:
            kind = each.get("shape_type") or "polygon"
            if kind not in _DRAWN:
                found.leave_out(f"a shape that covers nothing: {str(kind)[:40]}", str(path))
        split = split_of(path)
        stem = path.with_suffix("")
        kept = [part for part in stem.parts[:-1] if not split or part.lower() != split]
        found.items.append(Item("/".join([*kept, stem.name]), image, split, _Drawn(shown, entry, ids)))
    return found


def _classes(tree: FileTree, asked: Asked, entries: list[dict[str, Any]]) -> list[NamedClass]:
    listed = tree.named("labels.txt", "class_names.txt")
    named = asked.classes or (read_list(tree.root / listed[0]) if listed else None)
    if named is None:
        used = {
            str(each.get("label")) for entry in entries for each in entry["shapes"] if isinstance(each, dict)
        } if all(isinstance(entry["shapes"], list) for entry in entries) else set()  # fmt: skip
        named = [NamedClass(name) for name in sorted(used)]
    first = [each for each in named if each.name.strip("_").lower() == "background"]
    return [*(first or [NamedClass("background")]), *(each for each in named if each not in first)]


def _image(tree: FileTree, path: PurePosixPath, entry: dict[str, Any]) -> Path | bytes:
    """Returns the image: the file that the JSON names, a file of the same name, or the copy in the JSON."""
    named = entry.get("imagePath")
    candidates = [] if not isinstance(named, str) else [PureWindowsPath(named).name]
    candidates += [path.stem + suffix for suffix in SUFFIXES]
    for name in candidates:
        if name and os.path.isfile(tree.root / path.parent / name):  # Path.is_file raises for a long name
            return tree.root / path.parent / name
    if isinstance(entry.get("imageData"), str):
        try:
            return base64.b64decode(entry["imageData"])
        except (binascii.Error, ValueError) as error:
            raise DataError("the image within the JSON cannot be decoded") from error
    raise DataError("a JSON file whose image is missing")


class _Drawn:
    """The drawing of one file's shapes.

    Args:
        shown: the shapes.
        entry: the file.
        ids: position of each class, by name.
    """

    def __init__(self, shown: list[dict[str, Any]], entry: dict[str, Any], ids: dict[str, int]) -> None:
        self._shown, self._ids = shown, ids
        self._stated = entry.get("imageHeight"), entry.get("imageWidth")

    def __call__(self, size_hw: tuple[int, int]) -> Mask:
        mask = np.zeros(stated_size(self._stated, size_hw), np.uint8)
        for each in self._shown:
            label = str(each.get("label"))
            kind = each.get("shape_type") or "polygon"
            if kind not in _DRAWN:
                continue
            if label not in self._ids:
                raise DataError(f"a shape has the label {label[:40]!r}, which the list of classes lacks")
            value = self._ids[label]
            points = shapes.points_of(each.get("points"))
            if kind == "mask":
                left, top = points.min(axis=0).astype(int).tolist()
                shapes.paste(
                    mask,
                    shapes.bitmap(field_of(each, "mask", str, "a shape"), deflated=False),
                    left,
                    top,
                    value,
                )
                continue
            if len(points) < 2:
                raise DataError(f"a {kind} has fewer than two points")
            ring = {"rectangle": shapes.rectangle, "circle": shapes.circle}.get(
                str(kind), lambda given: given
            )(points)
            shapes.fill(mask, [ring], value)
        return mask


def stated_size(stated_hw: tuple[Any, Any], size_hw: tuple[int, int]) -> tuple[int, int]:
    """Returns the size of the annotated image: the image's, or that before EXIF turned it.

    Raises:
        DataError: it is another size.
    """
    if None in stated_hw or stated_hw == size_hw:
        return size_hw
    if stated_hw == size_hw[::-1]:
        return size_hw[::-1]
    raise DataError("the annotations are for another size than the image has")
