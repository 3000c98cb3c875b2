"""Forms whose masks are image files: pairs of folders, patterns, ADE20K, CamVid and Roboflow."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ...core.errors import DataError, UsageError
from ...core.labels import VOID
from ..class_lists import NAMES, NamedClass, read_list
from ..lists import usual_name
from .base import SUFFIXES, Asked, FileTree, Found, Item, Mask
from .coding import by_values, find_coding
from .pairing import Pair, join, pair_up

_CAMVID = (
    ("Sky", 128, 128, 128), ("Building", 128, 0, 0), ("Pole", 192, 192, 128), ("Road", 128, 64, 128),
    ("Pavement", 60, 40, 222), ("Tree", 128, 128, 0), ("SignSymbol", 192, 128, 128), ("Fence", 64, 64, 128),
    ("Car", 64, 0, 128), ("Pedestrian", 64, 64, 0), ("Bicyclist", 0, 128, 192), ("void", 0, 0, 0),
)  # fmt: skip
"""The classes of SegNet's authors, in order of their values. Their last one is Unlabelled, and they leave it out."""


def read_pairs(tree: FileTree, asked: Asked) -> Found:
    """Reads pairs of folders; the classes come from a list beside them, or from the masks."""
    paired = pair_up(tree.images())
    return _from_pairs(tree, paired.pairs, paired.left_out, asked.classes or _listed(tree))


def read_globs(tree: FileTree, asked: Asked) -> Found:
    """Reads the images and masks of two patterns.

    Raises:
        UsageError: a pattern is missing, or matches nothing.
    """
    if not asked.images or not asked.masks:
        raise UsageError(
            "the form globs needs both --images PATTERN and --masks PATTERN, such as 'rgb/*.png'"
        )
    found = {}
    for option, pattern in (("--images", asked.images), ("--masks", asked.masks)):
        found[option] = [
            path for path in tree.files
            if fnmatch.fnmatchcase(str(path), pattern) and path.suffix.lower() in SUFFIXES
        ]  # fmt: skip
        if not found[option]:
            raise UsageError(
                f"{option} {pattern!r} matches no image below {tree.root}; it is matched against paths there"
            )
    joined, lonely = join(found["--images"], found["--masks"])
    pairs = [Pair(str(image.with_suffix("")), "", image, mask) for image, mask in joined]
    left = {"a file without its partner": [str(path) for path in lonely]} if lonely else {}
    return _from_pairs(tree, pairs, left, asked.classes or _listed(tree))


def read_ade20k(tree: FileTree, asked: Asked) -> Found:
    """Reads ADE20K in the form of its scene-parsing challenge: value 0 is void, and class k has the value k."""
    paired = pair_up(tree.images())
    classes = asked.classes or _ade_classes(tree)
    ids = {at + 1: at for at in range(len(classes))}
    found = _items(tree, paired.pairs, paired.left_out, classes, by_values(classes, ids))
    found.notes.append("value 0, which ADE20K counts as none of its classes, is void")
    return found


def read_camvid(tree: FileTree, asked: Asked) -> Found:
    """Reads CamVid in the layout of SegNet's authors, and CVAT's export of it, with its own classes and colours."""
    paired = pair_up(tree.images())
    classes = asked.classes or _listed(tree)
    if classes is not None:
        return _from_pairs(tree, paired.pairs, paired.left_out, classes)
    own = [NamedClass(name, (r, g, b)) for name, r, g, b in _CAMVID]
    found = _items(
        tree, paired.pairs, paired.left_out, own, by_values(own, {at: at for at in range(len(own))})
    )
    found.notes.append("no label_colors.txt: the classes are the 11 of SegNet's CamVid")
    return found


def read_roboflow(tree: FileTree, asked: Asked) -> Found:
    """Reads Roboflow's png-mask-semantic: masks beside their images, and a ``_classes.csv`` in each folder.

    Raises:
        DataError: the lists name different classes.
    """
    lists = [read_list(tree.root / path) for path in tree.named("_classes.csv")]
    if not lists:
        raise DataError(f"{tree.root} has no _classes.csv, which Roboflow writes beside its masks")
    if any(each != lists[0] for each in lists):
        raise DataError(
            f"the _classes.csv files below {tree.root} name different classes; import the folders one by one"
        )
    classes = [
        NamedClass(each.name, value=at if each.value is None else each.value)
        for at, each in enumerate(lists[0])
    ]
    paired = pair_up(tree.images())
    ids = {each.value: at for at, each in enumerate(classes) if each.value is not None and each.value <= VOID}
    return _items(tree, paired.pairs, paired.left_out, classes, by_values(classes, ids))


def _ade_classes(tree: FileTree) -> list[NamedClass]:
    lists = tree.named("objectInfo150.txt", "objectInfo150.csv")
    if not lists:
        return [NamedClass(f"class_{number}") for number in range(1, 151)]
    from ...core.files import read_text

    lines = read_text(tree.root / lists[0], "the list of objects", most_bytes=1 << 20).splitlines()[1:]
    split = [line.split("\t" if "\t" in line else ",", 5) for line in lines if line.strip()]
    classes: list[NamedClass] = []
    for cells in split:
        words = [word.strip(' "') for word in cells[-1].replace(";", ",").split(",")]
        used = {each.name for each in classes}
        name = next((word for word in words if word and word not in used), f"{words[0]} {len(classes) + 1}")
        classes.append(NamedClass(name))
    if not classes:
        raise DataError(f"{tree.root / lists[0]} names no object; expected ADE20K's own file")
    return classes


def _listed(tree: FileTree) -> list[NamedClass] | None:
    """Returns the classes of the first list in the folder; lists with colours come first."""
    for name in ("labelmap.txt", *NAMES):
        paths = tree.named(name)
        if paths:
            return read_list(tree.root / paths[0])
    return None


def _from_pairs(
    tree: FileTree, pairs: list[Pair], left: dict[str, list[str]], named: list[NamedClass] | None
) -> Found:
    if not pairs:
        raise DataError(
            f"no image below {tree.root} has a mask of the same name; name both with --images and --masks"
        )
    coding = find_coding([tree.root / pair.mask for pair in pairs], named)
    found = _items(tree, pairs, left, coding.classes, coding.read)
    found.notes += coding.notes
    return found


def _items(
    tree: FileTree,
    pairs: list[Pair],
    left: dict[str, list[str]],
    classes: list[NamedClass],
    read: Callable[[Path], Mask],
) -> Found:
    found = Found(classes, left_out=dict(left))
    for pair in pairs:
        found.items.append(
            Item(pair.id, tree.root / pair.image, pair.split, reader_of(read, tree.root / pair.mask))
        )
    return found


def reader_of(read: Callable[[Path], Mask], path: Path) -> Callable[[tuple[int, int]], Mask]:
    """Returns the function that draws an item's mask from a file."""
    return lambda size_hw: read(path)


def split_of(path: PurePosixPath) -> str:
    """Returns the split that a file's folders name; else empty."""
    return next(
        (usual_name(part) for part in path.parts[:-1] if usual_name(part) in ("train", "val", "test")), ""
    )
