"""VOC layout that needs changes: exports of CVAT and labelme, with or without lists and label map."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from ...core.errors import DataError
from ...core.labels import LabelMap, voc_labels
from ..class_lists import NamedClass, find_list, read_labels, read_list
from ..colours import UnknownColoursError, is_two_valued, nearest
from ..lists import read_split, split_names, usual_name
from ..masks import open_mask, read_mask
from .base import SUFFIXES, Asked, FileTree, Found, Item, Mask
from .coding import Coding, find_coding
from .forms import reader_of

MASK_FOLDERS = ("SegmentationClass", "SegmentationClassPNG")
"""Older releases of labelme write the second."""


def read(tree: FileTree, asked: Asked) -> Found:
    """Reads the data set in a folder or below it.

    Raises:
        DataError: there is none, or there are several; or its classes cannot be determined.
    """
    root = _root(tree)
    images = _by_id(tree, root / "JPEGImages")
    masks = next((listed for each in MASK_FOLDERS if (listed := _by_id(tree, root / each))), {})
    base = tree.root / root
    coding = _coding(base, [tree.root / path for path in masks.values()], asked)
    found = Found(coding.classes, notes=coding.notes)
    split_by_id: dict[str, str] = {}
    for split in sorted(split_names(base), key=lambda name: name.lower() in ("trainval", "default", "all")):
        for name in read_split(base, split):
            if name in split_by_id:
                continue
            split_by_id[name] = "" if split.lower() in ("default", "all", "trainval") else usual_name(split)
    for name in sorted(split_by_id or images):
        if name not in images:
            found.leave_out("a list names an image that is missing", name)
        elif name not in masks:
            found.leave_out("an image without a mask", name)
        else:
            reads = reader_of(coding.read, tree.root / masks[name])
            found.items.append(Item(name, tree.root / images[name], split_by_id.get(name, ""), reads))
    unlisted = sorted(images.keys() - split_by_id.keys()) if split_by_id else []
    for name in unlisted:
        found.leave_out("an image in no list", name)
    return found


def _root(tree: FileTree) -> PurePosixPath:
    roots = {
        PurePosixPath(*path.parts[: path.parts.index("JPEGImages")])
        for path in tree.files
        if "JPEGImages" in path.parts[:-1]
    }
    if len(roots) != 1:
        raise DataError(f"{tree.root} holds {len(roots)} folders JPEGImages; name the set that is meant")
    return roots.pop()


def _by_id(tree: FileTree, folder: PurePosixPath) -> dict[str, PurePosixPath]:
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in tree.files
        if path.is_relative_to(folder) and path.suffix.lower() in SUFFIXES
    }


def _coding(base: Path, masks: list[Path], asked: Asked) -> Coding:
    """Returns the coding of the label map if there is one; else that of a list of classes or of the masks."""
    if asked.classes is None and (base / "labelmap.txt").exists():
        return _with_labels(read_labels(base))
    named = asked.classes
    if named is None and (listed := find_list(base)) is not None:
        named = read_list(listed)
    if named is None and base.resolve().name.startswith("VOC20"):
        return _with_labels(voc_labels())
    return find_coding(masks, named)


def _with_labels(labels: LabelMap) -> Coding:
    coding = Coding(
        [NamedClass(each.name, each.rgb) for each in labels.labels], lambda path: _read(path, labels, coding)
    )
    return coding


def _read(path: Path, labels: LabelMap, coding: Coding) -> Mask:
    """Reads a mask; a lossy one is thresholded, with one note for all."""
    try:
        return read_mask(path, labels)
    except DataError as error:
        stored, _ = open_mask(path, lossy=True)
        is_jpeg = path.suffix.lower() in (".jpg", ".jpeg")
        if stored.ndim == 3 and (is_jpeg or (isinstance(error, UnknownColoursError) and error.lossy)):
            note = "lossy masks: every pixel takes the nearest class's colour"
            ids = nearest(stored, labels.palette_rgb()[: len(labels)])
        elif stored.ndim == 2 and len(labels) == 2 and is_two_valued(stored, noisy=not is_jpeg):
            note, ids = "lossy masks: thresholded at 128", (stored >= 128).astype(np.uint8)
        else:
            raise
        if note not in coding.notes:
            coding.notes.append(note)
        return ids


def has_layout(tree: FileTree) -> bool:
    """Returns True if the folders of VOC layout are there."""
    return tree.has_folder("JPEGImages") and tree.has_folder(*MASK_FOLDERS)
